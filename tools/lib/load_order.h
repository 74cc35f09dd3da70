/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_LOAD_ORDER_H
#define PERISCOPE_LOAD_ORDER_H

/*
 * In which order the dynamic linker has loaded a process's objects, which is the order in which it
 * looks for symbols: the program, what LD_PRELOAD names, what they need, and behind these what was
 * opened by dlopen. Read from the list that it keeps for debuggers (<link.h>, struct r_debug), in
 * the process's memory, without stopping it.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The load addresses (l_addr: address - address in the file) of process pid's objects, in that
 * order, the program first; a static program is the only one. Returns 0 with an array to free;
 * -ESRCH, -EACCES, -ENOMEM; -ENOEXEC when its memory does not make sense (of another class, or
 * damaged). While the linker is still at it, these are the objects so far.
 */
int load_order_read(pid_t pid, uint64_t **ret, size_t *ret_n);

/*
 * Where the process's dynamic linker is loaded (its l_addr); 0: it has none. Returns 0, -ESRCH or
 * -EACCES.
 */
int load_order_linker(pid_t pid, uint64_t *ret);

#endif
