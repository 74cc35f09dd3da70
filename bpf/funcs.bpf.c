/* SPDX-License-Identifier: MIT */
/*
 * periscope funcs, kernel side: calls of functions, counted and timed, on CPU and off it, with their
 * callers and arguments.
 *
 * Each thread has a stack of the calls that it is in. A call is known by its CFA, which its return
 * has as well. So calls whose return never comes are found when the stack is seen to be above them:
 * left by an exception or a jump, or too deep for the kernel.
 */
#include "vmlinux/vmlinux.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "alloc_count.bpf.h"
#include "funcs.h"
#include "hist.h"
#include "probe.bpf.h"
#include "sched_notes.bpf.h"
#include "stack_ids.bpf.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

const volatile bool with_stacks;
const volatile __u32 nr_args;
const volatile struct func_arg args[FUNCS_MAX_ARGS];

/* Set when all probes are there; cleared at the end. */
bool active;

struct func_call {
	__u64 cfa;
	__u64 began;
	__u64 off_cpu;		   /* of the thread, so far */
	__u64 allocs, alloc_bytes; /* likewise */
	__u64 stack;
	__u32 func;
	__u32 inner; /* inside of another call of the same function */
};

struct func_thread {
	__u64 off_cpu;	 /* sum of what is over */
	__u64 off_since; /* switched out then; 0: it runs */
	__u64 arrived;	 /* on its CPU; 0: not known */
	__u32 depth;
	__u32 reserved;
	struct alloc_use alloc;
	struct func_call calls[FUNCS_DEPTH];
};

static struct func_thread no_thread;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FUNCS_MAX_THREADS);
	__type(key, __u32);
	__type(value, struct func_thread);
} threads SEC(".maps");

/* By function; the number of functions that there may be is set before loading. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct func_stat);
} funcs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} func_infos SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FUNCS_MAX_BUCKETS);
	__type(key, struct func_bucket);
	__type(value, __u64);
} buckets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, STACK_MAX_KEYS);
	__type(key, struct stack_key);
	__type(value, struct func_callers);
} callers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FUNCS_MAX_VALUES);
	__type(key, struct func_value);
	__type(value, __u64);
} values SEC(".maps");

/* Texts that were sent, by their hash. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FUNCS_MAX_VALUES);
	__type(key, __u64);
	__type(value, __u8);
} texts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FUNCS_STATS);
	__type(key, __u32);
	__type(value, __u64);
} func_stats SEC(".maps");

static __always_inline void count(__u32 which)
{
	count_in(&func_stats, which);
}

/*
 * Per CPU, and changed by atomic operations all the same: where the kernel preempts, a program may
 * be interrupted by that of another task.
 */
static __always_inline struct func_stat *stat_of(__u32 func)
{
	return bpf_map_lookup_elem(&funcs, &func);
}

/* ---------------------------------------------------------------- calls ---- */

static __always_inline struct func_thread *thread_get(__u32 tid)
{
	struct func_thread *th = bpf_map_lookup_elem(&threads, &tid);

	if (th)
		return th;
	bpf_map_update_elem(&threads, &tid, &no_thread, BPF_NOEXIST);
	th = bpf_map_lookup_elem(&threads, &tid);
	if (!th)
		count(FUNCS_LOST_THREADS);
	return th;
}

static __always_inline void miss(__u32 func)
{
	struct func_stat *s = stat_of(func);

	if (s)
		__sync_fetch_and_add(&s->missing, 1);
}

/*
 * Call n of those that a thread is in; NULL beyond. The mask changes nothing but what the verifier
 * knows, which does not see that the compiler's address was calculated from a number in range.
 */
static __always_inline struct func_call *call_at(struct func_thread *th, __u32 n)
{
	if (n >= FUNCS_DEPTH)
		return NULL;
	barrier_var(n);
	return &th->calls[n & (FUNCS_DEPTH - 1)];
}

/*
 * Forget the calls whose frames are below cfa: the stack has been left up to there. With `at`, also
 * those at cfa.
 */
static __always_inline void drop_below(struct func_thread *th, __u64 cfa, bool at)
{
	struct func_call *call;
	__u32 n;

	for (__u32 i = 0; i < FUNCS_DEPTH; i++) {
		n = th->depth - 1;
		call = call_at(th, n);
		if (!call || call->cfa > cfa || (!at && call->cfa == cfa))
			break;
		miss(call->func);
		th->depth = n;
	}
}

