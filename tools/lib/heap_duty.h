/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_HEAP_DUTY_H
#define PERISCOPE_HEAP_DUTY_H

/*
 * Looking a share of the time: in each of equal spans one window, at a random place in it, so that
 * no rhythm of the target's is met or missed each time. What is counted in the windows is scaled up
 * to all of the time; how much the windows differ says how far that may be off.
 *
 * What the share is of is the time for which probes are in place, since then they cost: it takes some
 * 10 ms until all are, and 40 until all are gone, in which nothing is counted. So spans are as long as
 * these and the window want.
 *
 * Only keeps the times and the figures; who uses it places and takes away the probes.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEAP_WINDOW_NS 50000000ULL

struct heap_duty {
	double share; /* of the time; 0: not in use */
	int fd;	      /* readable when something is due; -1: none */
	bool open;
	uint64_t span_start_ns; /* of the present span */
	uint64_t placing_ns, opened_ns, due_ns;
	uint64_t began_with; /* count when the window was opened */
	uint64_t started_ns;
	/* Of the windows that are closed: how many, and sums over x, counts, and t, ns. */
	size_t n;
	double x, t, xx, xt, tt;
	uint64_t in_place_ns; /* of the probes, in all of these */
};

/* Returns 0 or a negative errno (of the timer). */
int heap_duty_init(struct heap_duty *d, double share, uint64_t now);
void heap_duty_release(struct heap_duty *d);

/* Is it time to open a window, or to close the one that is open? */
bool heap_duty_is_due(const struct heap_duty *d, uint64_t now);

/*
 * In this order for each window: probes begin to be placed, it is open, it is closed, probes are gone.
 * count: what was counted so far.
 */
void heap_duty_placing(struct heap_duty *d, uint64_t now);
void heap_duty_opened(struct heap_duty *d, uint64_t now, uint64_t count);
void heap_duty_closed(struct heap_duty *d, uint64_t now, uint64_t count);
void heap_duty_gone(struct heap_duty *d, uint64_t now);

/* By what counts are multiplied; 0 when there was no window. end: of the time that they stand for. */
double heap_duty_factor(const struct heap_duty *d, uint64_t end);

/*
 * How far the estimate may be off, in per cent of it: half of its 95 % confidence interval, by the
 * ratio of counts to time. Less than 0: cannot be told, of fewer than two windows.
 */
double heap_duty_error(const struct heap_duty *d);

#endif
