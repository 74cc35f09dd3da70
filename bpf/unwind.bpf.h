/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_UNWIND_BPF_H
#define PERISCOPE_UNWIND_BPF_H

/*
 * The walk: from the registers of the current task's user mode to the outermost frame, by the
 * unwind rows that user space has put into `tables`.
 *
 * One frame is one call of unwind_frame(), a global function, which the verifier checks once and
 * not in every turn of the loop around it (about 4,000 instructions instead of 200,000).
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

/* Everything of one walk. Too large for the stack. */
struct walk {
	__u32 busy;
	__u32 first_mapping, nr_mappings;
	__u32 mapping;	   /* where the last address was found, from first_mapping */
	__u32 leaf_object; /* registers other than RSP and RBP are good in this one */
	__u32 max_frames;
	__u64 xol; /* the process's uprobe page, 0: none */
	__u64 hash;
	struct unwind_state state;
	__u64 window_start;
	__u64 window_len; /* 0: nothing read */
	__u64 window[UNWIND_WINDOW / 8];
	struct stack_event event;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WALK_SLOTS);
	__type(key, __u32);
	__type(value, struct walk);
} walks SEC(".maps");

/*
 * The key of a lookup lies on the stack, where Linux before 6.13 follows no constant of 4 bytes: a
 * loop counter that is the key itself has no end for the verifier. Hence a copy.
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
	for (__u32 i = 0; i < WALK_SLOTS; i++) {
		struct walk *w = walk_slot(i);

		if (w && !__sync_val_compare_and_swap(&w->busy, 0, 1))
			return w;
	}
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

static __always_inline struct unwind_mapping *find_mapping(struct walk *w, __u64 addr)
{
	__u32 lo = 0, hi = w->nr_mappings, mid = w->mapping;
	struct unwind_mapping *m;

	/* The first guess is the mapping of the frame before; then by halves. */
	for (int i = 0; i < 14; i++) {
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
			w->mapping = mid;
			return m;
		}
		mid = (lo + hi) / 2;
	}
	return NULL;
}

#if defined(__TARGET_ARCH_x86)

/* unwind_read_fn: 8 aligned bytes by the window. */
static __always_inline int walk_read(void *cookie, __u64 addr, __u64 *ret)
{
	struct walk *w = cookie;
	__u64 off = addr - w->window_start;
	__u32 len;

	if (addr & 7)
		return -1;
	if (off >= w->window_len) {
		len = 4096 - (addr & 4095);
		if (len > UNWIND_WINDOW)
			len = UNWIND_WINDOW;
		w->window_len = 0;
		if (bpf_probe_read_user(w->window, len, (void *)addr))
			return -1;
		w->window_start = addr;
		w->window_len = len;
		off = 0;
	}
	*ret = w->window[(off / 8) & (UNWIND_WINDOW / 8 - 1)];
	return 0;
}

/* Words of a table; `t` is an inner map of `tables`. */
static __always_inline __u64 *table_word(void *t, __u32 index)
{
	return bpf_map_lookup_elem(t, &index);
}

/* The row that covers pc (from the table's base), by the block's bounds and then by halves. */
static __always_inline struct unwind_row *find_row(void *t, const struct unwind_mapping *m,
						   __u32 pc)
{
	__u32 block = pc >> UNWIND_BLOCK_SHIFT, rows = UNWIND_INDEX_WORDS(m->nr_blocks);
	__u32 lo, hi, mid;
	struct unwind_row *row;
	__u64 *word;

	if (block >= m->nr_blocks)
		return NULL;
	word = table_word(t, block / 2);
	if (!word)
		return NULL;
	if (block & 1) {
		lo = *word >> 32;
		word = table_word(t, block / 2 + 1);
		if (!word)
			return NULL;
		hi = *word;
	} else {
		lo = *word;
		hi = *word >> 32;
	}
	for (int i = 0; i < UNWIND_BLOCK_SHIFT + 1; i++) {
		if (lo >= hi)
			break;
		mid = (lo + hi + 1) / 2;
		row = (struct unwind_row *)table_word(t, rows + mid);
		if (!row)
			return NULL;
		if (row->pc <= pc)
			lo = mid;
		else
			hi = mid - 1;
	}
	return (struct unwind_row *)table_word(t, rows + lo);
}

