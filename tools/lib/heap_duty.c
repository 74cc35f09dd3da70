/* SPDX-License-Identifier: MIT */
#include "heap_duty.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "util.h"

/* Two-sided 95 % quantiles of Student's t distribution for 1, 2, ... degrees of freedom. */
static const double student[] = {
	12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
	2.201,	2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
	2.080,	2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
};
#define NORMAL 1.960

/* For how long a window's probes are in place, as far as known: so the first span is a short one. */
static uint64_t in_place_ns(const struct heap_duty *d)
{
	return d->n ? d->in_place_ns / d->n : HEAP_WINDOW_NS;
}

static uint64_t span_ns(const struct heap_duty *d)
{
	return (uint64_t)((double)in_place_ns(d) / d->share);
}

static void due_at(struct heap_duty *d, uint64_t at)
{
	struct itimerspec when = {
		.it_value = { .tv_sec = (time_t)(at / 1000000000),
			      .tv_nsec = (long)(at % 1000000000) },
	};

	d->due_ns = at;
	timerfd_settime(d->fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* The next window: anywhere in the span. */
static void begin_span(struct heap_duty *d, uint64_t start)
{
	uint64_t room = span_ns(d) - MIN(span_ns(d), in_place_ns(d)), random = 0;

	if (getrandom(&random, sizeof(random), 0) < 0)
		random = start;
	d->span_start_ns = start;
	due_at(d, start + (room ? random % room : 0) + 1);
}

int heap_duty_init(struct heap_duty *d, double share, uint64_t now)
{
	*d = (struct heap_duty){ .share = share, .fd = -1, .started_ns = now };
	d->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (d->fd < 0)
		return -errno;
	begin_span(d, now);
	return 0;
}

void heap_duty_release(struct heap_duty *d)
{
	if (d->share > 0 && d->fd >= 0)
		close(d->fd);
	*d = (struct heap_duty){ .fd = -1 };
}

bool heap_duty_is_due(const struct heap_duty *d, uint64_t now)
{
	return d->share > 0 && now >= d->due_ns;
}

void heap_duty_placing(struct heap_duty *d, uint64_t now)
{
	d->placing_ns = now;
}

void heap_duty_opened(struct heap_duty *d, uint64_t now, uint64_t count)
{
	d->open = true;
	d->opened_ns = now;
	d->began_with = count;
	due_at(d, now + HEAP_WINDOW_NS);
}

void heap_duty_closed(struct heap_duty *d, uint64_t now, uint64_t count)
{
	double x = (double)(count - d->began_with), t = (double)(now - d->opened_ns);

	d->open = false;
	d->n++;
	d->x += x;
	d->t += t;
	d->xx += x * x;
	d->xt += x * t;
	d->tt += t * t;
}

void heap_duty_gone(struct heap_duty *d, uint64_t now)
{
	uint64_t next;

	d->in_place_ns += now - d->placing_ns;
	next = d->span_start_ns + span_ns(d);
	/* A machine that was held up does not make up for spans that are over. */
	begin_span(d, MAX(next, now));
}

double heap_duty_factor(const struct heap_duty *d, uint64_t end)
{
	return d->t > 0 ? (double)(end - d->started_ns) / d->t : 0;
}

double heap_duty_error(const struct heap_duty *d)
{
	double rate, squares, n = (double)d->n, quantile = NORMAL;

	if (d->n < 2 || d->x <= 0)
		return -1;
	if (d->n - 2 < ARRAY_SIZE(student))
		quantile = student[d->n - 2];
	/* The variance of a ratio estimate, x over t (Cochran, Sampling Techniques, 2.11). */
	rate = d->x / d->t;
	squares = fmax(d->xx - 2 * rate * d->xt + rate * rate * d->tt, 0);
	return 100 * quantile * sqrt(n * squares / (n - 1)) / d->x;
}
