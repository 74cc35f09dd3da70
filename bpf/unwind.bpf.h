/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_UNWIND_BPF_H
#define PERISCOPE_UNWIND_BPF_H

/*
 * The walk: from the registers of the current task's user mode to the outermost frame, by the
 * unwind rows that user space has put into `tables`.
 *
 * One frame is one call of unwind_frame(), a global function, which the verifier checks once and
 * not in every turn of the loop around it. It does what most frames need, from what is remembered
 * of their code; the search for that, and all that is rare, are functions of their own, so that
 * the way of most frames is short: at a sample neither code nor data are in the caches.
 *
 * Stack memory is read a window at a time, from the wanted slot up, but not beyond its page: the
 * slots of the next frames are mostly in it, and a read of 8 bytes costs nearly what a window
 * does, as long as the window is not so large that it pulls cold memory into the cache.
 */

#include "stacks.h"
#include "target.bpf.h"
#include "unwind.h"

#define UNWIND_MAX_MAPPINGS 65536 /* of all processes together; set to the need before loading */
#define UNWIND_WINDOW	    512
#define WALK_SLOTS	    2
#define WALK_MEMO_SHIFT	    5
#define WALK_MEMO_BITS	    12
#define WALK_CHUNK_SHIFT    16
#define WALK_CHUNK_BITS	    8
#define WALK_TRAILS	    64
#define WALK_TRAIL_FRAMES   16
#define WALK_NO_OBJECT	    0xffffffffU
#define WALK_MISS_NS	    10000000 /* between two notices of an address in no mapping */

/*
 * More scratch memory, for all CPUs together, for when a CPU's own is taken: define it in a tool
 * whose programs may be preempted (uprobes), 6 KB each.
 */
#ifndef WALK_SPARES
#define WALK_SPARES 0
#endif

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, UNWIND_MAX_MAPPINGS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct unwind_mapping);
} mappings SEC(".maps");

/* Words of an object's table; the sizes of inner maps differ (BPF_F_INNER_MAP, Linux 5.10). */
struct unwind_words {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 4096); /* objects; index 0 is unused */
	__type(key, __u32);
	__array(values, struct unwind_words);
} tables SEC(".maps");

/*
 * Rows that were found, each with the addresses that it covers: what takes a search through
 * mappings and rows, with a dozen cache lines that at a sample are all cold, is here in one. (Small
 * beats clever: pairs, larger entries that hold all rows of 64 or 128 bytes, or memos by thread
 * miss less often, and cost more.)
 *
 * All CPUs share the memos. `seq` is odd while one is written; who sees it change searches instead,
 * who finds it odd does not write. (x86, the only one with rows, keeps loads in order, and stores.)
 * `generation` is that of the mappings by which the row was found, so that no memo outlives them.
 */
struct walk_memo {
	__u64 start;
	__u64 delta; /* frame - address */
	__u32 len;   /* 0: empty */
	__u32 generation;
	__u32 seq;
	__u32 row; /* unwind_row.cfa, and unwind_row.rbp above it */
};

_Static_assert(sizeof(struct walk_memo) == 32, "half a cache line");

/* Not for the tool's eyes, and hence static: the skeleton leaves such out. */
static volatile struct walk_memo walk_memos[1 << WALK_MEMO_BITS] __attribute__((aligned(64)));

/* For 64 KB of addresses: the generation and the mapping that was last found there. A guess. */
static volatile __u64 walk_chunks[1 << WALK_CHUNK_BITS] __attribute__((aligned(64)));

/* The memos of a thread's last stack, innermost first. Threads may share one. */
struct walk_trail {
	__u16 memos[32];
};

static volatile struct walk_trail walk_trails[WALK_TRAILS] __attribute__((aligned(64)));

/* What was found of a frame's code, for the frames that take more than a plain row. */
struct walk_found {
	__u64 frame;
	struct unwind_row row;
	struct unwind_rule rule; /* for a row of kind UNWIND_RULE */
};