static __always_inline bool is_inside(struct func_thread *th, __u32 func)
{
	struct func_call *call;

	for (__u32 i = 0; i < FUNCS_DEPTH; i++) {
		call = call_at(th, i);
		if (!call || i >= th->depth)
			break;
		if (call->func == func)
			return true;
	}
	return false;
}

/*
 * Is the function that begins with this CFA tail-called by one whose return is probed? Then its
 * return address is the kernel's already, and both return; else what is known at this CFA is stale.
 */
static __always_inline bool is_tail_call(__u64 cfa)
{
#if defined(__TARGET_ARCH_x86)
	__u64 page = uprobe_page(bpf_get_current_task_btf()), address = 0;

	return page && !bpf_probe_read_user(&address, sizeof(address), (void *)(cfa - 8)) &&
	       address - page < 4096;
#else
	return false; /* probe_site chooses no sites on other machines */
#endif
}

static __always_inline void push(struct func_thread *th, __u32 func, __u64 cfa, __u64 stack)
{
	struct func_call *call;

	drop_below(th, cfa, false);
	call = call_at(th, th->depth - 1);
	if (call && call->cfa == cfa && !is_tail_call(cfa))
		drop_below(th, cfa, true);
	call = call_at(th, th->depth);
	if (!call) {
		miss(func);
		return;
	}
	call->cfa = cfa;
	call->off_cpu = th->off_cpu;
	call->allocs = th->alloc.count;
	call->alloc_bytes = th->alloc.bytes;
	call->stack = stack;
	call->func = func;
	call->inner = is_inside(th, func);
	/* Last: what came before is not the call's. */
	call->began = bpf_ktime_get_ns();
	th->depth++;
}

/* ---------------------------------------------------------------- arguments ---- */

static __always_inline __u64 hash_text(const char *text)
{
	const __u64 *words = (const __u64 *)text;
	__u64 hash = 0;

	for (int i = 0; i < FUNCS_TEXT / 8; i++) {
		hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15ULL;
		hash ^= hash >> 29;
	}
	return hash | 4; /* unlike the special ones */
}

/* The hash of a text, which is sent to user space when it is new. */
static __noinline __u64 intern_text(__u64 address, __u32 tgid)
{
	struct func_text e;
	__u64 hash;
	__u8 one = 1;

	if (!address)
		return FUNC_TEXT_NULL;
	__builtin_memset(&e, 0, sizeof(e));
	if (bpf_probe_read_user_str(e.text, sizeof(e.text), (void *)address) < 0)
		return FUNC_TEXT_UNREADABLE;
	hash = hash_text(e.text);
	if (bpf_map_lookup_elem(&texts, &hash))
		return hash;
	if (bpf_map_update_elem(&texts, &hash, &one, BPF_NOEXIST))
		return hash;
	e.header.type = EVENT_FUNC_TEXT;
	e.header.tgid = tgid;
	e.header.arg = hash;
	if (bpf_ringbuf_output(&events, &e, sizeof(e), BPF_RB_NO_WAKEUP))
		bpf_map_delete_elem(&texts, &hash);
	return hash;
}

static __always_inline __u64 convert(__u64 value, __u8 kind, __u32 tgid)
{
	switch (kind) {
	case FUNC_ARG_INT:
		return (__u64)(__s64)(__s32)value;
	case FUNC_ARG_UINT:
		return (__u32)value;
	case FUNC_ARG_TEXT:
		return intern_text(value, tgid);
	default:
		return value;
	}
}

static __always_inline void count_value(struct pt_regs *ctx, __u64 cookie, __u32 i, __u32 tgid)
{
	struct func_value key = { .func = PROBE_COOKIE_ID(cookie), .arg = i };
	__u64 value, one = 1, *n;

	if (probe_arg(ctx, cookie, args[i].number, &value)) {
		count(FUNCS_LOST_ARGS);
		return;
	}
	key.value = convert(value, args[i].kind, tgid);
	n = bpf_map_lookup_elem(&values, &key);
	if (n)
		__sync_fetch_and_add(n, 1);
	else if (bpf_map_update_elem(&values, &key, &one, BPF_NOEXIST)) {
		/* Another CPU was first, or the map is full. */
		n = bpf_map_lookup_elem(&values, &key);
		if (n)
			__sync_fetch_and_add(n, 1);
		else
			count(FUNCS_LOST_VALUES);
	}
}

