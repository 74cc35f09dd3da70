/* SPDX-License-Identifier: MIT */
#include "capture_timeline_impl.h"

#include <assert.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

/* What a program that runs at this moment may take to submit its record. */
#define SETTLE_US 2000

static int write_failed(struct capture_timeline *c, int err)
{
	return watch_fail(&c->watch, err, "cannot write the trace: %s", strerror(-err));
}

/* ---------------------------------------------------------------- loading ---- */

static const struct {
	const char *program;
	unsigned int group;
} tracepoints[] = {
	{ "timeline_switch", TIMELINE_GROUP_SCHED },
	{ "timeline_waking", TIMELINE_GROUP_SCHED },
	{ "timeline_wakeup_new", TIMELINE_GROUP_SCHED },
	{ "timeline_sys_enter", TIMELINE_GROUP_SYSCALLS },
	{ "timeline_sys_exit", TIMELINE_GROUP_SYSCALLS },
	{ "timeline_fault", TIMELINE_GROUP_FAULTS },
	{ "timeline_io_issue", TIMELINE_GROUP_IO },
	{ "timeline_io_complete", TIMELINE_GROUP_IO },
	{ "timeline_signal", TIMELINE_GROUP_SIGNALS },
	/* Before target_exec and target_exit, which watch_start attaches: ours is asked there. */
	{ "timeline_fork", 0 },
	{ "timeline_exec", 0 },
	{ "timeline_exit", 0 },
	{ "timeline_rename", 0 },
};

static bool chosen(const struct capture_timeline *c, size_t i)
{
	return !tracepoints[i].group || c->o.groups & tracepoints[i].group;
}

/* Of some threads it cannot be: others may free what they allocate. */
static bool follows_blocks(const struct capture_timeline *c)
{
	return c->o.allocs && !c->o.watch.nr_tids;
}

static int prepare(struct capture_timeline *c)
{
	static const char *const schedule[] = { "__schedule", NULL };
	struct timeline_bpf *b = c->bpf;
	struct bpf_program *probes[] = { b->progs.timeline_usdt,   b->progs.timeline_entry,
					 b->progs.timeline_return, b->progs.timeline_request,
					 b->progs.timeline_alloc,  b->progs.timeline_alloc_return };
	uint64_t text[2] = { 0 };
	int err = 0;

	WATCH_KNOBS(b, &c->o.watch);
	b->rodata->wait_stacks = c->o.wait_stacks;
	b->rodata->sample_ns = c->o.frequency ? 1000000000 / c->o.frequency : 0;
	b->rodata->with_allocs = c->o.allocs;
	/* Without names stacks have the frames of our own machinery. */
	c->ksyms = ksyms_new(NULL);
	if (c->ksyms && !ksyms_range(c->ksyms, schedule, text))
		memcpy(b->rodata->schedule_text, text, sizeof(text));
	bpf_map__set_max_entries(b->maps.sites, TIMELINE_MAX_SITES);
	bpf_map__set_max_entries(b->maps.usdt_specs, TIMELINE_MAX_SITES + REQUEST_MAX_PROBES);
	bpf_map__set_max_entries(b->maps.outermost, TIMELINE_MAX_THREADS);
	bpf_map__set_max_entries(b->maps.told, TIMELINE_MAX_THREADS);
	for (size_t i = 0; i < ARRAY_SIZE(tracepoints); i++)
		bpf_program__set_autoload(
			bpf_object__find_program_by_name(b->obj, tracepoints[i].program),
			chosen(c, i));
	bpf_program__set_autoload(b->progs.timeline_sample, c->o.frequency > 0);
	if (c->o.allocs)
		bpf_map__set_max_entries(b->maps.allocs, TIMELINE_MAX_THREADS);
	if (follows_blocks(c)) {
		b->rodata->nr_buckets = timeline_heaps_buckets();
		bpf_map__set_max_entries(b->maps.live, timeline_heaps_buckets());
		bpf_map__set_max_entries(b->maps.heaps, HEAP_MAX_PROCS);
	}
	for (size_t i = 0; i < ARRAY_SIZE(probes) && !err; i++)
		err = attach_prepare(probes[i]);
	bpf_program__set_autoload(b->progs.timeline_alloc, c->o.allocs);
	bpf_program__set_autoload(b->progs.timeline_alloc_return, c->o.allocs);
	if (err)
		return watch_fail(&c->watch, err, "cannot prepare the probes: %s", strerror(-err));
	return watch_prepare(&c->watch, b->obj, &c->o.watch);
}

