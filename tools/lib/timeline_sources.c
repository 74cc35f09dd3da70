/* SPDX-License-Identifier: MIT */
#include "timeline_sources.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "timeline_budget.h"

static int fail(struct timeline_sources *s, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(struct timeline_sources *s, int err, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(s->error, sizeof(s->error), format, ap);
	va_end(ap);
	return err;
}

void timeline_sources_detach(struct timeline_sources *s)
{
	attach_release(&s->probes.attach);
	attach_release(&s->points.attach);
	timeline_allocs_detach(&s->allocs);
}

void timeline_sources_release(struct timeline_sources *s)
{
	timeline_probes_release(&s->probes);
	request_probes_release(&s->points);
	timeline_allocs_release(&s->allocs);
	*s = (struct timeline_sources){ 0 };
}

static int update_probes(struct timeline_sources *s, const struct target *t)
{
	int err = timeline_probes_update(&s->probes, t);

	if (err == -E2BIG)
		return fail(s, err, "more functions match than are allowed (%zu; --max-funcs)",
			    s->probes.o.max_functions);
	return err ? fail(s, err, "cannot attach the probes: %s", attach_error(err)) : 0;
}

static int update_allocs(struct timeline_sources *s, const struct target *t, struct trace_writer *w,
			 bool first)
{
	int err;

	if (first)
		s->allocs.probes.everywhere = s->probes.o.all_processes ||
					      t->nr_procs > HEAP_PROBES_OWN;
	err = timeline_allocs_update(&s->allocs, t, w);
	return err ? fail(s, err, "--alloc: %s", s->allocs.probes.error) : 0;
}

int timeline_sources_update(struct timeline_sources *s, const struct target *t,
			    struct trace_writer *w, bool first)
{
	int err = update_probes(s, t);

	if (!err && s->with_points && t->nr_procs) {
		err = request_probes_update(&s->points, &t->objects, t->procs[0]->pid);
		if (err)
			return fail(s, err, "%s", s->points.error);
	}
	return err || !s->with_allocs ? err : update_allocs(s, t, w, first);
}

static bool may_cost(const struct timeline_sources *s, const struct target *t)
{
	return s->max_overhead > 0 && t->nr_procs && t->objects.nr &&
	       (s->with_allocs || s->probes.o.nr_functions);
}

int timeline_sources_begin(struct timeline_sources *s, const struct target *t,
			   struct trace_writer *w, bool *ret_measured,
			   struct probe_budget_verdict *ret)
{
	bool measure = may_cost(s, t);
	int err;

	s->allocs.probes.away = s->probes.away = measure;
	s->allocs.probes.alloc_only = !s->follows;
	err = timeline_sources_update(s, t, w, true);
	if (!err && t->objects.nr)
		err = timeline_sources_check(s, t);
	if (err || !measure)
		return err;
	err = timeline_budget_keep(s, t, s->max_overhead, ret_measured, ret);
	if (err)
		return err;
	err = timeline_probes_place(&s->probes, t);
	if (err)
		return fail(s, err, "cannot attach the probes: %s", attach_error(err));
	err = s->with_allocs ? timeline_allocs_place(&s->allocs, w) : 0;
	return err ? fail(s, err, "--alloc: %s", s->allocs.probes.error) : 0;
}

int timeline_sources_execed(struct timeline_sources *s, pid_t pid)
{
	timeline_probes_forget(&s->probes);
	request_probes_forget(&s->points);
	return s->with_allocs ? timeline_allocs_forget(&s->allocs, pid) : 0;
}

int timeline_sources_check(struct timeline_sources *s, const struct target *t)
{
	bool is_function;
	const char *missing = timeline_probes_missing(&s->probes, &is_function);

	if (s->points.points.nr &&
	    request_probes_check(&s->points, t->nr_procs ? t->procs[0]->pid : 0))
		return fail(s, -ENOENT, "%s", s->points.error);
	if (!missing)
		return 0;
	return fail(s, -ENOENT,
		    is_function ? "no function of the target matches '%s' (periscope probes -p PID "
				  "GLOB lists them)"
				: "no USDT probe of the target matches '%s' (periscope probes -p "
				  "PID lists them)",
		    missing);
}

void timeline_sources_note_missing(struct timeline_sources *s)
{
	static const struct target none;

	if (timeline_sources_check(s, &none))
		strbuf_printf(&s->points.notes, "%s\n", s->error);
}
