/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_IMAGES_H
#define PERISCOPE_IMAGES_H

/*
 * The ELF files that a process has mapped as code, each once, opened as they were mapped; for
 * looking at a process without capturing anything. (A capture has them in struct objects, with
 * what the kernel needs of each.)
 */

#include <stddef.h>
#include <sys/types.h>

#include "elf.h"

struct image {
	char *path; /* as the process sees it */
	struct elf_file *elf;
};

struct images {
	struct image *items; /* in order of their first address: the executable, mostly, first */
	size_t nr, cap;
	size_t nr_unreadable; /* mapped files that could not be opened or are not ELF */
	int root_fd;	      /* the process's root directory; -1: ours */
};

/*
 * Returns 0; -ESRCH no such process, -EACCES without the right to look, -ENOMEM. A kernel thread
 * has none.
 */
int images_of_process(struct images *ret, pid_t pid);

/* The one image of a file. Returns 0 or a negative errno: those of open, and elf_open_fd's. */
int images_of_file(struct images *ret, const char *path);

void images_release(struct images *im);

#endif
