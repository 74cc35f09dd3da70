/* SPDX-License-Identifier: MIT */
/* Why a flight recorder kept a timeline, and the signals in it, with where each thread was. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "strbuf.h"
#include "timeline_report.h"
#include "util.h"

/* A line for each function, innermost first. */
void timeline_put_stack(const struct trace *t, uint32_t stack, struct strbuf *text)
{
	uint32_t frames[TRACE_MAX_FRAMES];
	size_t n = trace_stack_frames(t, stack, frames, ARRAY_SIZE(frames));
	char name[256];

	strbuf_reset(text);
	for (size_t i = 0; i < n; i++) {
		const struct trace_frame *f = frames[i] < t->nr_frames ? &t->frames[frames[i]]
								       : NULL;

		for (uint32_t j = 0; f && j < f->nr_lines; j++)
			strbuf_printf(text, "%s%s", text->len ? "\n" : "",
				      trace_string(t, t->lines[f->first_line + j].function));
		if (f && f->nr_lines)
			continue;
		strbuf_printf(text, "%s%s", text->len ? "\n" : "",
			      trace_frame_name(t, frames[i], name, sizeof(name)));
	}
}

static const char *thread_text(const struct trace *t, const struct timeline_mark *m, char *buf,
			       size_t size)
{
	snprintf(buf, size, "%s %u", trace_string(t, m->thread), m->tid);
	return buf;
}

static void add_triggers(struct report *report, const struct timeline_summary *s,
			 const struct trace *t)
{
	static const struct report_column columns[] = {
		{ "trigger", "trigger", REPORT_TEXT }, { "at", "at", REPORT_NS },
		{ "lasted", "lasted", REPORT_NS },     { "thread", "thread", REPORT_TEXT },
		{ "request", "request", REPORT_TEXT },
	};
	struct report_section *section = report_section(report, "triggers", "Why this was kept");
	struct report_table *table =
		report_table(section, "triggers", NULL, columns, ARRAY_SIZE(columns));
	char text[TIMELINE_WHAT + 32];

	for (size_t i = 0; i < s->nr_marks; i++) {
		const struct timeline_mark *m = &s->marks[i];

		if (m->signo)
			continue;
		report_add_text(table, trace_string(t, m->name));
		report_add(table, (int64_t)(m->time - t->start));
		if (m->lasted)
			report_add(table, (int64_t)m->lasted);
		else
			report_add_none(table);
		report_add_text(table, thread_text(t, m, text, sizeof(text)));
		if (m->request) {
			snprintf(text, sizeof(text), "%s%sid %" PRIu64, m->what,
				 *m->what ? ", " : "", m->request);
			report_add_text(table, text);
		} else {
			report_add_none(table);
		}
	}
}

/*
 * sigaction(2): why a signal was sent. Of those that the kernel sends for a fault the name, by
 * which it is known; else who or what sent it.
 */
