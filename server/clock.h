/* SPDX-License-Identifier: MIT */
/*
 * The clock of everything that is measured: CLOCK_MONOTONIC, which is also that of kernel tracers.
 */
#ifndef COWORKING_CLOCK_H
#define COWORKING_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_S  UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)

static inline uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

#endif
