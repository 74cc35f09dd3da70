/* SPDX-License-Identifier: MIT */
#include "capture_offcpu.h"

#include <assert.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ksyms.h"
#include "request_probes.h"
#include "offcpu.skel.h"
#include "sleepers.h"
#include "util.h"
#include "watch.h"

#define THREAD_BATCH 1024

enum link { LINK_SWITCH, LINK_WAKING, LINK_NEW, LINK_EXEC, NR_LINKS };

struct capture_offcpu {
	struct watch watch; /* first, for watch_op_* */
	struct capture_offcpu_options o;
	struct offcpu_bpf *bpf;
	struct sampler sampler;
	struct sleepers sleepers;
	struct request_probes requests; /* with no_idle */
	struct bpf_link *links[NR_LINKS];
	struct offcpu_waits waits;
	uint64_t keys_at;   /* bss->new_keys when the waits were last emptied */
	uint64_t stacks_at; /* watch.new_stacks when the names were last emptied */
	unsigned int bank;  /* that the programs write to */
	uint64_t nr_scans;
	uint64_t unmapped_at;	 /* bss->unmapped_waits, and */
	uint32_t generations_at; /* the target's generations, when stacks were last read again */
	bool held;		 /* a command that does not run yet: the window begins with it */
	bool running;
};

/* ---------------------------------------------------------------- requests in flight ---- */

/* Where a request begins and where it ends. */
#define ROLES (1U << ROLE_BEGIN | 1U << ROLE_END | 1U << ROLE_STATUS)

static int prepare_requests(struct capture_offcpu *c)
{
	int err;

	if (!c->o.no_idle)
		return 0;
	err = bpf_map__set_max_entries(c->bpf->maps.in_flight, OFFCPU_MAX_REQUESTS);
	return err ? err
		   : request_probes_prepare(c->bpf->progs.offcpu_request, c->bpf->maps.usdt_specs);
}

static void open_requests(struct capture_offcpu *c)
{
	c->requests.roles = ROLES;
	c->requests.prog_fd = bpf_program__fd(c->bpf->progs.offcpu_request);
	c->requests.roles_fd = bpf_map__fd(c->bpf->maps.roles);
	c->requests.specs_fd = bpf_map__fd(c->bpf->maps.usdt_specs);
	c->requests.pid = c->o.only ? c->o.only : -1;
}

static int update_requests(struct capture_offcpu *c)
{
	int err = c->o.no_idle ? request_probes_follow(&c->requests, &c->watch.target) : 0;

	return err ? watch_fail(&c->watch, err, "%s", c->requests.error) : 0;
}

/* ---------------------------------------------------------------- loading ---- */

/*
 * How many arguments a tracepoint has for BPF programs, without the one that is not theirs. -1: it
 * cannot be told.
 */
static int tracepoint_arguments(const char *name)
{
	struct btf *btf = btf__load_vmlinux_btf();
	const struct btf_type *t = NULL;
	int id = btf ? btf__find_by_name_kind(btf, name, BTF_KIND_TYPEDEF) : -1, n = -1;

	if (id >= 0)
		t = btf__type_by_id(btf, btf__type_by_id(btf, (__u32)id)->type);
	if (t && btf_is_ptr(t))
		t = btf__type_by_id(btf, t->type);
	if (t && btf_is_func_proto(t))
		n = btf_vlen(t) - 1;
	btf__free(btf);
	return n;
}