static int on_record(void *arg, void *data, size_t size)
{
	struct capture_timeline *c = arg;
	const struct timeline_record *rec = data;
	int err = timeline_record(&c->records, data, size);

	if (!err && size >= TIMELINE_HEAD && rec->kind == EVT_ALLOCATED && rec->words == 3)
		err = timeline_gauges_alloc(&c->gauges, (pid_t)rec->v[2], rec->v[0], rec->v[1]);
	/* Another thread than the first: it has the first one's number now. */
	if (!err && size >= TIMELINE_HEAD && rec->kind == EVT_EXEC && rec->v[1])
		err = timeline_sources_execed(&c->sources, (pid_t)rec->tid);
	if (err && !c->record_err)
		c->record_err = err;
	return 0;
}

static void init_sources(struct capture_timeline *c)
{
	const struct timeline_bpf *b = c->bpf;
	struct timeline_sources *s = &c->sources;
	const struct timeline_probes_options o = {
		.requests = c->o.requests && !s->points.points.nr,
		.usdt = c->o.usdt,
		.nr_usdt = c->o.nr_usdt,
		.functions = c->o.functions,
		.nr_functions = c->o.nr_functions,
		.wishes = c->o.wishes,
		.nr_wishes = c->o.nr_wishes,
		.max_functions = c->o.max_functions,
		.all_processes = c->o.watch.children,
		.usdt_prog = bpf_program__fd(b->progs.timeline_usdt),
		.entry_prog = bpf_program__fd(b->progs.timeline_entry),
		.return_prog = bpf_program__fd(b->progs.timeline_return),
		.sites_map = bpf_map__fd(b->maps.sites),
		.specs_map = bpf_map__fd(b->maps.usdt_specs),
	};

	timeline_probes_init(&s->probes, &o);
	s->with_points = c->o.requests;
	s->points.prog_fd = bpf_program__fd(b->progs.timeline_request);
	s->points.roles_fd = bpf_map__fd(b->maps.roles);
	s->points.specs_fd = bpf_map__fd(b->maps.usdt_specs);
	s->points.first_id = TIMELINE_MAX_SITES;
	s->points.pid = c->o.watch.only ? c->o.watch.only : -1;
	s->points.force_returns = c->o.force_returns;
	s->points.other_preset = TIMELINE_PROVIDER;
	s->with_allocs = c->o.allocs;
	s->follows = follows_blocks(c);
	s->max_overhead = c->o.max_overhead;
	timeline_allocs_init(&s->allocs, bpf_program__fd(b->progs.timeline_alloc),
			     bpf_program__fd(b->progs.timeline_alloc_return),
			     bpf_map__fd(b->maps.allocs));
}

/* ---- triggers ---- */

/* The mark says when it came about; who asks the log by it finds what lasted too long before. */
static int hit(struct capture_timeline *c, const struct trigger_hit *h)
{
	struct event e = {
		.time = h->time, .tid = h->tid, .cpu = EVENT_NO_CPU, .kind = EVT_TRIGGER
	};
	struct event_arg args[] = {
		{ .type = EVENT_ARG_UINT, .u = h->time - h->begin },
		{ .type = EVENT_ARG_TEXT, .text = h->what },
	};

	if (!c->o.on_hit(c->o.hit_arg, h))
		return 0;
	e.trigger.name = trace_writer_string(c->writer, h->trigger->text);
	e.trigger.request = h->request;
	args[0].name = trace_writer_string(c->writer, "lasted_ns");
	args[1].name = trace_writer_string(c->writer, "what");
	e.args = args;
	e.nr_args = *h->what ? 2 : 1;
	return trace_writer_event(c->writer, &e, 0);
}

