/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_SYM_DEBUG_H
#define PERISCOPE_SYM_DEBUG_H

/*
 * Finds separate debug files (GDB manual, "Separate Debug Files"): by build ID, then by debug
 * link; and the file that dwz moved shared information to. Each path is tried below the object's
 * own root first, where no link leads out of it, then on this system. Only regular files are
 * opened, and only what matches is returned.
 */

#include <libelf.h>
#include <stddef.h>
#include <stdint.h>

struct sym_place {
	const char *dirs; /* colon-separated debug directories */
	int root_fd;	  /* of the object's process, -1: only this system's */
	const char *path; /* of the object, absolute in that root */
};

/*
 * Open a regular file for reading; below root_fd, also where symbolic links point, unless that is
 * -1. Returns a file descriptor or a negative errno (-ENOENT when it is not a regular file).
 */
int sym_open_below(int root_fd, const char *path);
/*
 * The debug file of the object `elf` with the given build ID (length 0: none). A candidate is
 * taken when its build ID is equal, or, where one of the two has none, when its CRC is that of the
 * debug link. Returns a file descriptor or -ENOENT.
 */
int sym_debug_open(const struct sym_place *place, Elf *elf, const uint8_t *id, size_t id_len);
/* The file with the build ID named in a .gnu_debugaltlink. Returns a file descriptor or -ENOENT. */
int sym_debug_open_alt(const struct sym_place *place, const char *name, const uint8_t *id,
		       size_t id_len);

#endif
