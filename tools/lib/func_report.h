/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_FUNC_REPORT_H
#define PERISCOPE_FUNC_REPORT_H

/* What a capture of functions says, as tables and histograms; and as a profile of callers. */

#include "capture_funcs.h"
#include "profile.h"
#include "report.h"

/* All of a capture after its stop. Returns NULL and errno. */
struct report *func_report(struct capture_funcs *c, uint64_t ran_ns);

/* Only the table of functions, of some results; `title` is its heading. Returns NULL and errno. */
struct report *func_report_table(const struct func_result *results, size_t n, uint64_t ran_ns,
				 const char *title);

/*
 * A profile of calls, their time and their time on CPU: by stack where callers were asked for, else
 * each function by itself, below `comm`. Returns 0 or a negative errno.
 */
int func_profile(struct profile *p, struct capture_funcs *c, const char *comm, bool per_thread);

/* "int", as --arg takes it. */
const char *func_arg_kind_name(unsigned int kind);

#endif