static int on_event(void *arg, const struct event *e)
{
	struct capture_timeline *c = arg;
	struct trigger_hit h;
	int fired = triggers_event(c->o.triggers, e, &h);

	return fired > 0 ? hit(c, &h) : fired;
}

static int on_probe(void *arg, const struct timeline_probe *p, const struct timeline_record *rec)
{
	struct capture_timeline *c = arg;
	struct trigger_hit h;
	int fired = triggers_probe(c->o.triggers, p->wished_by, (const uint64_t *)rec->v,
				   p->nr_args, rec->time, rec->tid, &h);

	return fired > 0 ? hit(c, &h) : fired;
}

int capture_timeline_open(struct capture_timeline *c, struct trace_chunks *to)
{
	struct trace_writer_options o = {
		.start = now_ns(),
		.key_ns = c->o.key_ns,
		.sieve = c->o.only ? only_sieve(c->o.only) : NULL,
	};
	int err = trace_writer_new(to, &o, &c->writer);

	if (!err && c->o.only)
		only_set_writer(c->o.only, c->writer);
	if (!err)
		err = timeline_records_init(&c->records, c->writer, &c->sources.probes);
	if (err)
		return write_failed(c, err);
	if (c->o.triggers) {
		c->records.told_kinds = triggers_kinds(c->o.triggers);
		c->records.on_event = on_event;
		c->records.on_probe = on_probe;
		c->records.arg = c;
	}
	return 0;
}

static int open_heaps(struct capture_timeline *c)
{
	int err = timeline_heaps_init(&c->heaps, bpf_map__fd(c->bpf->maps.heaps),
				      bpf_map__fd(c->bpf->maps.live), &c->bpf->bss->heap_epoch,
				      &c->bpf->bss->heap_spaces);

	return err ? watch_fail(&c->watch, err, "cannot map the table of blocks: %s",
				strerror(-err))
		   : 0;
}

static int load(struct capture_timeline *c)
{
	int err = watch_check(&c->watch);

	if (err)
		return err;
	c->bpf = timeline_bpf__open();
	if (!c->bpf)
		return watch_fail(&c->watch, -errno, "cannot open the BPF object: %s",
				  strerror(errno));
	err = prepare(c);
	if (err)
		return err;
	err = timeline_bpf__load(c->bpf);
	if (err)
		return watch_fail(&c->watch, err, "the kernel refused the BPF programs: %s",
				  strerror(-err));
	err = watch_open(&c->watch, c->bpf->obj, &c->o.watch, NULL, NULL);
	if (err)
		return err;
	err = ring_buffer__add(c->watch.ring, bpf_map__fd(c->bpf->maps.timeline), on_record, c);
	if (err)
		return watch_fail(&c->watch, err, "cannot open the ring of events: %s",
				  strerror(-err));
	init_sources(c);
	return follows_blocks(c) ? open_heaps(c) : 0;
}

struct capture_timeline *capture_timeline_new(struct capture_timeline_options *o)
{
	struct capture_timeline *c = calloc(1, sizeof(*c));
	struct watch none;
	int err;

	if (!c) {
		request_points_release(&o->points);
		errno = -watch_fail(&none, -ENOMEM, "out of memory");
		return NULL;
	}
	c->o = *o;
	watch_init(&c->watch);
	request_probes_init(&c->sources.points);
	c->sources.points.points = o->points;
	o->points = (struct request_points){ 0 };
	sampler_init(&c->sampler, CPU_EVENT_AUTO, o->frequency);
	err = load(c);
	if (err) {
		capture_timeline_free(c);
		errno = -err;
		return NULL;
	}
	return c;
}

