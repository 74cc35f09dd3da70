/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_SYMBOLIZER_H
#define PERISCOPE_SYMBOLIZER_H

/*
 * Names for addresses of user-space objects: function, file and line, inlined functions. Works on
 * open files, so a process that has exited, or a file that was replaced or deleted meanwhile, is
 * symbolized as it was mapped. Nothing is read before the first address of an object is asked for.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct elf_file;
struct symbolizer; /* all objects of a capture */
struct sym_object; /* one of them */

/* One function at an address; an address in inlined code has several, innermost first. */
struct sym_frame {
	const char
		*function; /* demangled; NULL never: a function without a name is module+0xstart */
	const char *linkage; /* as in the file (mangled); same pointer as function when equal */
	const char *file;    /* absolute where the debug information says so; NULL unknown */
	uint32_t line;	     /* of the address, or of the call for the outer ones; 0 unknown */
	uint32_t start_line; /* of the function's declaration; 0 unknown */
	bool inlined;	     /* inlined into the next frame of the answer */
	bool guessed;	     /* named by its FDE's or section's start, not by a symbol */
};

/* Strings and frames handed out live until symbolizer_free. Returns NULL and errno. */
struct symbolizer *symbolizer_new(void);
void symbolizer_free(struct symbolizer *s);

/*
 * Where separate debug files are searched, colon-separated; default /usr/lib/debug. Searched as
 * DIR/.build-id/xx/yyyy.debug, then by .gnu_debuglink (CRC checked) beside the object, in .debug/
 * below it, and under DIR. Every path is also tried below each object's own root first.
 */
int symbolizer_set_debug_dirs(struct symbolizer *s, const char *dirs);

/*
 * Add an object. `elf` is borrowed and must outlive the symbolizer. `path` is its path as its
 * process sees it (for names and debug links; need not exist any more), `root_fd` an open
 * directory that is the process's root (/proc/PID/root), or -1 for ours; borrowed only during the
 * call: what is needed from it is opened now or duplicated. Returns NULL and errno.
 */
struct sym_object *symbolizer_add(struct symbolizer *s, struct elf_file *elf, const char *path,
				  int root_fd);

/*
 * Name the code at `vaddr` (a virtual address of the file). For a return address pass the address
 * minus one, so that the call is named and not what follows it. Always at least one frame for a
 * valid object: *ret points to the array, the answer is its length, or a negative errno
 * (-ENOMEM). Answers are kept for each address: asking again costs a look-up.
 */
int sym_object_lookup(struct sym_object *o, uint64_t vaddr, const struct sym_frame **ret);

/*
 * What could not be read: 0 when there is debug information or at least .symtab, -ENODATA when
 * only .dynsym or FDEs name functions. For `-v`.
 */
int sym_object_quality(struct sym_object *o);
bool sym_object_has_lines(struct sym_object *o);

/* -------- /tmp/perf-PID.map, as written by JITs: START SIZE NAME in hex, a line each -------- */

struct perf_map;
/*
 * Read the map of the process with PID `pid` (as its own PID namespace numbers it) below root_fd.
 * Returns NULL with errno ENOENT when there is none; bad lines are skipped and counted.
 */
struct perf_map *perf_map_read(int root_fd, int pid);
/* The same in two steps: the file's descriptor or a negative errno, and what is in it by now. */
int perf_map_open(int root_fd, int pid);
struct perf_map *perf_map_read_fd(int fd);
/* The map of a process that runs, or has just exited; NULL and errno. */
struct perf_map *perf_map_of(pid_t pid);
void perf_map_free(struct perf_map *m);
/* Returns the name covering addr or NULL. Later entries win over earlier ones they overlap. */
const char *perf_map_lookup(const struct perf_map *m, uint64_t addr);
/* How many lines were skipped. */
size_t perf_map_bad_lines(const struct perf_map *m);

#endif