/* ---------------------------------------------------------------- callers ---- */

static __always_inline struct func_callers *callers_of(__u64 stack, struct target_ids ids)
{
	struct stack_key key = { .stack = stack, .tgid = ids.tgid, .tid = ids.tid };
	struct func_callers none = { 0 }, *c;

	if (!stack)
		return NULL;
	c = bpf_map_lookup_elem(&callers, &key);
	if (c)
		return c;
	bpf_get_current_comm(none.comm, sizeof(none.comm));
	bpf_map_update_elem(&callers, &key, &none, BPF_NOEXIST);
	c = bpf_map_lookup_elem(&callers, &key);
	return c;
}

static __always_inline __u64 take_stack(struct pt_regs *ctx, struct target_ids ids)
{
	struct target_proc *proc = target_lookup(ids);
	struct walk *w = proc ? walk_claim() : NULL;
	struct func_callers *c;
	__u64 stack;

	if (!w) {
		count(FUNCS_LOST_STACKS);
		return 0;
	}
	stack_begin(w, ids);
	WALK_FROM_REGS(w, ctx);
	walk_user(w, proc);
	stack = stack_intern(w);
	walk_release(w);
	c = callers_of(stack, ids);
	if (c)
		__sync_fetch_and_add(&c->calls, 1);
	else
		count(FUNCS_LOST_STACKS);
	return stack;
}

/* ---------------------------------------------------------------- probes ---- */

static __always_inline bool is_ours(struct target_ids ids)
{
	return (targ_tgid && !filter_tids) ? ids.tgid == targ_tgid : target_lookup(ids) != NULL;
}

/* The thread, the current one, is on a CPU, whether or not that it came there was reported. */
static __always_inline void be_on_cpu(struct func_thread *th, __u64 t)
{
	__u64 since = th->off_since;

	if (!since)
		return;
	th->off_cpu += noted_arrival(bpf_get_current_task_btf(), since, t) - since;
	th->off_since = 0;
	count(FUNCS_UNREPORTED);
}

SEC("uprobe")
int func_entry(struct pt_regs *ctx)
{
	struct target_ids ids = current_ids();
	struct func_thread *th;
	struct func_stat *s;
	__u64 cookie, stack = 0;
	__u32 func, *info;

	if (!active || !is_ours(ids))
		return 0;
	cookie = bpf_get_attach_cookie(ctx);
	func = PROBE_COOKIE_ID(cookie);
	s = stat_of(func);
	info = bpf_map_lookup_elem(&func_infos, &func);
	if (!s || !info)
		return 0;
	__sync_fetch_and_add(&s->calls, 1);
	for (__u32 i = 0; i < FUNCS_MAX_ARGS; i++) {
		if (i >= nr_args)
			break;
		count_value(ctx, cookie, i, ids.tgid);
	}
	if (with_stacks)
		stack = take_stack(ctx, ids);
	if (!(*info & FUNC_RETURNS))
		return 0;
	th = thread_get(ids.tid);
	if (!th)
		return 0;
	be_on_cpu(th, bpf_ktime_get_ns());
	if (!th->depth)
		th->arrived = 0; /* of an earlier run, perhaps */
	push(th, func, probe_cfa(ctx, cookie), stack);
	return 0;
}

static __always_inline void add_latency(__u32 func, __u64 ns)
{
	struct func_bucket key = { .func = func, .bucket = hist_bucket(ns) };
	__u64 one = 1, *n = bpf_map_lookup_elem(&buckets, &key);

	if (n) {
		__sync_fetch_and_add(n, 1);
		return;
	}
	if (!bpf_map_update_elem(&buckets, &key, &one, BPF_NOEXIST))
		return;
	n = bpf_map_lookup_elem(&buckets, &key);
	if (n)
		__sync_fetch_and_add(n, 1);
	else
		count(FUNCS_LOST_BUCKETS);
}

static __always_inline void raise(__u64 *most, __u64 value)
{
	__u64 old = *most;

	for (int i = 0; i < 4 && old < value; i++) {
		__u64 now = __sync_val_compare_and_swap(most, old, value);

		if (now == old)
			break;
		old = now;
	}
}