/* Everything of one walk. Too large for the stack. What every frame wants is together. */
struct walk {
	__u32 busy;
	__u32 generation, first_mapping, nr_mappings;
	__u32 trail;	   /* of this thread, in walk_trails */
	__u32 leaf_object; /* registers other than RSP and RBP are good in this one */
	__u64 hash;
	__u64 window_start;
	__u64 window_len; /* 0: nothing read */
	struct unwind_state state;
	__u64 leaf_cfa;	 /* of the first user frame; 0: unknown */
	__u64 missed_ns; /* when a notice was sent of an address in no mapping, ... */
	struct walk_found found;
	__u32 missed_tgid; /* ... in this process */
	__u32 reserved;
	__u64 window[UNWIND_WINDOW / 8];
	struct stack_event event;
	__u64 rounding[2]; /* events are copied by whole lines */
};

_Static_assert(sizeof(struct walk) <= 32768, "the most that a per-CPU element can hold");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WALK_SLOTS);
	__type(key, __u32);
	__type(value, struct walk);
} walks SEC(".maps");

#if WALK_SPARES
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, WALK_SPARES);
	__type(key, __u32);
	__type(value, struct walk);
} walk_spares SEC(".maps");

static __always_inline struct walk *walk_spare(__u32 slot)
{
	return bpf_map_lookup_elem(&walk_spares, &slot);
}

/* Which one, or -1. A function of its own for the verifier, which else would go on from each. */
__attribute__((noinline)) int walk_claim_spare(void)
{
	for (__u32 i = 0; i < WALK_SPARES; i++) {
		struct walk *w = walk_spare(i);

		if (w && !__sync_val_compare_and_swap(&w->busy, 0, 1))
			return i;
	}
	return -1;
}
#endif

/*
 * The key is a copy: what a helper was given the address of, it may have changed, for all that the
 * verifiers of Linux 6.1 and 6.12 know, and a loop whose counter is the key has no end for them.
 */
static __always_inline struct walk *walk_slot(__u32 slot)
{
	return bpf_map_lookup_elem(&walks, &slot);
}

/*
 * Claim scratch memory. A program may interrupt another in the middle of its walk (a sample comes
 * during an uprobe), and where the kernel preempts, tasks may take turns on a CPU: hence a slot
 * is claimed, not assumed. Returns NULL when all are in use.
 */
static __always_inline struct walk *walk_claim(void)
{
#if WALK_SPARES
	int spare;
#endif

	for (__u32 i = 0; i < WALK_SLOTS; i++) {
		struct walk *w = walk_slot(i);

		if (w && !__sync_val_compare_and_swap(&w->busy, 0, 1))
			return w;
	}
#if WALK_SPARES
	spare = walk_claim_spare();
	if (spare >= 0)
		return walk_spare(spare);
#endif
	return NULL;
}

static __always_inline void walk_release(struct walk *w)
{
	__sync_lock_test_and_set(&w->busy, 0);
}

static __always_inline void walk_push(struct walk *w, __u64 frame)
{
	__u32 n = w->event.nr_frames;

	if (n >= STACK_MAX_FRAMES)
		return;
	w->event.frames[n] = frame;
	w->event.nr_frames = n + 1;
	w->hash = (w->hash ^ frame) * 0x9e3779b97f4a7c15ULL;
	w->hash ^= w->hash >> 29;
}

static __always_inline struct unwind_mapping *mapping_at(struct walk *w, __u32 i)
{
	__u32 index = w->first_mapping + i;

	return bpf_map_lookup_elem(&mappings, &index);
}

/* The upper `bits` of a product, in which all bits of x have a say. */
static __always_inline __u32 walk_hash(__u64 x, __u32 bits)
{
	return x * 0x9e3779b97f4a7c15ULL >> (64 - bits);
}

