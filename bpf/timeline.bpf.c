/* SPDX-License-Identifier: MIT */
/*
 * periscope timeline, kernel side: what happens to the target's threads, event by event. Nothing is
 * computed here that can be computed later: each program checks whose event it is, numbers it and
 * copies its fields. User space turns the records into a trace file.
 */
#include "vmlinux/vmlinux.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "kernel_trim.bpf.h"
#include "sample.bpf.h"
#include "stack_ids.bpf.h"
#include "timeline_log.bpf.h"
#include "usdt.bpf.h"
#include "wait.bpf.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

const volatile bool wait_stacks = true; /* a stack where a thread begins to wait */
const volatile __u64 sample_ns;

/* Set while a recording is on, so that it begins and ends for all programs at once. */
bool recording;

/* Requests to block devices that a thread of ours has sent. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, __u64); /* address of the struct request */
	__type(value, __u32);
} ios SEC(".maps");

/* ---------------------------------------------------------------- records ---- */

/* A record with one to four fields; with a name of a thread behind them. */
static __always_inline void put2(__u32 kind, __u32 tid, __u64 a, __u64 b)
{
	struct timeline_record *r = RESERVE(kind, tid, 2);

	if (!r)
		return;
	r->v[0] = a;
	r->v[1] = b;
	submit(r);
}

static __always_inline void put4(__u32 kind, __u32 tid, __u64 a, __u64 b, __u64 c, __u64 d)
{
	struct timeline_record *r = RESERVE(kind, tid, 4);

	if (!r)
		return;
	r->v[0] = a;
	r->v[1] = b;
	r->v[2] = c;
	r->v[3] = d;
	submit(r);
}

static __always_inline void put_name(__u32 kind, __u32 tid, __u64 a, __u64 b, const void *name)
{
	/* The name is where the record's third word would be, and the one after that. */
	struct timeline_record *r = RESERVE(kind, tid, 4);

	if (!r)
		return;
	r->words = 2;
	r->v[0] = a;
	r->v[1] = b;
	r->bytes = STACK_COMM_LEN;
	bpf_probe_read_kernel(&r->v[2], STACK_COMM_LEN, name); /* ends in NUL */
	submit(r);
}

/* Whose event it is: true and its numbers, if it is to be recorded. */
static __always_inline bool ours(struct task_struct *task, struct target_ids *ids)
{
	if (!recording)
		return false;
	*ids = ids_of(task);
	return target_lookup(*ids) != NULL;
}

static __always_inline bool current_is_ours(struct target_ids *ids)
{
	if (!recording)
		return false;
	*ids = current_ids();
	return target_lookup(*ids) != NULL;
}

/*
 * The stack of the current task, whose user registers are those it entered the kernel with; as it
 * leaves its CPU, with what it does in the kernel. Returns its name, 0 when it could not be kept
 * (which is counted).
 */
static __always_inline __u64 current_stack(void *ctx, struct target_ids ids, bool leaving)
{
	struct target_proc *proc = target_lookup(ids);
	struct walk *w;
	__u64 name;

	if (!proc)
		return 0;
	w = walk_claim();
	if (!w) {
		count_stat(STAT_LOST_SCRATCH);
		return 0;
	}
	stack_begin(w, ids);
	if (leaving) {
		/* Beyond __schedule there is schedule, or its like. */
		stack_kernel_beyond(w, ctx, schedule_text, 1);
		stack_kernel_hash(w);
	}
	if (!walk_from_saved_regs(w))
		walk_user(w, proc);
	else
		w->event.end = UNWIND_NO_REGS;
	name = stack_intern(w);
	walk_release(w);
	return name;
}

#include "timeline_alloc.bpf.h"
#include "timeline_probes.bpf.h"
#include "timeline_requests.bpf.h"

/* ---------------------------------------------------------------- scheduling ---- */

/*
 * Was the current thread only interrupted by what wakes another? The kernel's own count of
 * interrupts is out of reach where kallsyms has no variables; and it would say yes as well for a
 * packet that a thread sends to its own machine, which is delivered in a soft interrupt on the spot.
 * So: the idle task does nothing by itself, and a user thread nothing outside of system calls.
 * (A timer that fires in the middle of somebody's system call is taken for that thread's doing.)
 */
static __always_inline bool only_interrupted(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs;

	if (!task->pid)
		return true;
	if (task->flags & (PF_KTHREAD | PF_IO_WORKER))
		return false;
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
#if defined(__TARGET_ARCH_x86)
	return (int)regs->orig_ax < 0;
#else
	return regs->syscallno < 0;
#endif
}

