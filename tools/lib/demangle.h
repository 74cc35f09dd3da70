/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_DEMANGLE_H
#define PERISCOPE_DEMANGLE_H

/*
 * Readable names of C++ (Itanium C++ ABI 5.1) and Rust (legacy and v0 mangling) symbols. Safe on
 * hostile names: one that could expand beyond any use is left as it is.
 */

/*
 * Returns the readable form of a mangled name, which the caller frees, or NULL when the name is
 * not mangled, not understood, too large, or memory ran out: then the name itself is to be shown.
 */
char *demangle(const char *name);

#endif
