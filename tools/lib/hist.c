/* SPDX-License-Identifier: MIT */
#include "hist.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

#define WHOLE 100000 /* thousandths of a percent */

void hist_init(struct hist *h)
{
	*h = (struct hist){ .min = UINT64_MAX };
}

void hist_release(struct hist *h)
{
	free(h->counts);
	hist_init(h);
}

/* Make room for nr buckets; always some more, up to the next power of two of the values. */
static int make_room(struct hist *h, size_t nr)
{
	uint64_t *counts;

	if (nr <= h->nr)
		return 0;
	nr = MIN((nr + HIST_SUB - 1) & ~(size_t)(HIST_SUB - 1), (size_t)HIST_BUCKETS(64));
	counts = realloc(h->counts, nr * sizeof(*counts));
	if (!counts)
		return -ENOMEM;
	memset(counts + h->nr, 0, (nr - h->nr) * sizeof(*counts));
	h->counts = counts;
	h->nr = nr;
	return 0;
}

int hist_record(struct hist *h, uint64_t value)
{
	uint32_t bucket = hist_bucket(value);
	int err = make_room(h, bucket + 1);

	if (err)
		return err;
	h->counts[bucket]++;
	h->count++;
	h->sum += value;
	h->min = MIN(h->min, value);
	h->max = MAX(h->max, value);
	return 0;
}

int hist_merge(struct hist *h, const struct hist *more)
{
	int err = make_room(h, more->nr);

	if (err)
		return err;
	for (size_t i = 0; i < more->nr; i++)
		h->counts[i] += more->counts[i];
	h->count += more->count;
	h->sum += more->sum;
	h->min = MIN(h->min, more->min);
	h->max = MAX(h->max, more->max);
	return 0;
}

int hist_add_buckets(struct hist *h, const uint64_t *counts, size_t nr, uint64_t sum, uint64_t min,
		     uint64_t max)
{
	uint64_t count = 0;
	int err;

	while (nr && !counts[nr - 1])
		nr--;
	if (!nr)
		return 0;
	if (nr > HIST_BUCKETS(64) || min > max)
		return -EINVAL;
	err = make_room(h, nr);
	if (err)
		return err;
	for (size_t i = 0; i < nr; i++) {
		h->counts[i] += counts[i];
		count += counts[i];
	}
	h->count += count;
	h->sum += sum;
	h->min = MIN(h->min, min);
	h->max = MAX(h->max, max);
	return 0;
}

uint64_t hist_percentile(const struct hist *h, uint32_t milli)
{
	unsigned __int128 rank;
	uint64_t seen = 0;

	if (!h->count)
		return 0;
	if (!milli)
		return h->min;
	if (milli >= WHOLE)
		return h->max;
	rank = ((unsigned __int128)h->count * milli + WHOLE - 1) / WHOLE;
	for (uint32_t i = 0; i < h->nr; i++) {
		uint64_t low = hist_bucket_low(i);

		seen += h->counts[i];
		if (seen >= rank)
			return MIN(MAX(low + (hist_bucket_high(i) - low) / 2, h->min), h->max);
	}
	return h->max;
}

uint64_t hist_mean(const struct hist *h)
{
	return h->count ? (uint64_t)((h->sum + h->count / 2) / h->count) : 0;
}

uint64_t hist_count_between(const struct hist *h, uint64_t low, uint64_t high)
{
	uint64_t n = 0;

	for (size_t i = hist_bucket(low); i < h->nr && i <= hist_bucket(high); i++)
		n += h->counts[i];
	return n;
}