/* Where the kernel's own functions are that stacks are cut at. Without names they are not cut. */
static void set_kernel_text(struct capture_offcpu *c)
{
	static const char *const schedule[] = { "__schedule", NULL };
	/* Not all that there are, but their text has these at both ends and in the middle. */
	static const char *const sleeping[] = {
		"__schedule", "schedule",  "io_schedule",  "schedule_timeout",
		"mutex_lock", "down_read", "do_nanosleep", "schedule_hrtimeout_range",
		NULL
	};
	static const char *const wakeup[] = { "try_to_wake_up", NULL };
	static const char *const interrupt[] = { "asm_common_interrupt", "asm_sysvec_*",
						 "el1h_64_irq", "el0t_64_irq", NULL };
	struct ksyms *k = c->o.kernel || c->o.wakers ? ksyms_new(NULL) : NULL;
	uint64_t text[2] = { 0 }, wake[2] = { 0 }, entry[2] = { 0 };

	if (!k)
		return;
	/* What is not found stays 0 to 0, which nothing is inside of. */
	ksyms_range(k, schedule, text);
	ksyms_range(k, wakeup, wake);
	ksyms_range(k, interrupt, entry);
	memcpy(c->bpf->rodata->wakeup_text, wake, sizeof(wake));
	memcpy(c->bpf->rodata->interrupt_text, entry, sizeof(entry));
	ksyms_range(k, sleeping, c->sleepers.sleeping);
	memcpy(c->bpf->rodata->schedule_text, text, sizeof(text));
	ksyms_free(k);
}

static void set_knobs(struct capture_offcpu *c)
{
	c->bpf->rodata->user_stacks = c->o.user;
	c->bpf->rodata->kernel_stacks = c->o.kernel;
	c->bpf->rodata->wakers = c->o.wakers;
	c->bpf->rodata->filter_reasons = c->o.reasons;
	c->bpf->rodata->filter_states = c->o.states;
	c->bpf->rodata->filter_idle = c->o.no_idle;
	c->bpf->rodata->filter_min_ns = c->o.min_ns;
	c->bpf->rodata->filter_max_ns = c->o.max_ns;
	c->bpf->rodata->switch_tells_state = tracepoint_arguments("btf_trace_sched_switch") >= 4;
	set_kernel_text(c);
}

static int on_record(void *arg, const struct event_header *e, size_t size)
{
	struct capture_offcpu *c = arg;
	const struct offcpu_exit *exit = (const void *)e;

	if (e->type != EVENT_OFFCPU_EXIT || size < sizeof(*exit))
		return -EINVAL;
	return offcpu_waits_thread(&c->waits, &exit->thread);
}

static int load(struct capture_offcpu *c)
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
	c->bpf = offcpu_bpf__open();
	if (!c->bpf)
		return watch_fail(&c->watch, -errno, "cannot open the BPF object: %s",
				  strerror(errno));
	WATCH_KNOBS(c->bpf, &wo);
	set_knobs(c);
	err = watch_prepare(&c->watch, c->bpf->obj, &wo);
	if (!err)
		err = bpf_program__set_autoload(c->bpf->progs.offcpu_sample, c->o.frequency > 0);
	if (!err)
		err = prepare_requests(c);
	if (err)
		return err;
	err = offcpu_bpf__load(c->bpf);
	if (err)
		return watch_fail(&c->watch, err, "the kernel refused the BPF programs: %s",
				  strerror(-err));
	c->sleepers.threads_fd = bpf_map__fd(c->bpf->maps.threads);
	open_requests(c);
	return watch_open(&c->watch, c->bpf->obj, &wo, on_record, c);
}

struct capture_offcpu *capture_offcpu_new(const struct capture_offcpu_options *o)
{
	struct capture_offcpu *c = calloc(1, sizeof(*c));
	struct watch none;
	int err;

	if (!c) {
		errno = -watch_fail(&none, -ENOMEM, "out of memory");
		return NULL;
	}
	c->o = *o;
	watch_init(&c->watch);
	sampler_init(&c->sampler, o->event, o->frequency);
	request_probes_init(&c->requests);
	c->sleepers = (struct sleepers){ .watch = &c->watch, .user = o->user, .kernel = o->kernel };
	err = load(c);
	if (err) {
		capture_offcpu_free(c);
		errno = -err;
		return NULL;
	}
	return c;
}

static void detach(struct capture_offcpu *c)
{
	for (size_t i = 0; i < ARRAY_SIZE(c->links); i++) {
		bpf_link__destroy(c->links[i]);
		c->links[i] = NULL;
	}
	sampler_release(&c->sampler);
	attach_release(&c->requests.attach);
}