static __always_inline int read_rule(void *t, const struct unwind_mapping *m, __u32 index,
				     struct unwind_rule *ret)
{
	__u32 at = UNWIND_INDEX_WORDS(m->nr_blocks) + m->nr_rows + index * UNWIND_RULE_WORDS;

	for (int i = 0; i < UNWIND_RULE_WORDS; i++) {
		__u64 *word = table_word(t, at + i);

		if (!word)
			return -1;
		((__u64 *)ret)[i] = *word;
	}
	return 0;
}

/*
 * A function with a return probe returns into the kernel's trampoline; the address that was in
 * its slot is in the task's return instances. They are matched by the slot: a longjmp leaves
 * stale ones behind, and of several probes on one slot (tail calls) each holds the real address.
 */
static __always_inline void undo_uretprobe(struct walk *w)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct return_instance *ri = task->utask->return_instances;
	__u64 slot = w->state.regs[UNWIND_RSP] - 8;

	for (int i = 0; i < 64; i++) {
		if (!ri)
			return;
		if (ri->stack == slot) {
			w->state.pc = ri->orig_ret_vaddr;
			return;
		}
		ri = ri->next;
	}
}

/*
 * The kernel's return trampoline of Linux 6.11 and later pushes rax, rcx and r11, enters the
 * kernel, which puts the return address where rax was, pops r11 and rcx, and returns
 * (arch/x86/kernel/uprobes.c, uretprobe_trampoline_entry). From the trampoline's bytes: what was
 * pushed when pc is `offset` into it.
 */
static __always_inline __u64 trampoline_pushed(__u64 offset)
{
	if (offset < 4)
		return offset * 8 - (offset == 3) * 8;
	if (offset < 15)
		return 24;
	return offset < 16 ? 16 : 8;
}

/*
 * A sample with the user's pc inside the uprobe page: the thread steps through a copied
 * instruction, or is on its way back from a function with a return probe.
 */
static __always_inline void leave_uprobe_page(struct walk *w)
{
	struct uprobe_task *utask = bpf_get_current_task_btf()->utask;
	__u64 sp = w->state.regs[UNWIND_RSP], pushed, pc;
	struct return_instance *ri;

	if (utask->active_uprobe && w->state.pc - utask->xol_vaddr < 16) {
		w->state.pc += utask->vaddr - utask->xol_vaddr;
		return;
	}
	/* The return address's slot was popped; a probe that is still pending tells where it was. */
	pushed = trampoline_pushed(w->state.pc - w->xol);
	ri = utask->return_instances;
	if (ri && (ri->stack + 8 == sp + pushed || ri->stack + 8 == sp)) {
		w->state.pc = ri->orig_ret_vaddr;
		w->state.regs[UNWIND_RSP] = ri->stack + 8;
	} else {
		if (bpf_probe_read_user(&pc, sizeof(pc), (void *)(sp + pushed - 8)))
			return;
		w->state.pc = pc;
		w->state.regs[UNWIND_RSP] = sp + pushed;
	}
	w->state.is_return = 1;
}

/*
 * A handler's return address is its restorer's first byte, put there by the kernel and not by a
 * call before it. The row covers the byte before; the name must not.
 */
static __always_inline void name_signal_frame(struct walk *w)
{
	__u32 last = w->event.nr_frames - 1;

	if (w->state.is_return && last < STACK_MAX_FRAMES)
		w->event.frames[last]++;
}

static __always_inline int step_by_rows(struct walk *w, const struct unwind_mapping *m, __u64 vaddr)
{
	struct unwind_rule rule = { 0 };
	struct unwind_row *row;
	__u32 object = m->object;
	void *t;

	t = bpf_map_lookup_elem(&tables, &object);
	if (!t || !m->nr_rows || vaddr < m->table_base)
		return UNWIND_NO_TABLE;
	row = find_row(t, m, vaddr - m->table_base);
	if (!row)
		return UNWIND_HOLE;
	if (row->cfa >> UNWIND_KIND_SHIFT == UNWIND_RULE &&
	    read_rule(t, m, row->cfa & UNWIND_PARAM_MASK, &rule))
		return UNWIND_UNSUPPORTED;
	if (rule.cfa_kind == UNWIND_CFA_SIGNAL && row->cfa >> UNWIND_KIND_SHIFT == UNWIND_RULE)
		name_signal_frame(w);
	return unwind_step(&w->state, row, &rule, walk_read, w);
}

