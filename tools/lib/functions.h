/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_FUNCTIONS_H
#define PERISCOPE_FUNCTIONS_H

/*
 * The functions of an object whose names match a pattern. Unlike sym_table, which has one name for
 * an address, every name counts: `__libc_malloc` is found as well as `malloc`, and a name that two
 * symbols of different versions or files have gives both. Read from .dynsym and .symtab, the
 * latter also of the separate debug file. Left out are PLT stubs, labels without a size, and the
 * parts that compilers split off as `.cold`, which are jumped into and not called.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "elf.h"

struct function {
	const char *name;    /* the matching one, readable (demangled); in the list's memory */
	const char *linkage; /* as in the file; same pointer as name when equal */
	uint64_t vaddr;
	uint64_t size;
	/*
	 * Chosen at load time: what is here is the resolver, and a probe on it never sees the calls
	 * (memcpy, strlen). The implementation has a name of its own.
	 */
	bool ifunc;
};

/* Of one object. */
struct function_list {
	struct function *items; /* by vaddr, each address once */
	size_t nr, cap;
	char **strings;
	size_t nr_strings, cap_strings;
};

/*
 * Add the functions of elf that match `glob` (fnmatch: * ? [...]; against the linkage name, the
 * readable name, and the latter without its parameters). path and root_fd as in symbolizer_add,
 * for the debug file; path NULL: do not look for one. An address that is in the list already keeps
 * its name. `max` > 0: -E2BIG when the list would get longer, the list as it was, and *ret_found
 * (may be NULL) says how many matched. Returns 0, possibly with none found, or -ENOMEM.
 * function_list_release is fine on a zeroed list and after failures.
 */
int functions_find(struct function_list *l, struct elf_file *elf, const char *path, int root_fd,
		   const char *glob, size_t max, size_t *ret_found);
void function_list_release(struct function_list *l);

/*
 * `lib:function` or `function`. Splits at the first colon that is not part of `::`; *ret_lib_len 0:
 * in all objects. The glob is behind it.
 */
const char *functions_split(const char *spec, size_t *ret_lib_len);

/*
 * Does an object's path answer to the library's name in a specification? Its base name does, that
 * without version (`libc`, `libc.so` for libc.so.6), a glob of either, and the whole path.
 */
bool functions_lib_matches(const char *lib, size_t len, const char *path);

#endif
