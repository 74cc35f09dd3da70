/* SPDX-License-Identifier: MIT */
#include "flight.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "util.h"

/* A dump that is there. */
struct kept {
	char *path;
	uint64_t bytes;
};

struct flight {
	struct flight_options o;
	struct trace_ring *ring;
	/* A dump that is wanted. */
	struct {
		bool set, triggered, urgent;
		const char *why;
		uint64_t due, from;
		uint64_t asked; /* 0: nobody has */
	} next;
	/* The one that is being written. */
	struct {
		bool set, triggered;
		const char *why;
		uint64_t asked;
		char *path;
		int err; /* it could not be begun */
	} now;
	uint64_t quiet_until; /* no trigger counts before */
	uint64_t asks;	      /* numbers given out */
	struct kept *kept;    /* oldest first */
	size_t nr_kept, cap_kept;
	struct flight_stats stats;
};

struct flight *flight_new(const struct flight_options *o)
{
	struct flight *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->o = *o;
	f->ring = trace_ring_new(o->max_bytes, o->max_ns);
	if (f->ring)
		return f;
	free(f);
	errno = ENOMEM;
	return NULL;
}

void flight_free(struct flight *f)
{
	if (!f)
		return;
	trace_ring_free(f->ring);
	for (size_t i = 0; i < f->nr_kept; i++)
		free(f->kept[i].path);
	free(f->kept);
	free(f->now.path);
	free(f);
}

struct trace_ring *flight_ring(struct flight *f)
{
	return f->ring;
}

/* What is the process's last word is not for waiting. */
static bool is_urgent(const struct trigger *t)
{
	return t->kind == TRIGGER_SIGNAL || t->kind == TRIGGER_EXIT || t->kind == TRIGGER_OOM;
}

bool flight_hit(struct flight *f, const struct trigger_hit *hit)
{
	bool urgent = is_urgent(hit->trigger);
	uint64_t from = f->o.before_ns && hit->begin > f->o.before_ns ? hit->begin - f->o.before_ns
								      : 0;

	if (f->next.triggered
		    ? !urgent || f->next.urgent
		    : !urgent && ((f->now.set && f->now.triggered) || hit->time < f->quiet_until)) {
		f->stats.suppressed++;
		return false;
	}
	/* One dump shows both, if another was wanted already. */
	f->next.from = f->next.set ? MIN(f->next.from, from) : from;
	f->next.set = f->next.triggered = true;
	f->next.urgent = urgent;
	f->next.why = hit->trigger->text;
	f->next.due = hit->time + f->o.after_ns;
	return true;
}

uint64_t flight_ask(struct flight *f, const char *why, uint64_t now)
{
	if (!f->next.set) {
		f->next.set = true;
		f->next.why = why;
		f->next.due = now;
	}
	f->next.asked = ++f->asks;
	return f->next.asked;
}

bool flight_due(const struct flight *f, uint64_t now, bool last)
{
	return f->next.set && !f->now.set && (last || now >= f->next.due);
}

/* What a trigger is called in a file's name. */
static void slug(const char *text, char *buf, size_t size)
{
	size_t n = 0;

	for (; *text && n + 1 < size; text++) {
		if (isalnum((unsigned char)*text))
			buf[n++] = *text;
		else if (n && buf[n - 1] != '-')
			buf[n++] = '-';
	}
	while (n && buf[n - 1] == '-')
		n--;
	buf[n] = '\0';
}

static char *dump_path(const struct flight *f, uint64_t realtime)
{
	time_t seconds = realtime / 1000000000;
	char when[32], why[48], *path;
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(when, sizeof(when), "%Y%m%dT%H%M%S", &tm);
	slug(f->now.why, why, sizeof(why));
	if (asprintf(&path, "%s/%d-%s.%03uZ-%s.periscope", f->o.dir, f->o.pid, when,
		     (unsigned int)(realtime / 1000000 % 1000), why) < 0)
		return NULL;
	return path;
}

static void remove_oldest(struct flight *f)
{
	/* Whoever has taken it away meanwhile has done it for us. */
	if (!unlink(f->kept[0].path))
		f->stats.removed++;
	free(f->kept[0].path);
	memmove(f->kept, f->kept + 1, --f->nr_kept * sizeof(*f->kept));
}

/* Room on the disk for a dump of what there is. */
static int make_room(struct flight *f)
{
	uint64_t bytes = trace_ring_dump_size(f->ring);

	if (!f->o.max_disk)
		return 0;
	if (bytes > f->o.max_disk)
		return -EDQUOT;
	for (size_t i = 0; i < f->nr_kept; i++)
		bytes += f->kept[i].bytes;
	while (f->nr_kept && bytes > f->o.max_disk) {
		bytes -= f->kept[0].bytes;
		remove_oldest(f);
	}
	return 0;
}

int flight_write(struct flight *f, uint64_t now, uint64_t realtime)
{
	struct trace_dump d = {
		.from = f->next.from, .end = now, .start = now, .realtime = realtime
	};

	free(f->now.path);
	f->now.why = f->next.why;
	f->now.asked = f->next.asked;
	f->now.triggered = f->next.triggered;
	f->now.path = dump_path(f, realtime);
	memset(&f->next, 0, sizeof(f->next));
	d.path = f->now.path;
	f->now.err = f->now.path ? make_room(f) : -ENOMEM;
	if (!f->now.err)
		f->now.err = trace_ring_dump(f->ring, &d);
	f->now.set = true;
	return f->now.err;
}

static void keep(struct flight *f, const struct trace_dumped *done)
{
	char *copy = strdup(done->path);

	if (!copy || array_grow((void **)&f->kept, f->nr_kept, &f->cap_kept, sizeof(*f->kept))) {
		free(copy);
		return;
	}
	f->kept[f->nr_kept++] = (struct kept){ copy, done->bytes };
	while (f->o.keep && f->nr_kept > f->o.keep)
		remove_oldest(f);
}

int flight_done(struct flight *f, bool wait, struct flight_dump *ret)
{
	struct trace_dumped done = { .err = f->now.err };

	if (!f->now.set || (!done.err && !trace_ring_dumped(f->ring, wait, &done)))
		return 0;
	if (done.err) {
		f->stats.failed++;
	} else {
		f->stats.dumps++;
		f->stats.bytes += done.bytes;
		free(f->now.path);
		f->now.path = done.path;
		keep(f, &done);
	}
	*ret = (struct flight_dump){
		.path = f->now.path,
		.why = f->now.why,
		.err = done.err,
		.bytes = done.bytes,
		.asked = f->now.asked,
	};
	f->now.set = false;
	if (f->now.triggered)
		f->quiet_until = now_ns() + f->o.cooldown_ns;
	return 1;
}

void flight_stats(const struct flight *f, struct flight_stats *ret)
{
	*ret = f->stats;
}
