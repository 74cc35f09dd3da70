/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_KSYMS_H
#define PERISCOPE_KSYMS_H

/* Kernel symbols from /proc/kallsyms. */

#include <stddef.h>
#include <stdint.h>

struct ksyms;

/*
 * Read a kallsyms file (NULL: /proc/kallsyms), text symbols only. Returns NULL and errno: EACCES
 * when every address is zero (kptr_restrict hides them).
 */
struct ksyms *ksyms_new(const char *path);
void ksyms_free(struct ksyms *k);

/*
 * The function that covers addr; *ret_module its module without brackets, or NULL for the kernel
 * itself. Returns NULL before the first symbol. Strings live as long as k. BPF programs
 * (`bpf_prog_TAG_name [bpf]`) and module text are included.
 */
const char *ksyms_lookup(const struct ksyms *k, uint64_t addr, const char **ret_module);

/*
 * Bounds around all functions of one of these names (the list ends at NULL; `name*`: that begin
 * so), the second exclusive. Returns 0, or -ENOENT when there is none, ret untouched.
 */
int ksyms_range(const struct ksyms *k, const char *const *names, uint64_t ret[2]);

#endif