static const char *code_text(const struct timeline_mark *m, char *buf, size_t size)
{
	static const struct {
		int signo, code;
		const char *name;
	} faults[] = {
		{ SIGSEGV, SEGV_MAPERR, "SEGV_MAPERR" },
		{ SIGSEGV, SEGV_ACCERR, "SEGV_ACCERR" },
		{ SIGSEGV, SI_KERNEL, "SI_KERNEL" },
		{ SIGBUS, BUS_ADRALN, "BUS_ADRALN" },
		{ SIGBUS, BUS_ADRERR, "BUS_ADRERR" },
		{ SIGBUS, BUS_OBJERR, "BUS_OBJERR" },
		{ SIGFPE, FPE_INTDIV, "FPE_INTDIV" },
		{ SIGFPE, FPE_INTOVF, "FPE_INTOVF" },
		{ SIGFPE, FPE_FLTDIV, "FPE_FLTDIV" },
		{ SIGFPE, FPE_FLTINV, "FPE_FLTINV" },
		{ SIGILL, ILL_ILLOPC, "ILL_ILLOPC" },
		{ SIGILL, ILL_ILLOPN, "ILL_ILLOPN" },
		{ SIGTRAP, TRAP_BRKPT, "TRAP_BRKPT" },
		{ SIGTRAP, SI_KERNEL, "SI_KERNEL" },
		{ 0, SI_USER, "SI_USER" },
		{ 0, SI_TKILL, "SI_TKILL" },
		{ 0, SI_QUEUE, "SI_QUEUE" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
		if ((!faults[i].signo || faults[i].signo == (int)m->signo) &&
		    faults[i].code == m->code)
			return faults[i].name;
	snprintf(buf, size, "%d", m->code);
	return buf;
}

/* Of others si_addr is something else, as a sender's PID; of SI_KERNEL it is not known. */
static bool has_address(const struct timeline_mark *m)
{
	switch (m->signo) {
	case SIGSEGV:
	case SIGBUS:
	case SIGFPE:
	case SIGILL:
	case SIGTRAP:
		return m->code > 0 && m->code != SI_KERNEL;
	default:
		return false;
	}
}

static const char *signal_text(const struct timeline_mark *m, char *buf, size_t size)
{
	const char *name = sigabbrev_np((int)m->signo);

	if (name)
		snprintf(buf, size, "SIG%s", name);
	else
		snprintf(buf, size, "signal %u", m->signo);
	return buf;
}

static void add_signals(struct report *report, const struct timeline_summary *s,
			const struct trace *t)
{
	static const struct report_column columns[] = {
		{ "signal", "signal", REPORT_TEXT },   { "at", "at", REPORT_NS },
		{ "thread", "thread", REPORT_TEXT },   { "code", "code", REPORT_TEXT },
		{ "address", "address", REPORT_TEXT }, { "stack", "stack", REPORT_STACK },
	};
	struct report_section *section = report_section(report, "signals", "Signals");
	struct report_table *table =
		report_table(section, "signals", NULL, columns, ARRAY_SIZE(columns));
	struct strbuf stack = { 0 };
	char text[96];

	for (size_t i = 0; i < s->nr_marks; i++) {
		const struct timeline_mark *m = &s->marks[i];

		if (!m->signo)
			continue;
		report_add_text(table, signal_text(m, text, sizeof(text)));
		report_add(table, (int64_t)(m->time - t->start));
		report_add_text(table, thread_text(t, m, text, sizeof(text)));
		if (m->signo != SIGKILL)
			report_add_text(table, code_text(m, text, sizeof(text)));
		else
			report_add_none(table);
		if (has_address(m)) {
			snprintf(text, sizeof(text), "0x%" PRIx64, m->address);
			report_add_text(table, text);
		} else {
			report_add_none(table);
		}
		timeline_put_stack(t, m->stack, &stack);
		report_add_text(table, stack.len ? strbuf_str(&stack) : "(none)");
	}
	strbuf_release(&stack);
}

/*
 * As the signal found them, the last one first: it ended the process. Of the threads that the kernel
 * kills with it the file has them, too; what matters are those of the one that began.
 */
static void add_registers(struct report *report, const struct timeline_summary *s,
			  const struct trace *t)
{
	static const struct report_column columns[] = {
		{ "thread", "thread", REPORT_TEXT },
		{ "at", "at", REPORT_NS },
		{ "register", "register", REPORT_TEXT },
		{ "value", "value", REPORT_TEXT },
	};
	struct report_table *table = NULL;
	struct report_section *section;
	char text[96];

	for (size_t i = s->nr_marks; i--;) {
		const struct timeline_mark *m = &s->marks[i];

		if (m->signo == SIGKILL || !m->nr_registers)
			continue;
		if (!table) {
			section = report_section(report, "registers",
						 "Registers that the signal found");
			table = report_table(section, "registers", NULL, columns,
					     ARRAY_SIZE(columns));
		}
		for (size_t j = 0; j < m->nr_registers; j++) {
			report_add_text(table, thread_text(t, m, text, sizeof(text)));
			report_add(table, (int64_t)(m->time - t->start));
			report_add_text(table, trace_string(t, m->registers[j].name));
			snprintf(text, sizeof(text), "0x%" PRIx64, m->registers[j].value);
			report_add_text(table, text);
		}
	}
}

void timeline_report_marks(struct report *report, const struct timeline_summary *s,
			   const struct trace *t)
{
	if (s->triggers)
		add_triggers(report, s, t);
	if (s->signals) {
		add_signals(report, s, t);
		add_registers(report, s, t);
	}
}