static void detach(struct capture_timeline *c)
{
	sampler_release(&c->sampler);
	for (size_t i = 0; i < c->nr_links; i++)
		bpf_link__destroy(c->links[i]);
	c->nr_links = 0;
	timeline_sources_detach(&c->sources);
}

void capture_timeline_free(struct capture_timeline *c)
{
	if (!c)
		return;
	detach(c);
	timeline_sources_release(&c->sources);
	timeline_gauges_release(&c->gauges);
	timeline_heaps_release(&c->heaps);
	timeline_records_release(&c->records);
	trace_writer_free(c->writer);
	watch_release(&c->watch);
	ksyms_free(c->ksyms);
	timeline_told_release(&c->told);
	timeline_bpf__destroy(c->bpf);
	free(c);
}

/* ---------------------------------------------------------------- the target ---- */

static int timeline_add(void *capture, pid_t pid, bool before_exec)
{
	struct capture_timeline *c = capture;
	int err = watch_add(&c->watch, pid, before_exec);

	if (!err && c->running)
		err = timeline_process(&c->records, pid, now_ns(), true);
	return err;
}

static int attach_tracepoints(struct capture_timeline *c)
{
	for (size_t i = 0; i < ARRAY_SIZE(tracepoints); i++) {
		struct bpf_link *link;

		if (!chosen(c, i))
			continue;
		link = bpf_program__attach(
			bpf_object__find_program_by_name(c->bpf->obj, tracepoints[i].program));
		if (!link)
			return watch_fail(&c->watch, -errno, "cannot attach %s: %s",
					  tracepoints[i].program, strerror(errno));
		c->links[c->nr_links++] = link;
	}
	return 0;
}

/* Let the iterator look at every task; it writes to the ring, and nothing to its own file. */
static int tell_states(struct capture_timeline *c)
{
	struct bpf_link *link = bpf_program__attach_iter(c->bpf->progs.timeline_states, NULL);
	int fd = link ? bpf_iter_create(bpf_link__fd(link)) : -1;
	char buf[64];
	int err = 0;

	if (fd < 0 || read(fd, buf, sizeof(buf)) < 0)
		err = watch_fail(&c->watch, -errno, "cannot look at the target's threads: %s",
				 strerror(errno));
	if (fd >= 0)
		close(fd);
	bpf_link__destroy(link);
	return err;
}

static int update_sources(struct capture_timeline *c)
{
	int err = timeline_sources_update(&c->sources, &c->watch.target, c->writer, !c->running);

	return err ? watch_fail(&c->watch, err, "%s", c->sources.error) : 0;
}

static int begin_sources(struct capture_timeline *c)
{
	struct probe_budget_verdict v = { 0 };
	bool measured = false;
	int err = timeline_sources_begin(&c->sources, &c->watch.target, c->writer, &measured, &v);

	if (err)
		return watch_fail(&c->watch, err, "%s", c->sources.error);
	if (measured && c->o.tell)
		c->o.tell(c->o.tell_arg, &v);
	if (c->sources.follows) {
		c->bpf->bss->with_heap = true;
		c->gauges.heaps = &c->heaps;
	}
	return 0;
}

static int timeline_start(void *capture)
{
	struct capture_timeline *c = capture;
	int err = attach_tracepoints(c);

	if (!err)
		err = watch_start(&c->watch);
	if (!err)
		err = begin_sources(c);
	if (!err && c->o.frequency)
		err = sampler_open(&c->sampler, &c->watch, c->bpf->progs.timeline_sample);
	if (err)
		return err;
	c->started = now_ns();
	c->running = true;
	for (size_t i = 0; i < c->watch.target.nr_procs && !err; i++)
		err = timeline_process(&c->records, c->watch.target.procs[i]->pid, c->started,
				       true);
	/* What is mapped now: soon nobody may be there who could tell. */
	if (!err)
		err = timeline_tell(&c->told, &c->watch, c->writer, c->ksyms, 1);
	if (err)
		return write_failed(c, err);
	c->bpf->bss->recording = true;
	return tell_states(c);
}