static __always_inline struct unwind_mapping *find_mapping(struct walk *w, __u64 addr)
{
	volatile __u64 *chunk = &walk_chunks[walk_hash(addr >> WALK_CHUNK_SHIFT, WALK_CHUNK_BITS)];
	__u32 lo = 0, hi = w->nr_mappings, mid = hi / 2;
	__u64 guess = *chunk;
	struct unwind_mapping *m;

	if (guess >> 32 == w->generation && (__u32)guess < hi)
		mid = guess;
#pragma clang loop unroll(disable)
	for (int i = 0; i < 16; i++) {
		if (lo >= hi)
			return NULL;
		m = mapping_at(w, mid);
		if (!m)
			return NULL;
		if (addr < m->start) {
			hi = mid;
		} else if (addr >= m->end) {
			lo = mid + 1;
		} else {
			*chunk = (__u64)w->generation << 32 | mid;
			return m;
		}
		mid = (lo + hi) / 2;
	}
	return NULL;
}

/*
 * At a sample everything is cold, and the memos of a stack are found one after the other, each by
 * the address that the one before led to. So all of the thread's last stack are asked for at once:
 * most of the outer frames are still there. To be called before walk_user(); where events come so
 * often that memory stays warm, it is not worth its time.
 */
static __always_inline void walk_prefetch(struct walk *w)
{
	volatile struct walk_trail *trail = &walk_trails[w->event.tid & (WALK_TRAILS - 1)];

#pragma clang loop unroll(disable)
	for (int i = 0; i < WALK_TRAIL_FRAMES; i++)
		walk_memos[trail->memos[i] & ((1 << WALK_MEMO_BITS) - 1)].seq;
}

#if defined(__TARGET_ARCH_x86)
#include "unwind_x86.bpf.h"
#elif defined(__TARGET_ARCH_arm64)
#include "unwind_arm64.bpf.h"
#endif

/* Where addresses are looked up from now on. */
static __always_inline void walk_mappings(struct walk *w, const struct target_proc *proc)
{
	w->first_mapping = proc->first_mapping;
	w->nr_mappings = proc->nr_mappings;
	w->generation = proc->generation;
}

/* User space has to look at the process's mappings; a probe may hit the same place without end. */
static __always_inline void notify_miss(struct walk *w)
{
	__u32 tgid = w->event.header.tgid;
	__u64 now = bpf_ktime_get_ns();

	if (w->missed_tgid == tgid && now - w->missed_ns < WALK_MISS_NS)
		return;
	w->missed_tgid = tgid;
	w->missed_ns = now;
	notify(EVENT_MISS, tgid, unwind_lookup_pc(&w->state));
}

/*
 * All frames from w->state on. Returns how it ended. A function of its own, as unwind_frame() is:
 * the verifier would follow the caller's rest from each turn of the loop.
 */
__attribute__((noinline)) int walk_frames(struct walk *w)
{
	int end = UNWIND_TOO_DEEP;

	if (!w)
		return UNWIND_NO_MAPPING;
	for (int i = 0; i <= STACK_MAX_FRAMES; i++) {
		end = unwind_frame(w);
		if (end != UNWIND_MORE)
			break;
	}
	return end;
}

/* All is ready for frames of the current task, from w->state, which the caller has filled. */
static __always_inline void walk_begin(struct walk *w, const struct target_proc *proc)
{
	walk_mappings(w, proc);
	w->window_len = 0;
	w->leaf_object = WALK_NO_OBJECT;
	w->leaf_cfa = 0;
	w->trail = w->event.tid & (WALK_TRAILS - 1);
}

/*
 * Walk the user stack of the current task from w->state. The frames are appended to w->event, which
 * gets the walk's end.
 */
static __always_inline void walk_user(struct walk *w, const struct target_proc *proc)
{
	walk_begin(w, proc);
	w->event.end = walk_frames(w);
	if (w->event.end == UNWIND_NO_MAPPING)
		notify_miss(w);
}

