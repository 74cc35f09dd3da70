/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_WRITE_FOLDED_H
#define PERISCOPE_WRITE_FOLDED_H

/*
 * Folded stacks (github.com/brendangregg/FlameGraph): a line `comm;outermost;...;innermost COUNT`
 * for every distinct stack, sorted by its bytes. Kernel frames end in _[k]; inlined functions are
 * frames of their own; a stack cut short has the frame `[truncated: REASON]` after its thread's
 * name. A ';' in a name becomes ':' and a control character a space. Stacks of value 0 are left
 * out: readers disagree about them.
 */

#include "write.h"

struct sink;

int write_folded(const struct profile *p, const struct write_options *o, struct sink *out);

#endif
