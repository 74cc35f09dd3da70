/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_STACK_TEXT_H
#define PERISCOPE_STACK_TEXT_H

/* Single stacks of a capture as text, for reports. */

#include <stdbool.h>
#include <stdint.h>

#include "object.h"
#include "stacks.h"
#include "strbuf.h"

struct stack_text;

/* Both arguments are borrowed until free. Returns NULL and errno. */
struct stack_text *stack_text_new(const struct stacks *s, const struct objects *objects,
				  bool kernel);
void stack_text_free(struct stack_text *t);

/*
 * Append the functions of the stack with this hash, as process tgid had it, a line each, innermost
 * first, inlined ones too. One that is not known says so. Returns 0 or -ENOMEM.
 */
int stack_text_put(struct stack_text *t, uint32_t tgid, uint64_t hash, struct strbuf *out);

#endif
