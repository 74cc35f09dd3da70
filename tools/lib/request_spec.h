/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_REQUEST_SPEC_H
#define PERISCOPE_REQUEST_SPEC_H

/*
 * Which probes tell of requests, and what: written on the command line, or known of programs that
 * we know (presets). A point names a USDT probe or a function,
 *
 *	provider:probe(arg1)              USDT; the first argument is the request's id
 *	library:function(arg2)            a function, when it is called
 *	function                          no id: the thread is the request's
 *	query__start(arg1:str)            the thread's; what arg1 points to is its name
 *	done(arg1, arg3:status)           several arguments
 *	return                            (as the end) the return of the function that begins it
 *	null                              (as the end) of what the beginning names: NULL, or another
 *
 * An argument is argN, from 1, and what it is after a colon: `key` (the default), `str` or `int` for
 * a name, `name` for either, whatever the argument looks like, or `status`.
 */

#include <stdbool.h>
#include <stddef.h>

#include "bpf/requests.h"

struct request_point {
	char *pattern; /* `provider:probe`, `library:function`, or one without the first part */
	bool returns;  /* the return of the function that begins the request; no pattern */
	bool null;     /* the beginning's probe with the name NULL, or another; no pattern */
	bool optional; /* a program without it is watched all the same */
	struct request_probe probe;
};

/*
 * Parse a point of a role (BEGIN, RUN, PAUSE, END, EXECUTE). Returns 0 and a point that request_point_release
 * frees; -ENOMEM; -EINVAL, and then *ret_why is a sentence's end that says what is wrong.
 */
int request_point_parse(struct request_point *ret, enum request_role role, const char *text,
			const char **ret_why);
void request_point_release(struct request_point *p);

/*
 * All the points of a capture. A list is either written by the user or a preset's.
 */
struct request_points {
	struct request_point *items;
	size_t nr, cap;
	bool has_pieces;	    /* RUN and PAUSE are among them */
	bool has_phases;	    /* phases other than PHASE_OTHER may occur */
	bool has_routes;	    /* route numbers, to be named by their paths */
	bool by_account;	    /* the end of a last piece is told with the request's */
	bool sends_after;	    /* between pieces, in no queue, an answer is being sent */
	const char *const *methods; /* names of the numbers in `method`; NULL: there is none */
	size_t nr_methods;
};

/* Append a point; takes what is in *p, also on failure. Returns 0 or -ENOMEM. */
int request_points_add(struct request_points *l, struct request_point *p);
void request_points_release(struct request_points *l);

/*
 * Do the user's points go together? May change them: where the end has no id, a plain argument of
 * the beginning is a name; where it is `null`, the beginning is a STATUS. Returns 0, or -EINVAL and why.
 */
int request_points_check(struct request_points *l, const char **ret_why);

/* Programs that we know by their probes. */
struct request_preset {
	const char *provider; /* of its USDT probes */
	const char *begin;    /* the one that begins a request: if it is there, so is the program */
	const struct request_preset_row *rows; /* private */
	size_t nr_rows;
	const char *account; /* the probe that tells the rest at a request's end, or NULL */
	bool has_phases, has_routes, sends_after;
	const char *const *methods;
	size_t nr_methods;
};

/* Which of a preset's probes. */
enum request_probing {
	REQUEST_AS_IT_HAPPENS,
	REQUEST_WITH_PHASES, /* also those that only tell phases apart */
	REQUEST_BY_ACCOUNT,  /* the fewest; of a preset without an account as it happens */
};

extern const struct request_preset request_presets[];
extern const size_t nr_request_presets;

/* Append a preset's points. Returns 0 or -ENOMEM. */
int request_preset_points(struct request_points *l, const struct request_preset *p,
			  enum request_probing probing);

#endif