#if defined(__TARGET_ARCH_x86)
/* Registers of either kind (what perf hands over, what the task saved) by the same field names. */
#define WALK_FROM_REGS(w, r)                            \
	do {                                            \
		(w)->state.pc = (r)->ip;                \
		(w)->state.regs[UNWIND_RAX] = (r)->ax;  \
		(w)->state.regs[UNWIND_RDX] = (r)->dx;  \
		(w)->state.regs[UNWIND_RCX] = (r)->cx;  \
		(w)->state.regs[UNWIND_RBX] = (r)->bx;  \
		(w)->state.regs[UNWIND_RSI] = (r)->si;  \
		(w)->state.regs[UNWIND_RDI] = (r)->di;  \
		(w)->state.regs[UNWIND_RBP] = (r)->bp;  \
		(w)->state.regs[UNWIND_RSP] = (r)->sp;  \
		(w)->state.regs[UNWIND_R8] = (r)->r8;   \
		(w)->state.regs[UNWIND_R9] = (r)->r9;   \
		(w)->state.regs[UNWIND_R10] = (r)->r10; \
		(w)->state.regs[UNWIND_R11] = (r)->r11; \
		(w)->state.regs[UNWIND_R12] = (r)->r12; \
		(w)->state.regs[UNWIND_R13] = (r)->r13; \
		(w)->state.regs[UNWIND_R14] = (r)->r14; \
		(w)->state.regs[UNWIND_R15] = (r)->r15; \
		(w)->state.known = UNWIND_KNOW_ALL;     \
		(w)->state.is_return = 0;               \
	} while (0)
#define REGS_ARE_USER(r) (((r)->cs & 3) == 3)
/*
 * At a return probe: the function that was returned to is the first, at its call. What functions
 * preserve is as it was there.
 */
#define WALK_FROM_RETURN(w, r)                                                                \
	do {                                                                                  \
		WALK_FROM_REGS(w, r);                                                         \
		(w)->state.known = UNWIND_KNOW_ALWAYS | 1u << UNWIND_RBX | 0xf << UNWIND_R12; \
		(w)->state.is_return = 1;                                                     \
	} while (0)
/* At a function's entry, the return address and the CFA of which are given: likewise. */
#define WALK_FROM_CALL(w, r, ret_addr, cfa)                            \
	do {                                                           \
		(w)->state.pc = (ret_addr);                            \
		(w)->state.regs[UNWIND_RBP] = probe_reg(r, PROBE_RBP); \
		(w)->state.regs[UNWIND_RSP] = (cfa);                   \
		(w)->state.known = UNWIND_KNOW_ALWAYS;                 \
		(w)->state.is_return = 1;                              \
	} while (0)
#else
#define WALK_FROM_REGS(w, r)                                 \
	do {                                                 \
		(w)->state.pc = (r)->pc;                     \
		(w)->state.regs[UNWIND_RBP] = (r)->regs[29]; \
		(w)->state.regs[UNWIND_RSP] = (r)->sp;       \
		(w)->state.known = UNWIND_KNOW_ALWAYS;       \
		(w)->state.is_return = 0;                    \
	} while (0)
#define REGS_ARE_USER(r) (((r)->pstate & 0xf) == 0) /* EL0t */
#define WALK_FROM_RETURN(w, r)            \
	do {                              \
		WALK_FROM_REGS(w, r);     \
		(w)->state.is_return = 1; \
	} while (0)
#define WALK_FROM_CALL(w, r, ret_addr, cfa)          \
	do {                                         \
		WALK_FROM_REGS(w, r);                \
		(w)->state.pc = (ret_addr);          \
		(w)->state.regs[UNWIND_RSP] = (cfa); \
		(w)->state.is_return = 1;            \
	} while (0)
#endif

/*
 * Fill w->state with the user registers that the current task saved on its way into the kernel.
 * Returns 0, or -1 for a task that has none.
 */
static __always_inline int walk_from_saved_regs(struct walk *w)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs;

	if (task->flags & (PF_KTHREAD | PF_IO_WORKER))
		return -1;
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
	if (!REGS_ARE_USER(regs))
		return -1;
	WALK_FROM_REGS(w, regs);
	return 0;
}

#endif
