/* SPDX-License-Identifier: MIT */
/* One event of a track, and its annotations. */
#include <errno.h>
#include <string.h>

#include "pftrace_impl.h"
#include "sink.h"

int pftrace_flush(struct pftrace *p, size_t limit)
{
	if (!p->err && p->pb.failed)
		p->err = -ENOMEM;
	if (!p->err && p->pb.b.len >= limit) {
		p->err = sink_write(p->out, p->pb.b.data, p->pb.b.len);
		p->pb.b.len = 0;
	}
	return p->err;
}

struct pftrace_nested pftrace_begin(struct pftrace *p, const struct pftrace_event *e)
{
	struct pb *pb = &p->pb;
	struct pftrace_nested n = { .packet = pb_begin(pb, TRACE_PACKET) };

	pb_uint(pb, PACKET_TIMESTAMP, e->time - p->trace->start);
	pb_uint(pb, PACKET_SEQUENCE_ID, SEQUENCE_MAIN);
	pb_uint(pb, PACKET_SEQUENCE_FLAGS, FLAG_NEEDS_STATE);
	n.event = pb_begin(pb, PACKET_TRACK_EVENT);
	pb_uint(pb, EVENT_TYPE, e->type);
	pb_uint(pb, EVENT_TRACK, e->track);
	if (e->category)
		pb_uint(pb, EVENT_CATEGORY_IIDS, e->category);
	if (e->name)
		pb_uint(pb, EVENT_NAME_IID, e->name);
	if (e->correlation)
		pb_uint(pb, EVENT_CORRELATION_ID, e->correlation);
	if (e->stack)
		pb_uint(pb, EVENT_CALLSTACK_IID, e->stack);
	if (e->flow)
		pb_fixed64(pb, EVENT_FLOW_IDS, e->flow);
	if (e->ended_flow)
		pb_fixed64(pb, EVENT_TERMINATING_FLOW_IDS, e->ended_flow);
	return n;
}

void pftrace_end(struct pftrace *p, struct pftrace_nested n)
{
	pb_end(&p->pb, n.event);
	pb_end(&p->pb, n.packet);
}

void pftrace_put(struct pftrace *p, const struct pftrace_event *e)
{
	pftrace_end(p, pftrace_begin(p, e));
}

/* -------- annotations -------- */

void pftrace_note(struct pftrace *p, uint64_t name, unsigned int field, uint64_t value)
{
	size_t at = pb_begin(&p->pb, EVENT_ANNOTATIONS);

	pb_uint(&p->pb, ANNOTATION_NAME_IID, name);
	pb_uint(&p->pb, field, value);
	pb_end(&p->pb, at);
}

void pftrace_note_uint(struct pftrace *p, enum pftrace_word word, uint64_t value)
{
	pftrace_note(p, pftrace_word(word), ANNOTATION_UINT, value);
}

void pftrace_note_int(struct pftrace *p, enum pftrace_word word, int64_t value)
{
	pftrace_note(p, pftrace_word(word), ANNOTATION_INT, (uint64_t)value);
}

void pftrace_note_text(struct pftrace *p, uint64_t name, const char *text)
{
	size_t at = pb_begin(&p->pb, EVENT_ANNOTATIONS);

	pb_uint(&p->pb, ANNOTATION_NAME_IID, name);
	pb_string(&p->pb, ANNOTATION_STRING, text);
	pb_end(&p->pb, at);
}

/* Their names must be there before the packet begins. */
void pftrace_intern_args(struct pftrace *p, const struct event *e)
{
	for (unsigned int i = 0; e && i < e->nr_args; i++)
		pftrace_annotation(p, e->args[i].name);
}

void pftrace_note_args(struct pftrace *p, const struct event *e)
{
	for (unsigned int i = 0; e && i < e->nr_args; i++) {
		const struct event_arg *a = &e->args[i];
		uint64_t name = pftrace_annotation(p, a->name);

		switch (a->type) {
		case EVENT_ARG_TEXT:
			pftrace_note_text(p, name, a->text);
			break;
		case EVENT_ARG_INT:
			pftrace_note(p, name, ANNOTATION_INT, a->u);
			break;
		default:
			pftrace_note(p, name,
				     a->type == EVENT_ARG_HEX ? ANNOTATION_POINTER
							      : ANNOTATION_UINT,
				     a->u);
		}
	}
}

uint64_t pftrace_correlation(const struct timeline_request *r)
{
	return r ? r->serial + 1 : 0;
}