/* linux/sched.h: TASK_DEAD, the last state of a task. */
#define TASK_IS_DEAD 0x80

static const __u8 state_of_wait[WAIT_NR] = {
	[WAIT_LOCK] = THREAD_FUTEX,  [WAIT_POLL] = THREAD_EPOLL,  [WAIT_NETWORK] = THREAD_NETWORK,
	[WAIT_DISK] = THREAD_DISK,   [WAIT_SLEEP] = THREAD_SLEEP, [WAIT_FAULT] = THREAD_FAULT,
	[WAIT_OTHER] = THREAD_OTHER,
};

static __always_inline __u32 leaving_state(bool preempt, struct task_struct *prev)
{
	__u32 state = prev->__state, class;

	if (preempt)
		return THREAD_PREEMPTED;
	if (!state)
		return THREAD_RUNNABLE;
	if (state & TASK_IS_DEAD)
		return THREAD_DEAD;
	class = wait_class(prev);
	return class < WAIT_NR ? state_of_wait[class] : THREAD_OTHER;
}

SEC("?tp_btf/sched_switch")
int BPF_PROG(timeline_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	struct target_ids from, to;
	struct timeline_record *r;
	__u64 stack = 0;
	__u32 state;

	if (ours(prev, &from)) {
		alloc_tell(from.tid);
		state = leaving_state(preempt, prev);
		if (wait_stacks && state > THREAD_PREEMPTED && state != THREAD_DEAD)
			stack = current_stack(ctx, from, true);
		r = RESERVE(EVT_SWITCH_OUT, from.tid, 3);
		if (r) {
			r->v[0] = state;
			r->v[1] = stack;
			r->v[2] = ids_of(next).tid;
			submit(r);
		}
	}
	if (ours(next, &to)) {
		r = RESERVE(EVT_SWITCH_IN, to.tid, 1);
		if (r) {
			r->v[0] = ids_of(prev).tid;
			submit(r);
		}
	}
	return 0;
}

static __always_inline void waking(struct task_struct *wakee, __u32 flags)
{
	struct target_ids to, by;

	if (!ours(wakee, &to))
		return;
	by = current_ids();
	put4(EVT_WAKING, by.tid, to.tid, BPF_CORE_READ(wakee, wake_cpu),
	     flags | (only_interrupted() ? EVENT_WAKING_IRQ : 0), 0);
}

SEC("?tp_btf/sched_waking")
int BPF_PROG(timeline_waking, struct task_struct *task)
{
	waking(task, 0);
	return 0;
}

SEC("?tp_btf/sched_wakeup_new")
int BPF_PROG(timeline_wakeup_new, struct task_struct *task)
{
	waking(task, EVENT_WAKING_NEW);
	return 0;
}

/* What each thread of ours is when the recording begins: run once, right after that. */
SEC("iter/task")
int timeline_states(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct timeline_record *r;
	struct target_ids ids;
	__u32 state, class;

	if (!task || task->exit_state || !ours(task, &ids))
		return 0;
	if (!task->__state) {
		state = task->on_cpu ? THREAD_USER : THREAD_RUNNABLE;
	} else {
		class = wait_class(task);
		state = class < WAIT_NR ? state_of_wait[class] : THREAD_OTHER;
	}
	r = RESERVE(EVT_STATE, ids.tid, 1);
	if (r) {
		r->v[0] = state;
		submit(r);
	}
	return 0;
}

/* ---------------------------------------------------------------- threads ---- */