static __always_inline int step(struct walk *w, const struct unwind_mapping *m, __u64 vaddr)
{
	int end = UNWIND_NO_TABLE;

	if (m->object)
		end = step_by_rows(w, m, vaddr);
	if (end == UNWIND_NO_TABLE || end == UNWIND_HOLE) {
		if (unwind_by_frame_pointer(&w->state, walk_read, w))
			return end;
		if (w->event.guessed < 255)
			w->event.guessed++;
		end = UNWIND_MORE;
	}
	if (!end && w->xol && w->state.pc == w->xol)
		undo_uretprobe(w);
	return end;
}

#elif defined(__TARGET_ARCH_arm64)

/*
 * arm64 distributions keep frame records: x29 points at {caller's x29, return address} (AAPCS64,
 * 6.4.6). regs[UNWIND_RBP] holds x29. A record of zero ends the chain.
 */
static __always_inline int step(struct walk *w, const struct unwind_mapping *m, __u64 vaddr)
{
	__u64 record[2], fp = w->state.regs[UNWIND_RBP];

	if (!fp)
		return UNWIND_COMPLETE;
	if ((fp & 7) || fp < w->state.regs[UNWIND_RSP])
		return UNWIND_BAD_CFA;
	if (bpf_probe_read_user(record, sizeof(record), (void *)fp))
		return UNWIND_BAD_READ;
	w->state.regs[UNWIND_RBP] = record[0];
	w->state.regs[UNWIND_RSP] = fp + 16;
	w->state.pc = record[1] & ~(0xffULL << 55); /* pointer authentication codes */
	w->state.is_return = 1;
	return w->state.pc ? UNWIND_MORE : UNWIND_COMPLETE;
}

static __always_inline void leave_uprobe_page(struct walk *w)
{
}

#endif

/* One frame: name it, and move to its caller. Returns enum unwind_end. */
__attribute__((noinline)) int unwind_frame(struct walk *w)
{
	struct unwind_mapping *m;
	__u64 pc, vaddr;

	if (!w)
		return UNWIND_NO_MAPPING;
	if (w->event.nr_frames >= w->max_frames)
		return UNWIND_TOO_DEEP;
	pc = unwind_lookup_pc(&w->state);
	m = find_mapping(w, pc);
	if (!m) {
		walk_push(w, pc & FRAME_ADDR_MASK);
		return UNWIND_NO_MAPPING;
	}
	if (!m->object) {
		walk_push(w, pc & FRAME_ADDR_MASK);
		vaddr = 0;
	} else {
		vaddr = pc - m->bias;
		walk_push(w, (__u64)m->object << FRAME_OBJECT_SHIFT | (vaddr & FRAME_ADDR_MASK));
	}
	if (!w->state.is_return)
		w->leaf_object = m->object;
	else if (m->object != w->leaf_object)
		unwind_leave_object(&w->state);
	return step(w, m, vaddr);
}

/* The uprobe page of the current process, 0 when no uprobe was ever hit in it. */
static __always_inline __u64 uprobe_page(struct task_struct *task)
{
	struct mm_struct *mm = task->mm;
	struct xol_area *area;

	if (!task->utask || !mm)
		return 0;
	area = mm->uprobes_state.xol_area;
	return area ? area->vaddr : 0;
}

/*
 * Walk the user stack of the current task from w->state, which the caller has filled. The frames
 * are appended to w->event, which gets the walk's end.
 */
static __always_inline void walk_user(struct walk *w, const struct target_proc *proc)
{
	int end = UNWIND_TOO_DEEP;

	w->first_mapping = proc->first_mapping;
	w->nr_mappings = proc->nr_mappings;
	w->mapping = 0;
	w->window_len = 0;
	w->max_frames = STACK_MAX_FRAMES;
	w->xol = uprobe_page(bpf_get_current_task_btf());
	if (w->xol && w->state.pc - w->xol < 4096)
		leave_uprobe_page(w);
	for (int i = 0; i <= STACK_MAX_FRAMES; i++) {
		end = unwind_frame(w);
		if (end != UNWIND_MORE)
			break;
	}
	w->event.end = end;
	if (end == UNWIND_NO_MAPPING)
		notify(EVENT_MISS, w->event.header.tgid, unwind_lookup_pc(&w->state));
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
