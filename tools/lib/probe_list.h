/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_PROBE_LIST_H
#define PERISCOPE_PROBE_LIST_H

/*
 * What can be probed in a process or a file: its USDT probes, and functions by name, each with the
 * site that would be taken. The model of `periscope probes`.
 */

#include <stddef.h>
#include <stdint.h>

#include "functions.h"
#include "images.h"
#include "probe_cost.h"
#include "probe_site.h"
#include "usdt.h"

struct probe_list_site {
	struct probe_site site;
	int err; /* why there is none: probe_site_error() */
	enum probe_return returns;
};

struct probe_list_object {
	const struct image *image;
	struct usdt_list usdt; /* those that match */
	struct function_list functions;
	struct probe_list_site *sites; /* of functions.items, one each */
	int err; /* why the object could not be looked at: -ENOTSUP another machine's code, ... */
};

struct probe_list {
	struct probe_list_object *objects; /* those with something in them, or an err */
	size_t nr;
	size_t nr_usdt, nr_functions; /* of all objects; sites of one USDT probe count each */
	size_t nr_bad_notes;	      /* USDT notes that could not be read */
	size_t nr_libraries;	      /* objects that the pattern's library part fits */
	size_t nr_of_provider; /* USDT probes that it fits as a provider, whatever their names */
};

/*
 * List what is in the images and matches `pattern`: USDT probes as usdt_matches() says, and
 * functions, `function` or `lib:function`, as functions_find() and functions_lib_matches() say.
 * NULL: all USDT probes and no functions. The images must outlive the list. Returns 0, possibly
 * with nothing found, or -ENOMEM.
 */
int probe_list_init(struct probe_list *ret, const struct images *images, const char *pattern);
void probe_list_release(struct probe_list *l);

/*
 * For a pattern that matched nothing: append to b the names of these kinds that are like it,
 * separated by ", ". Returns how many, or -ENOMEM.
 */
#define PROBE_LIST_USDT	     1U
#define PROBE_LIST_FUNCTIONS 2U
int probe_list_suggest(const struct images *images, const char *pattern, unsigned int kinds,
		       struct strbuf *b);

/*
 * Append it as text, or as one JSON object:
 *
 *	{"pid": 1234, "file": null,
 *	 "cost": {"emulated_ns": 700, "stepped_ns": 9500, "returning_ns": 1200},
 *	 "objects": [{"path": ..., "error": null,
 *	  "usdt": [{"provider", "name", "address", "offset", "class", "size", "error",
 *	    "semaphore": {"address", "offset"}, "operands",
 *	    "arguments": [{"type", "place", "readable"}]}],
 *	  "functions": [{"name", "linkage", "address", "size", "ifunc", "error",
 *	    "site": {"address", "offset", "class", "size", "stack", "arguments": ["rdi", ...],
 *	      "repeats", "leaf"},
 *	    "returns": true, "no_returns": null or why not}]}]}
 *
 * Addresses are the file's own, offsets in bytes of the file, all integers. What there is not is
 * null: pid or file, cost when it was not measured, semaphore, site, error. An argument that is in
 * no register any more is null.
 */
struct probe_list_source {
	int pid;		       /* 0: a file */
	const char *name;	       /* of the process or the file */
	const struct probe_cost *cost; /* NULL: not measured */
};
void probe_list_text(const struct probe_list *l, const struct probe_list_source *from,
		     struct strbuf *b);
void probe_list_json(const struct probe_list *l, const struct probe_list_source *from,
		     struct strbuf *b);

#endif