void capture_offcpu_free(struct capture_offcpu *c)
{
	if (!c)
		return;
	detach(c);
	request_probes_release(&c->requests);
	sleepers_release(&c->sleepers);
	watch_release(&c->watch);
	offcpu_bpf__destroy(c->bpf);
	offcpu_waits_release(&c->waits);
	free(c);
}

/* The window opens now, or closes. */
static int set_edge(struct capture_offcpu *c)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	if (!bpf_prog_test_run_opts(bpf_program__fd(c->bpf->progs.offcpu_edge), &opts))
		return 0;
	return watch_fail(&c->watch, -errno, "cannot run a BPF program: %s", strerror(errno));
}

/* ---------------------------------------------------------------- the target ---- */

/* Take the threads in that are there, of one process or of all. */
static int scan(struct capture_offcpu *c, pid_t tgid)
{
	int err;

	c->bpf->bss->scan_tgid = (uint32_t)tgid;
	c->bpf->bss->scanning = true;
	err = sleepers_scan(&c->sleepers, c->bpf->progs.offcpu_scan);
	c->bpf->bss->scanning = false;
	c->bpf->bss->scan_stack = OFFCPU_SCANNED(++c->nr_scans + 1);
	return err ? watch_fail(&c->watch, err, "cannot look at the target's threads: %s",
				strerror(-err))
		   : 0;
}

/*
 * Who waits since before its mappings were known, as a process does that has just been executed and
 * waits for its first child: once they are known its stack can be told.
 */
static int read_unmapped(struct capture_offcpu *c)
{
	uint64_t unmapped = c->bpf->bss->unmapped_waits;
	uint32_t generations = c->watch.target.generations;
	int err;

	if (unmapped == c->unmapped_at || generations == c->generations_at)
		return 0;
	c->generations_at = generations;
	err = scan(c, 0);
	/* Of some the mappings may be known in part. */
	if (!err && !c->sleepers.nr_unmapped)
		c->unmapped_at = unmapped;
	return err;
}

static int offcpu_add(void *capture, pid_t pid, bool before_exec)
{
	struct capture_offcpu *c = capture;
	int err = watch_add(&c->watch, pid, before_exec);

	if (before_exec)
		c->held = true;
	return err || !c->running ? err : scan(c, pid);
}

static int attach(struct capture_offcpu *c)
{
	struct bpf_program *const programs[NR_LINKS] = {
		[LINK_SWITCH] = c->bpf->progs.offcpu_switch,
		[LINK_WAKING] = c->bpf->progs.offcpu_waking,
		[LINK_NEW] = c->bpf->progs.offcpu_new,
		[LINK_EXEC] = c->bpf->progs.offcpu_exec,
	};

	for (size_t i = 0; i < NR_LINKS; i++) {
		c->links[i] = bpf_program__attach(programs[i]);
		if (!c->links[i])
			return watch_fail(&c->watch, -errno,
					  "cannot attach to scheduler events: %s", strerror(errno));
	}
	return c->o.frequency ? sampler_open(&c->sampler, &c->watch, c->bpf->progs.offcpu_sample)
			      : 0;
}

/*
 * First the programs, then the threads that are there: whatever changes while they are looked at is
 * seen. The window opens when all is known.
 */
static int offcpu_start(void *capture)
{
	struct capture_offcpu *c = capture;
	int err = watch_start(&c->watch);

	c->bpf->bss->scan_stack = OFFCPU_SCANNED(1);
	c->bpf->bss->scanning = true;
	if (!err)
		err = attach(c);
	if (!err)
		err = scan(c, 0);
	if (!err)
		err = update_requests(c);
	if (!err && !c->held)
		err = set_edge(c);
	c->running = !err;
	return err;
}

static int offcpu_begin(void *capture)
{
	return set_edge(capture);
}

/* ---------------------------------------------------------------- collecting ---- */

