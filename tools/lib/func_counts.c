/* SPDX-License-Identifier: MIT */
#include "func_counts.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

#define BATCH 4096

void func_counts_release(struct func_counts *c)
{
	free(c->stats);
	free(c->buckets);
	*c = (struct func_counts){ 0 };
}

void func_results_free(struct func_result *results, size_t n)
{
	for (size_t i = 0; i < n; i++)
		hist_release(&results[i].latency);
	free(results);
}

/* ---------------------------------------------------------------- reading ---- */

static void add_stat(struct func_stat *sum, const struct func_stat *s)
{
	sum->calls += s->calls;
	sum->returns += s->returns;
	sum->missing += s->missing;
	sum->ns += s->ns;
	sum->on_cpu_ns += s->on_cpu_ns;
	sum->outer_ns += s->outer_ns;
	sum->allocs += s->allocs;
	sum->alloc_bytes += s->alloc_bytes;
	sum->min_ns = MAX(sum->min_ns, s->min_ns);
	sum->max_ns = MAX(sum->max_ns, s->max_ns);
}

static int read_stats(struct func_counts *c, int fd)
{
	int cpus = libbpf_num_possible_cpus(), err = 0;
	struct func_stat *values = cpus > 0 ? calloc(cpus, sizeof(*values)) : NULL;

	c->stats = calloc(c->nr + 1, sizeof(*c->stats));
	if (!values || !c->stats)
		err = -ENOMEM;
	for (uint32_t i = 0; i < c->nr && !err; i++) {
		if (bpf_map_lookup_elem(fd, &i, values))
			err = -errno;
		for (int j = 0; j < cpus && !err; j++)
			add_stat(&c->stats[i], &values[j]);
	}
	free(values);
	return err;
}

static int by_key(const void *a, const void *b)
{
	const struct func_bucket_count *x = a, *y = b;

	if (x->key.func != y->key.func)
		return x->key.func < y->key.func ? -1 : 1;
	return x->key.bucket < y->key.bucket ? -1 : x->key.bucket > y->key.bucket;
}

static int add_bucket(struct func_counts *c, const struct func_bucket *key, uint64_t count)
{
	if (key->func >= c->nr)
		return 0;
	if (array_grow((void **)&c->buckets, c->nr_buckets, &c->cap_buckets, sizeof(*c->buckets)))
		return -ENOMEM;
	c->buckets[c->nr_buckets++] = (struct func_bucket_count){ *key, count };
	return 0;
}

static int read_buckets(struct func_counts *c, int fd)
{
	struct func_bucket *keys = calloc(BATCH, sizeof(*keys));
	uint64_t *values = calloc(BATCH, sizeof(*values));
	int err = keys && values ? 0 : -ENOMEM, add_err = 0;
	__u32 token, n, *in = NULL;

	while (!err) {
		n = BATCH;
		if (bpf_map_lookup_batch(fd, in, &token, keys, values, &n, NULL))
			err = -errno;
		/* ENOENT: that was the last batch; n of it are there. */
		if (!err || err == -ENOENT)
			for (__u32 i = 0; i < n && !add_err; i++)
				add_err = add_bucket(c, &keys[i], values[i]);
		in = &token;
	}
	free(keys);
	free(values);
	if (c->nr_buckets)
		qsort(c->buckets, c->nr_buckets, sizeof(*c->buckets), by_key);
	return err == -ENOENT ? add_err : err;
}

int func_counts_read(struct func_counts *ret, int funcs_fd, int buckets_fd, size_t nr)
{
	struct func_counts c = { .nr = nr };
	int err = read_stats(&c, funcs_fd);

	if (!err)
		err = read_buckets(&c, buckets_fd);
	if (err)
		func_counts_release(&c);
	else
		*ret = c;
	return err;
}

/* ---------------------------------------------------------------- results ---- */

static uint64_t count_before(const struct func_counts *before, const struct func_bucket_count *b)
{
	const struct func_bucket_count *found = NULL;

	if (before && before->nr_buckets)
		found = bsearch(b, before->buckets, before->nr_buckets, sizeof(*b), by_key);
	return found ? found->count : 0;
}

/* The buckets from *at on that are those of function i. */
static int take_buckets(const struct func_counts *now, const struct func_counts *before, size_t i,
			size_t *at, uint64_t *counts, size_t *ret_nr)
{
	size_t nr = 0;

	for (; *at < now->nr_buckets && now->buckets[*at].key.func == i; (*at)++) {
		const struct func_bucket_count *b = &now->buckets[*at];
		uint64_t n = b->count - count_before(before, b);

		if (b->key.bucket >= HIST_BUCKETS(64))
			return -EINVAL;
		memset(counts + nr, 0, (b->key.bucket - nr) * sizeof(*counts));
		counts[b->key.bucket] = n;
		nr = b->key.bucket + 1;
	}
	*ret_nr = nr;
	return 0;
}

static void subtract(struct func_stat *s, const struct func_stat *before)
{
	s->calls -= before->calls;
	s->returns -= before->returns;
	s->missing -= before->missing;
	s->ns -= before->ns;
	s->on_cpu_ns -= before->on_cpu_ns;
	s->outer_ns -= before->outer_ns;
	s->allocs -= before->allocs;
	s->alloc_bytes -= before->alloc_bytes;
}

/* The least and greatest value that the buckets may hold. */
static void bound(struct func_stat *s, const uint64_t *counts, size_t nr)
{
	size_t first = 0;

	while (nr && !counts[nr - 1])
		nr--;
	while (first < nr && !counts[first])
		first++;
	s->min_ns = nr ? ~hist_bucket_low(first) : 0;
	s->max_ns = nr ? hist_bucket_high(nr - 1) : 0;
}

int func_counts_results(const struct func_counts *now, const struct func_counts *before,
			struct func_result **ret)
{
	struct func_result *results = calloc(now->nr + 1, sizeof(*results));
	uint64_t *counts = calloc(HIST_BUCKETS(64), sizeof(*counts));
	int err = results && counts ? 0 : -ENOMEM;
	size_t at = 0, nr = 0;

	for (size_t i = 0; i < now->nr && !err; i++) {
		struct func_result *r = &results[i];

		hist_init(&r->latency);
		r->sum = now->stats[i];
		if (before && i < before->nr)
			subtract(&r->sum, &before->stats[i]);
		err = take_buckets(now, before, i, &at, counts, &nr);
		if (err || !nr)
			continue;
		if (before)
			bound(&r->sum, counts, nr);
		err = hist_add_buckets(&r->latency, counts, nr, r->sum.ns, ~r->sum.min_ns,
				       r->sum.max_ns);
	}
	free(counts);
	if (err)
		func_results_free(results, results ? now->nr : 0);
	else
		*ret = results;
	return err;
}