SEC("tp_btf/sched_process_fork")
int BPF_PROG(timeline_fork, struct task_struct *parent, struct task_struct *child)
{
	struct target_ids from, to = ids_of(child);

	if (!ours(parent, &from) || (from.tgid != to.tgid && !follow_children))
		return 0;
	put_name(EVT_THREAD, to.tid, to.tgid, from.tid, child->comm);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(timeline_exec, struct task_struct *task, pid_t old_pid)
{
	struct target_ids ids;
	__u32 old = 0;

	if (!ours(task, &ids))
		return 0;
	if (old_pid != task->pid)
		old = targ_pidns ? TIMELINE_EXEC_BY_OTHER : (__u32)old_pid;
	alloc_forget(old ? old : ids.tid, ids.tid);
	heap_gone(ids.tgid);
	put_name(EVT_EXEC, ids.tid, 0, old, task->comm);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(timeline_exit, struct task_struct *task)
{
	struct target_ids ids;
	__u32 flags = 0;

	if (!ours(task, &ids))
		return 0;
	if (!task->signal->live.counter)
		flags |= EVENT_EXIT_GROUP;
	if (task->signal->oom_mm)
		flags |= EVENT_EXIT_OOM;
	alloc_forget(ids.tid, ids.tid);
	request_forget(ids.tid);
	if (flags & EVENT_EXIT_GROUP)
		heap_gone(ids.tgid);
	put2(EVT_EXIT, ids.tid, task->exit_code, flags);
	return 0;
}

SEC("tp_btf/task_rename")
int BPF_PROG(timeline_rename, struct task_struct *task, const char *comm)
{
	struct target_ids ids;

	if (ours(task, &ids))
		put_name(EVT_NAME, ids.tid, 0, 0, comm);
	return 0;
}

/* ---------------------------------------------------------------- kernel ---- */

/*
 * The calls by which return probes and optimised probes enter the kernel are our doing, not the
 * target's: uretprobe, Linux 6.11, and uprobe, 6.18 (x86, syscall_64.tbl).
 */
static __always_inline bool is_probe(long nr)
{
#if defined(__TARGET_ARCH_x86)
	return nr == 335 || nr == 336;
#else
	return false;
#endif
}

/* At its exit the number is gone: of this call, and of a probe's. */
#if defined(__TARGET_ARCH_x86)
#define SYS_RT_SIGRETURN 15
#else
#define SYS_RT_SIGRETURN 139
#endif

/* Threads that are in it. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u8);
} sigreturns SEC(".maps");

SEC("?tp_btf/sys_enter")
int BPF_PROG(timeline_sys_enter, struct pt_regs *regs, long nr)
{
	struct target_ids ids;
	__u8 one = 1;

	if (is_probe(nr) || !current_is_ours(&ids))
		return 0;
	if (nr == SYS_RT_SIGRETURN)
		bpf_map_update_elem(&sigreturns, &ids.tid, &one, BPF_ANY);
#if defined(__TARGET_ARCH_x86)
	put4(EVT_SYSCALL_ENTER, ids.tid, nr, regs->di, regs->si, regs->dx);
#else
	put4(EVT_SYSCALL_ENTER, ids.tid, nr, regs->orig_x0, regs->regs[1], regs->regs[2]);
#endif
	return 0;
}

SEC("?tp_btf/sys_exit")
int BPF_PROG(timeline_sys_exit, struct pt_regs *regs, long ret)
{
	struct target_ids ids;
	int nr;

	if (!current_is_ours(&ids))
		return 0;
#if defined(__TARGET_ARCH_x86)
	nr = regs->orig_ax;
#else
	nr = regs->syscallno;
#endif
	if (nr < 0) {
		if (bpf_map_delete_elem(&sigreturns, &ids.tid))
			return 0;
		nr = SYS_RT_SIGRETURN;
	}
	if (!is_probe(nr))
		put2(EVT_SYSCALL_EXIT, ids.tid, nr, ret);
	return 0;
}

/* asm/trap_pf.h: X86_PF_WRITE. On arm64 it is in the syndrome: ISS.WnR, bit 6. */
#if defined(__TARGET_ARCH_x86)
#define FAULT_IS_WRITE (1 << 1)
#else
#define FAULT_IS_WRITE (1 << 6)
#endif

SEC("?tp_btf/page_fault_user")
int BPF_PROG(timeline_fault, unsigned long address, struct pt_regs *regs, unsigned long error)
{
	struct target_ids ids;

	if (current_is_ours(&ids))
		put2(EVT_FAULT_BEGIN, ids.tid, address,
		     EVENT_FAULT_INSTANT | (error & FAULT_IS_WRITE ? EVENT_FAULT_WRITE : 0));
	return 0;
}

/* include/linux/blk_types.h: the operation is the low byte of cmd_flags. */
static __always_inline __u32 io_flags(struct request *rq)
{
	__u32 flags = BPF_CORE_READ(rq, cmd_flags);

	switch (flags & 0xff) {
	case REQ_OP_WRITE:
		return EVENT_IO_WRITE;
	case REQ_OP_FLUSH:
		return EVENT_IO_FLUSH;
	case REQ_OP_DISCARD:
		return EVENT_IO_DISCARD;
	default:
		return 0;
	}
}

/* As stat(2) and /proc/partitions have it: of the whole disk. */
static __always_inline __u64 io_device(struct request *rq)
{
	struct gendisk *disk = BPF_CORE_READ(rq, q, disk);

	return disk ? (__u64)BPF_CORE_READ(disk, major) << 8 | BPF_CORE_READ(disk, first_minor) : 0;
}

SEC("?tp_btf/block_rq_issue")
int BPF_PROG(timeline_io_issue, struct request *rq)
{
	struct target_ids ids;
	__u64 key = (__u64)rq;

	if (!current_is_ours(&ids))
		return 0;
	/* A completion that is not found is not shown; one that is found was shown to begin. */
	if (bpf_map_update_elem(&ios, &key, &ids.tid, BPF_ANY))
		return 0;
	put4(EVT_IO_ISSUE, ids.tid, io_device(rq), BPF_CORE_READ(rq, __sector),
	     BPF_CORE_READ(rq, __data_len), io_flags(rq));
	return 0;
}

SEC("?tp_btf/block_rq_complete")
int BPF_PROG(timeline_io_complete, struct request *rq, int error, unsigned int bytes)
{
	__u64 key = (__u64)rq;

	if (bpf_map_delete_elem(&ios, &key) || !recording)
		return 0;
	/* error is a blk_status_t: numbers of the block layer's own */
	put4(EVT_IO_COMPLETE, 0, io_device(rq), BPF_CORE_READ(rq, __sector), bytes,
	     error & 0xff ? -5 /* EIO */ : 0);
	return 0;
}

#define SIGNAL_WORDS 5 /* signo, code, address, stack, flags */

/* asm-generic/signal.h: what a thread does itself, at the instruction that its registers name. */
#define SIG_FAULTS                                                                    \
	(1 << 4 /* ILL */ | 1 << 5 /* TRAP */ | 1 << 7 /* BUS */ | 1 << 8 /* FPE */ | \
	 1 << 11 /* SEGV */)

/*
 * Are the thread's registers to be kept? Where it is about to end, and where it has faulted, also if
 * the program has a handler, which may end it later.
 */
static __always_inline bool with_registers(int sig, int code, bool handled)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs;

	if (handled && (code <= 0 || sig < 0 || sig > 31 || !(SIG_FAULTS >> sig & 1)))
		return false;
	if (task->flags & (PF_KTHREAD | PF_IO_WORKER))
		return false;
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
	return REGS_ARE_USER(regs);
}

static __always_inline void put_registers(struct timeline_record *r)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	__u64 *to = &r->v[SIGNAL_WORDS];

	r->words = SIGNAL_WORDS;
	r->bytes = REGISTERS_NR * sizeof(__u64);
#define PUT_REGISTER(field, name) *to++ = regs->field;
	REGISTERS(PUT_REGISTER)
}

