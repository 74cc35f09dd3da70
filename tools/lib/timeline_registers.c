/* SPDX-License-Identifier: MIT */
#include "timeline_registers.h"

#include "util.h"

#define REGISTER_NAME(field, name) name,

static const char *const names[] = { REGISTERS(REGISTER_NAME) };

_Static_assert(ARRAY_SIZE(names) == REGISTERS_NR && REGISTERS_NR <= EVENT_MAX_ARGS,
	       "arguments of one event");

unsigned int timeline_registers(struct trace_writer *w, const struct timeline_record *rec,
				struct event_arg *args)
{
	const __u64 *values = &rec->v[rec->words]; /* behind the fields */

	if (rec->bytes != REGISTERS_NR * sizeof(*values))
		return 0;
	for (unsigned int i = 0; i < REGISTERS_NR; i++)
		args[i] = (struct event_arg){ .name = trace_writer_string(w, names[i]),
					      .type = EVENT_ARG_HEX,
					      .u = values[i] };
	return REGISTERS_NR;
}