static __always_inline void returned(const struct func_thread *th, const struct func_call *call,
				     __u64 ns, __u64 on_cpu, struct target_ids ids)
{
	struct func_stat *s = stat_of(call->func);
	struct func_callers *c;

	if (!s)
		return;
	__sync_fetch_and_add(&s->returns, 1);
	__sync_fetch_and_add(&s->ns, ns);
	__sync_fetch_and_add(&s->on_cpu_ns, on_cpu);
	if (!call->inner)
		__sync_fetch_and_add(&s->outer_ns, ns);
	if (th->alloc.count != call->allocs) {
		__sync_fetch_and_add(&s->allocs, th->alloc.count - call->allocs);
		__sync_fetch_and_add(&s->alloc_bytes, th->alloc.bytes - call->alloc_bytes);
	}
	raise(&s->min_ns, ~ns);
	raise(&s->max_ns, ns);
	add_latency(call->func, ns);
	c = callers_of(call->stack, ids);
	if (c) {
		__sync_fetch_and_add(&c->returns, 1);
		__sync_fetch_and_add(&c->ns, ns);
		__sync_fetch_and_add(&c->on_cpu_ns, on_cpu);
	}
}

SEC("uprobe")
int func_return(struct pt_regs *ctx)
{
	__u64 t = bpf_ktime_get_ns(), cfa, ns, off;
	struct target_ids ids = current_ids();
	struct func_call *call;
	struct func_thread *th;
	__u32 func, n;

	if (!active || !is_ours(ids))
		return 0;
	th = bpf_map_lookup_elem(&threads, &ids.tid);
	func = PROBE_COOKIE_ID(bpf_get_attach_cookie(ctx));
	cfa = probe_return_cfa(ctx);
	if (!th) {
		count(FUNCS_STRAY);
		return 0;
	}
	drop_below(th, cfa, false);
	n = th->depth - 1;
	call = call_at(th, n);
	if (!call || call->cfa != cfa || call->func != func) {
		count(FUNCS_STRAY);
		return 0;
	}
	th->depth = n;
	be_on_cpu(th, t);
	ns = t - call->began;
	off = th->off_cpu - call->off_cpu;
	returned(th, call, ns, off < ns ? ns - off : 0, ids);
	return 0;
}

/* ---------------------------------------------------------------- the scheduler ---- */

/* The thread, if it is in a call. */
static __always_inline struct func_thread *caller(struct task_struct *task)
{
	struct target_ids ids = ids_of(task);
	struct func_thread *th;

	if (!ids.tid || (targ_tgid && ids.tgid != targ_tgid))
		return NULL;
	th = bpf_map_lookup_elem(&threads, &ids.tid);
	return th && th->depth ? th : NULL;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(func_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	struct func_thread *th = caller(prev);
	__u64 t = bpf_ktime_get_ns();

	if (th) {
		be_on_cpu(th, t);
		if (th->arrived)
			learn_offset(prev, th->arrived);
		th->arrived = 0;
		th->off_since = t;
	}
	th = caller(next);
	if (th && th->off_since) {
		th->off_cpu += t - th->off_since;
		th->off_since = 0;
		th->arrived = t;
	}
	return 0;
}

/* Its calls never return. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(func_thread_exit, struct task_struct *task)
{
	struct target_ids ids = ids_of(task);
	struct func_thread *th = bpf_map_lookup_elem(&threads, &ids.tid);

	if (!th)
		return 0;
	drop_below(th, ~0ULL, true);
	bpf_map_delete_elem(&threads, &ids.tid);
	return 0;
}

/* ---------------------------------------------------------------- allocations ---- */

static __always_inline struct func_thread *current_caller(void)
{
	struct target_ids ids = current_ids();
	struct func_thread *th;

	if (targ_tgid && ids.tgid != targ_tgid)
		return NULL;
	th = bpf_map_lookup_elem(&threads, &ids.tid);
	return th && th->depth ? th : NULL;
}

SEC("?uprobe")
int func_alloc(struct pt_regs *ctx)
{
	struct func_thread *th = current_caller();

	if (th)
		alloc_called(ctx, &th->alloc);
	return 0;
}

SEC("?uprobe")
int func_alloc_return(struct pt_regs *ctx)
{
	struct func_thread *th = current_caller();

	if (th)
		alloc_returned(ctx, &th->alloc);
	return 0;
}