static int take_wait(void *arg, const void *key, const void *value)
{
	struct capture_offcpu *c = arg;

	return offcpu_waits_add(&c->waits, key, value);
}

/*
 * Let the programs write to the other bank and empty this one. The kernel returns from the update
 * of a map of maps when no program that runs has the old map.
 */
static int collect_waits(struct capture_offcpu *c)
{
	const int banks[] = { bpf_map__fd(c->bpf->maps.waits_a),
			      bpf_map__fd(c->bpf->maps.waits_b) };
	const int full = banks[c->bank], empty = banks[!c->bank];
	uint32_t zero = 0;
	int err = 0;

	c->keys_at = c->bpf->bss->new_keys;
	if (bpf_map_update_elem(bpf_map__fd(c->bpf->maps.waits), &zero, &empty, BPF_ANY))
		err = -errno;
	c->bank = !c->bank;
	if (!err)
		err = watch_drain(full, sizeof(struct offcpu_key), sizeof(struct offcpu_value),
				  take_wait, c);
	return err ? watch_fail(&c->watch, err, "cannot collect: %s", strerror(-err)) : 0;
}

static int offcpu_poll(void *capture)
{
	struct capture_offcpu *c = capture;
	int err = watch_poll(&c->watch);

	if (!err)
		err = update_requests(c);
	if (!err)
		err = read_unmapped(c);
	if (!err && c->bpf->bss->new_keys - c->keys_at > OFFCPU_MAX_KEYS / 2)
		err = collect_waits(c);
	/* Stacks whose frames are here: one that comes again is sent again. */
	if (!err && c->watch.new_stacks - c->stacks_at > STACK_MAX_KEYS / 2) {
		stack_feed_forget(&c->watch.feed);
		c->stacks_at = c->watch.new_stacks;
	}
	return err;
}

static bool is_wanted(const struct capture_offcpu *c, const struct offcpu_thread *t,
		      const struct offcpu_value *v)
{
	return v->waits && !t->unwanted && v->longest >= c->o.min_ns && v->longest <= c->o.max_ns;
}

/* A thread as it is at the end, with what it is in the midst of. */
static int take_thread(void *arg, const void *key, const void *value)
{
	struct capture_offcpu *c = arg;
	struct offcpu_thread t = *(const struct offcpu_thread *)value;
	struct offcpu_key wait = {
		.stack = t.stack,
		.tgid = t.tgid,
		.tid = t.tid,
		.reason = t.reason,
		.state = t.state,
		.idle = t.idle,
	};
	struct offcpu_value v;
	int err = 0;

	(void)key;
	if (t.doing == OFFCPU_IS_DEAD)
		return 0;
	if (c->o.wakers && t.doing == OFFCPU_IS_BLOCKED && t.woken > t.since)
		wait.waker = t.waker;
	offcpu_open_wait(&t, c->bpf->data->window_start, c->bpf->data->window_end, &v);
	if (is_wanted(c, &t, &v))
		err = offcpu_waits_add(&c->waits, &wait, &v);
	return err ? err : offcpu_waits_thread(&c->waits, &t);
}

/* The programs are detached first; collect_waits waits for those that still run. */
static int offcpu_stop(void *capture)
{
	struct capture_offcpu *c = capture;
	int err;

	if (!c->running)
		return 0;
	c->running = false;
	err = watch_consume(&c->watch);
	if (!err)
		err = read_unmapped(c);
	if (!err)
		err = set_edge(c);
	detach(c);
	if (!err)
		err = collect_waits(c);
	if (!err)
		err = watch_consume(&c->watch);
	if (err)
		return err;
	err = watch_drain(bpf_map__fd(c->bpf->maps.threads), sizeof(uint32_t),
			  sizeof(struct offcpu_thread), take_thread, c);
	if (!err)
		err = sleepers_complete(&c->sleepers);
	return err ? watch_fail(&c->watch, err, "cannot collect: %s", strerror(-err)) : 0;
}

