/* SPDX-License-Identifier: MIT */
#include "capture_cpu.h"

#include <assert.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cpu.skel.h"
#include "sampler.h"
#include "watch.h"

struct capture_cpu {
	struct watch watch; /* first, for watch_op_* */
	struct capture_cpu_options o;
	struct cpu_bpf *bpf;
	struct sampler sampler;
	uint64_t emptied_at; /* watch.new_stacks when the counts were last taken */
	uint64_t unmatched;
	uint64_t pauses;
	uint64_t cpu_ns;
	bool running;
};

/* ---------------------------------------------------------------- loading ---- */

static int load(struct capture_cpu *c)
{
	struct watch_options wo = {
		.children = c->o.children,
		.only = c->o.only,
		.tids = c->o.tids,
		.nr_tids = c->o.nr_tids,
	};
	int err = watch_check(&c->watch);

	if (err)
		return err;
	c->bpf = cpu_bpf__open();
	if (!c->bpf)
		return watch_fail(&c->watch, -errno, "cannot open the BPF object: %s",
				  strerror(errno));
	WATCH_KNOBS(c->bpf, &wo);
	c->bpf->rodata->user_stacks = c->o.user;
	c->bpf->rodata->kernel_stacks = c->o.kernel;
	err = watch_prepare(&c->watch, c->bpf->obj, &wo);
	if (err)
		return err;
	err = cpu_bpf__load(c->bpf);
	if (err)
		return watch_fail(&c->watch, err, "the kernel refused the BPF programs: %s",
				  strerror(-err));
	return watch_open(&c->watch, c->bpf->obj, &wo, NULL, NULL);
}

struct capture_cpu *capture_cpu_new(const struct capture_cpu_options *o)
{
	struct capture_cpu *c = calloc(1, sizeof(*c));
	struct watch none;
	int err;

	if (!c) {
		errno = -watch_fail(&none, -ENOMEM, "out of memory");
		return NULL;
	}
	c->o = *o;
	watch_init(&c->watch);
	sampler_init(&c->sampler, o->event, o->frequency);
	err = load(c);
	if (err) {
		capture_cpu_free(c);
		errno = -err;
		return NULL;
	}
	return c;
}

void capture_cpu_free(struct capture_cpu *c)
{
	if (!c)
		return;
	sampler_release(&c->sampler);
	watch_release(&c->watch);
	cpu_bpf__destroy(c->bpf);
	free(c);
}

static int cpu_add(void *capture, pid_t pid, bool before_exec)
{
	struct capture_cpu *c = capture;

	return watch_add(&c->watch, pid, before_exec);
}

static int cpu_start(void *capture)
{
	struct capture_cpu *c = capture;
	int err = watch_start(&c->watch);

	if (!err)
		err = sampler_open(&c->sampler, &c->watch, c->bpf->progs.cpu_sample);
	c->running = !err;
	return err;
}

/* ---------------------------------------------------------------- collecting ---- */

/* Only while no sample can come. */
static void collect_counts(struct capture_cpu *c)
{
	c->unmatched += stack_feed_counts(&c->watch.feed, &c->watch.stacks);
	c->emptied_at = c->watch.new_stacks;
}

static int cpu_poll(void *capture)
{
	struct capture_cpu *c = capture;
	int err = watch_poll(&c->watch);

	if (err || c->watch.new_stacks - c->emptied_at <= STACK_MAX_KEYS / 2)
		return err;
	sampler_enable(&c->sampler, false);
	err = watch_consume(&c->watch);
	if (!err)
		collect_counts(c);
	c->pauses++;
	sampler_enable(&c->sampler, true);
	return err;
}

static int cpu_stop(void *capture)
{
	struct capture_cpu *c = capture;
	int err;

	if (!c->running)
		return 0;
	c->running = false;
	sampler_enable(&c->sampler, false);
	c->cpu_ns = target_cpu_ns(&c->watch.target);
	err = watch_consume(&c->watch);
	if (!err)
		collect_counts(c);
	return err;
}

void capture_cpu_stats(struct capture_cpu *c, struct capture_cpu_stats *ret)
{
	*ret = (struct capture_cpu_stats){
		.samples = watch_stat(&c->watch, STAT_SAMPLES),
		.lost_ring = watch_stat(&c->watch, STAT_LOST_RING),
		.lost_counts = watch_stat(&c->watch, STAT_LOST_COUNTS),
		.lost_scratch = watch_stat(&c->watch, STAT_LOST_SCRATCH),
		.lost_events = watch_stat(&c->watch, STAT_LOST_EVENTS),
		.pauses = c->pauses,
		.cpu_ns = c->cpu_ns,
	};
	ret->lost = ret->lost_ring + ret->lost_counts + ret->lost_scratch + c->unmatched;
	stacks_by_end(&c->watch.stacks, ret->by_end);
	for (size_t i = 0; i < c->watch.stacks.nr_counts; i++)
		if (c->watch.stacks.items[c->watch.stacks.counts[i].stack].guessed)
			ret->guessed += c->watch.stacks.counts[i].count;
}

const struct stacks *capture_cpu_stacks(const struct capture_cpu *c)
{
	return &c->watch.stacks;
}

const struct target *capture_cpu_target(const struct capture_cpu *c)
{
	return &c->watch.target;
}

enum cpu_event capture_cpu_event(const struct capture_cpu *c)
{
	return c->sampler.event;
}

static uint64_t cpu_count(void *capture)
{
	struct capture_cpu *c = capture;

	return watch_stat(&c->watch, STAT_SAMPLES);
}

static_assert(offsetof(struct capture_cpu, watch) == 0, "as watch_op_* want it");

const struct capture_ops capture_cpu_ops = {
	.add = cpu_add,
	.start = cpu_start,
	.poll = cpu_poll,
	.stop = cpu_stop,
	.fd = watch_op_fd,
	.alive = watch_op_alive,
	.knows = watch_op_knows,
	.count = cpu_count,
	.error = watch_op_error,
	.unit = "samples",
};