/* ---------------------------------------------------------------- collecting ---- */

/*
 * `stacks` only says which are known to user space. Forgetting them all makes room for others; one
 * that comes again is sent again, and known.
 */
static void forget_stacks(struct capture_timeline *c)
{
	if (c->watch.new_stacks - c->emptied_at <= STACK_MAX_KEYS / 2)
		return;
	stack_feed_forget(&c->watch.feed);
	c->emptied_at = c->watch.new_stacks;
}

static int timeline_poll(void *capture)
{
	struct capture_timeline *c = capture;
	uint64_t now = now_ns();
	int err = watch_poll(&c->watch);

	if (!err)
		err = update_sources(c);
	if (err)
		return err;
	forget_stacks(c);
	err = c->record_err;
	if (!err && c->running)
		err = timeline_gauges_read(&c->gauges, &c->watch.target, &c->records, now);
	if (!err)
		err = timeline_tell(&c->told, &c->watch, c->writer, c->ksyms,
				    TIMELINE_SYMBOLS_AT_ONCE);
	if (!err)
		err = trace_writer_poll(c->writer, now);
	return err ? write_failed(c, err) : 0;
}

/* Those of the allocator alone need a command to stand still: all its calls are to be counted. */
static int timeline_place(void *capture, pid_t pid, uint64_t pc)
{
	struct capture_timeline *c = capture;
	int done;

	if (!c->o.allocs)
		return 1;
	done = watch_poll(&c->watch);
	if (!done)
		done = timeline_allocs_lead(&c->sources.allocs, &c->watch.target, pid, pc,
					    c->writer);
	return done < 0 ? watch_fail(&c->watch, done, "--alloc: %s", c->sources.allocs.probes.error)
			: done;
}

static int tell_untracked(struct capture_timeline *c)
{
	char text[24];

	if (!c->bpf->bss->heap_untracked)
		return 0;
	snprintf(text, sizeof(text), "%llu", c->bpf->bss->heap_untracked);
	return trace_writer_info(c->writer, TIMELINE_HEAP_UNTRACKED, text);
}

static int timeline_stop(void *capture)
{
	struct capture_timeline *c = capture;
	int err;

	if (!c->running)
		return 0;
	c->running = false;
	c->bpf->bss->recording = false;
	c->ended = now_ns();
	timeline_sources_note_missing(&c->sources);
	usleep(SETTLE_US);
	err = watch_consume(&c->watch);
	detach(c);
	if (err)
		return err;
	err = c->record_err;
	if (!err && c->o.allocs)
		err = timeline_allocs_finish(&c->sources.allocs, &c->gauges, &c->records, c->ended);
	if (!err)
		err = tell_untracked(c);
	if (!err)
		err = timeline_gauges_finish(&c->gauges, &c->watch.target, &c->records, c->ended);
	if (!err)
		err = timeline_tell_losses(c->writer, bpf_map__fd(c->bpf->maps.seqs), c->ended);
	if (!err)
		err = timeline_tell(&c->told, &c->watch, c->writer, c->ksyms, 0);
	if (!err)
		err = trace_writer_finish(c->writer, c->ended);
	return err ? write_failed(c, err) : 0;
}

/* ---------------------------------------------------------------- the rest ---- */

static uint64_t timeline_count(void *capture)
{
	return ((struct capture_timeline *)capture)->records.nr_events;
}

static_assert(offsetof(struct capture_timeline, watch) == 0, "as watch_op_* want it");

const struct capture_ops capture_timeline_ops = {
	.add = timeline_add,
	.start = timeline_start,
	.place = timeline_place,
	.poll = timeline_poll,
	.stop = timeline_stop,
	.fd = watch_op_fd,
	.alive = watch_op_alive,
	.knows = watch_op_knows,
	.count = timeline_count,
	.error = watch_op_error,
	.unit = "events",
};