/* ---------------------------------------------------------------- results ---- */

ssize_t capture_offcpu_stack(const struct capture_offcpu *c, const struct offcpu_key *key)
{
	uint64_t name = key->stack;

	if (name != OFFCPU_NO_STACK && !(name & 1))
		name = sleepers_find(&c->sleepers, key->tid, name);
	return name == OFFCPU_NO_STACK ? -1 : stacks_find(&c->watch.stacks, name);
}

ssize_t capture_offcpu_waker(const struct capture_offcpu *c, const struct offcpu_key *key)
{
	return key->waker ? stacks_find(&c->watch.stacks, key->waker) : -1;
}

static void count_stacks(const struct capture_offcpu *c, struct capture_offcpu_stats *ret)
{
	for (size_t i = 0; i < c->waits.nr; i++) {
		const struct offcpu_wait *w = &c->waits.items[i];
		ssize_t at = capture_offcpu_stack(c, &w->key);
		const struct stack *s = at < 0 ? NULL : &c->watch.stacks.items[at];

		if (w->key.reason == OFFCPU_RUNNING) {
			ret->samples += w->value.waits;
		} else {
			offcpu_value_add(&ret->all, &w->value);
		}
		/* A thread that has not run yet has no stack to lose. */
		if (w->key.reason == OFFCPU_START)
			ret->by_end[UNWIND_COMPLETE] += w->value.waits;
		else if (!s)
			ret->no_stack += w->value.waits;
		else
			ret->by_end[MIN(s->end, UNWIND_NR_ENDS - 1)] += w->value.waits;
		if (s && s->guessed)
			ret->guessed += w->value.waits;
	}
}

void capture_offcpu_stats(struct capture_offcpu *c, struct capture_offcpu_stats *ret)
{
	*ret = (struct capture_offcpu_stats){
		.window_ns = c->bpf->data->window_end - c->bpf->data->window_start,
		.threads = c->waits.nr_threads,
		.lost_ring = watch_stat(&c->watch, STAT_LOST_RING),
		.lost_names = watch_stat(&c->watch, STAT_LOST_COUNTS),
		.lost_scratch = watch_stat(&c->watch, STAT_LOST_SCRATCH),
		.unreported = c->bpf->bss->unreported,
		.misread = c->bpf->bss->kernel_misread,
		.lost = c->bpf->bss->lost_waits,
		.lost_ns = c->bpf->bss->lost_ns,
		.lost_threads = c->bpf->bss->lost_threads,
		.lost_events = watch_stat(&c->watch, STAT_LOST_EVENTS),
		.lost_requests = c->bpf->bss->lost_requests + c->bpf->bss->bad_arguments,
	};
	for (size_t i = 0; i < c->waits.nr_threads; i++)
		ret->running_ns += c->waits.threads[i].running;
	count_stacks(c, ret);
}

const struct offcpu_waits *capture_offcpu_waits(const struct capture_offcpu *c)
{
	return &c->waits;
}

const struct stacks *capture_offcpu_stacks(const struct capture_offcpu *c)
{
	return &c->watch.stacks;
}

const struct target *capture_offcpu_target(const struct capture_offcpu *c)
{
	return &c->watch.target;
}

enum cpu_event capture_offcpu_event(const struct capture_offcpu *c)
{
	return c->sampler.event;
}

static uint64_t offcpu_count(void *capture)
{
	struct capture_offcpu *c = capture;

	return watch_stat(&c->watch, STAT_SAMPLES);
}

static_assert(offsetof(struct capture_offcpu, watch) == 0, "as watch_op_* want it");

const struct capture_ops capture_offcpu_ops = {
	.add = offcpu_add,
	.start = offcpu_start,
	.begin = offcpu_begin,
	.poll = offcpu_poll,
	.stop = offcpu_stop,
	.fd = watch_op_fd,
	.alive = watch_op_alive,
	.knows = watch_op_knows,
	.count = offcpu_count,
	.error = watch_op_error,
	.unit = "waits",
};
