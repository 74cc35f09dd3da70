/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_DEMANGLE_RUST_H
#define PERISCOPE_DEMANGLE_RUST_H

/* Rust's v0 symbol names (RFC 2603, "Symbol name mangling v0"); used by demangle() alone. */

/*
 * Returns the readable form of a name that begins with `_R`, without the crates' hashes, or NULL
 * when it is not well formed or its form is too large. The caller frees it.
 */
char *demangle_rust_v0(const char *name);

#endif