SEC("?tp_btf/signal_deliver")
int BPF_PROG(timeline_signal, int sig, struct kernel_siginfo *info, struct k_sigaction *ka)
{
	struct timeline_record *r;
	struct target_ids ids;
	bool handled;
	__u64 stack;
	int code;

	if (!current_is_ours(&ids))
		return 0;
	stack = current_stack(ctx, ids, false);
	code = BPF_CORE_READ(info, si_code);
	/* asm-generic/signal-defs.h: SIG_DFL is 0. */
	handled = BPF_CORE_READ(ka, sa.sa_handler) != NULL;
	if (with_registers(sig, code, handled)) {
		r = RESERVE(EVT_SIGNAL, ids.tid, SIGNAL_WORDS + REGISTERS_NR);
		if (!r)
			return 0;
		put_registers(r);
	} else {
		r = RESERVE(EVT_SIGNAL, ids.tid, SIGNAL_WORDS);
		if (!r)
			return 0;
	}
	r->v[0] = sig;
	r->v[1] = (__s64)code;
	r->v[2] = (__u64)BPF_CORE_READ(info, _sifields._sigfault._addr);
	r->v[3] = stack;
	r->v[4] = handled ? EVENT_SIGNAL_HANDLED : 0;
	submit(r);
	return 0;
}

/* ---------------------------------------------------------------- samples ---- */

SEC("perf_event")
int timeline_sample(struct bpf_perf_event_data *ctx)
{
	struct target_proc *proc;
	struct target_ids ids;
	struct walk *w;
	__u64 stack;

	if (!recording)
		return 0;
	ids = current_ids();
	proc = target_lookup(ids);
	if (!proc)
		return 0;
	w = walk_claim();
	if (!w) {
		count_stat(STAT_LOST_SCRATCH);
		return 0;
	}
	stack_sample(w, ctx, proc, ids);
	stack = stack_intern(w);
	walk_release(w);
	put4(EVT_SAMPLE, ids.tid, stack, sample_ns, EVENT_SAMPLE_CLOCK, 0);
	return 0;
}
