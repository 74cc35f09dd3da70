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

enum phase {
	IDLE,
	PENDING, /* a dump is to be written, at `due` */
	WRITING,
	FAILED, /* it could not be begun */
};

struct flight {
	struct flight_options o;
	struct trace_ring *ring;
	enum phase phase;
	uint64_t due, from;
	uint64_t quiet_until; /* no trigger counts before */
	uint64_t asked, asks; /* number of the one at work; given out so far */
	const char *why;
	char *path;
	int err;
	char **kept; /* paths of dumps, oldest first */
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
		free(f->kept[i]);
	free(f->kept);
	free(f->path);
	free(f);
}

struct trace_ring *flight_ring(struct flight *f)
{
	return f->ring;
}

bool flight_hit(struct flight *f, const struct trigger_hit *hit)
{
	if (f->phase != IDLE || hit->time < f->quiet_until) {
		f->stats.suppressed++;
		return false;
	}
	f->phase = PENDING;
	f->why = hit->trigger->text;
	f->asked = 0;
	f->due = hit->time + f->o.after_ns;
	f->from = f->o.before_ns && hit->begin > f->o.before_ns ? hit->begin - f->o.before_ns : 0;
	return true;
}

uint64_t flight_ask(struct flight *f, const char *why, uint64_t now)
{
	if (f->phase != IDLE)
		return 0;
	f->phase = PENDING;
	f->why = why;
	f->asked = ++f->asks;
	f->due = now;
	f->from = 0;
	return f->asked;
}

bool flight_due(const struct flight *f, uint64_t now, bool last)
{
	return f->phase == PENDING && (last || now >= f->due);
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
	slug(f->why, why, sizeof(why));
	if (asprintf(&path, "%s/%d-%s.%03uZ-%s.periscope", f->o.dir, f->o.pid, when,
		     (unsigned int)(realtime / 1000000 % 1000), why) < 0)
		return NULL;
	return path;
}

int flight_write(struct flight *f, uint64_t now, uint64_t realtime)
{
	struct trace_dump d = { .from = f->from, .end = now, .start = now, .realtime = realtime };
	int err;

	free(f->path);
	f->path = dump_path(f, realtime);
	d.path = f->path;
	err = f->path ? trace_ring_dump(f->ring, &d) : -ENOMEM;
	f->err = err;
	f->phase = err ? FAILED : WRITING;
	return err;
}

static void keep(struct flight *f, const char *path)
{
	char *copy = strdup(path);

	if (!copy || array_grow((void **)&f->kept, f->nr_kept, &f->cap_kept, sizeof(*f->kept))) {
		free(copy);
		return;
	}
	f->kept[f->nr_kept++] = copy;
	while (f->o.keep && f->nr_kept > f->o.keep) {
		if (!unlink(f->kept[0]))
			f->stats.removed++;
		free(f->kept[0]);
		memmove(f->kept, f->kept + 1, --f->nr_kept * sizeof(*f->kept));
	}
}

int flight_done(struct flight *f, bool wait, struct flight_dump *ret)
{
	uint64_t bytes = 0;

	if (f->phase != FAILED &&
	    (f->phase != WRITING || !trace_ring_dumped(f->ring, wait, &f->err, &bytes)))
		return 0;
	if (f->err) {
		f->stats.failed++;
	} else {
		f->stats.dumps++;
		f->stats.bytes += bytes;
		keep(f, f->path);
	}
	*ret = (struct flight_dump){
		.path = f->path, .why = f->why, .err = f->err, .bytes = bytes, .asked = f->asked
	};
	f->phase = IDLE;
	f->quiet_until = now_ns() + f->o.cooldown_ns;
	return 1;
}

void flight_stats(const struct flight *f, struct flight_stats *ret)
{
	*ret = f->stats;
}
