/* SPDX-License-Identifier: MIT */
#include "stack_text.h"

#include <errno.h>
#include <stdlib.h>

#include "profile.h"
#include "stack_profile.h"

struct stack_text {
	const struct stacks *stacks;
	struct profile *names; /* whose functions the frames become */
	struct stack_profile *symbols;
	struct stack_profile_options options;
};

struct stack_text *stack_text_new(const struct stacks *s, const struct objects *objects,
				  bool kernel)
{
	struct stack_text *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->stacks = s;
	t->options.kernel = kernel;
	t->names = profile_new();
	if (t->names)
		t->symbols = stack_profile_new(t->names, s, objects, &t->options);
	if (t->symbols)
		return t;
	stack_text_free(t);
	errno = ENOMEM;
	return NULL;
}

void stack_text_free(struct stack_text *t)
{
	if (!t)
		return;
	stack_profile_free(t->symbols);
	profile_free(t->names);
	free(t);
}

static int put_frame(struct stack_text *t, uint32_t tgid, uint64_t frame, struct strbuf *out)
{
	const struct profile_location *l;
	uint32_t location;
	int err = stack_profile_location(t->symbols, tgid, frame, &location);

	if (err)
		return err;
	l = &t->names->locations[location];
	for (uint32_t i = 0; i < l->nr_lines; i++) {
		uint32_t function = t->names->lines[l->first_line + i].function;

		strbuf_puts(out, profile_str(t->names, t->names->functions[function].name));
		strbuf_putc(out, '\n');
	}
	return 0;
}

int stack_text_put(struct stack_text *t, uint32_t tgid, uint64_t hash, struct strbuf *out)
{
	ssize_t at = stacks_find(t->stacks, hash);
	const struct stack *s;
	int err = 0;

	if (at < 0) {
		strbuf_puts(out, "[its frames were lost]\n");
		return strbuf_error(out);
	}
	s = &t->stacks->items[at];
	for (uint32_t i = 0; i < s->nr_frames && !err; i++)
		err = put_frame(t, tgid, t->stacks->frames[s->first_frame + i], out);
	if (s->end != UNWIND_COMPLETE)
		strbuf_printf(out, "[truncated: %s]\n", unwind_end_name(s->end));
	return err ? err : strbuf_error(out);
}
