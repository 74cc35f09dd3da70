/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_UNWIND_X86_BPF_H
#define PERISCOPE_UNWIND_X86_BPF_H

/*
 * One frame of the walk on x86-64: the stack by windows, the rows in `tables`, the kernel's return
 * probes. Part of unwind.bpf.h, which includes it.
 */

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

/* What is known of a frame's code: how it is named and by what rule it is left. */
struct found {
	__u64 frame;
	struct unwind_row row;
	struct unwind_rule rule; /* for a row of kind UNWIND_RULE */
	int end;		 /* UNWIND_MORE, or why there is no row */
};

static __always_inline int find_rule(struct walk *w, const struct unwind_mapping *m, __u64 vaddr,
				     struct found *ret)
{
	__u32 object = m->object;
	struct unwind_row *row;
	void *t;

	t = bpf_map_lookup_elem(&tables, &object);
	if (!t || !m->nr_rows || vaddr < m->table_base)
		return UNWIND_NO_TABLE;
	row = find_row(t, m, vaddr - m->table_base);
	if (!row)
		return UNWIND_HOLE;
	ret->row = *row;
	if (row->cfa >> UNWIND_KIND_SHIFT != UNWIND_RULE)
		return UNWIND_MORE;
	if (read_rule(t, m, row->cfa & UNWIND_PARAM_MASK, &ret->rule))
		return UNWIND_UNSUPPORTED;
	/*
	 * A handler's return address is its restorer's first byte, put there by the kernel and not
	 * by a call before it. The row covers the byte before; the name must not.
	 */
	if (ret->rule.cfa_kind == UNWIND_CFA_SIGNAL && w->state.is_return)
		ret->frame++;
	return UNWIND_MORE;
}

static __always_inline void find_frame(struct walk *w, __u64 pc, struct found *ret)
{
	struct unwind_mapping *m = find_mapping(w, pc);
	__u64 vaddr;

	ret->frame = pc & FRAME_ADDR_MASK;
	ret->end = UNWIND_NO_MAPPING;
	if (!m)
		return;
	ret->end = UNWIND_NO_TABLE;
	if (!m->object)
		return;
	vaddr = pc - m->bias;
	ret->frame = (__u64)m->object << FRAME_OBJECT_SHIFT | (vaddr & FRAME_ADDR_MASK);
	ret->end = find_rule(w, m, vaddr, ret);
}

static __always_inline struct walk_memo *memo_of(struct walk *w, __u64 pc)
{
	return &w->memos[(pc * 0x9e3779b97f4a7c15ULL >> 40) & (WALK_MEMOS - 1)];
}

/*
 * Find by the memo: return addresses are few, and a hit touches one cache line where the searches
 * through mappings and rows touch ten. Leaf addresses are many and would push out the others.
 */
static __always_inline void find_known_frame(struct walk *w, __u64 pc, struct found *ret)
{
	struct walk_memo *memo = memo_of(w, pc);

	if (memo->pc == pc && memo->generation == w->generation) {
		ret->frame = memo->frame;
		ret->row.cfa = memo->cfa;
		ret->row.rbp = memo->rbp;
		ret->end = UNWIND_MORE;
		return;
	}
	find_frame(w, pc, ret);
	if (ret->end || ret->row.cfa >> UNWIND_KIND_SHIFT == UNWIND_RULE)
		return;
	memo->pc = pc;
	memo->frame = ret->frame;
	memo->generation = w->generation;
	memo->cfa = ret->row.cfa;
	memo->rbp = ret->row.rbp;
}

/* One frame: name it, and move to its caller. Returns enum unwind_end. */
__attribute__((noinline)) int unwind_frame(struct walk *w)
{
	struct found f = { 0 };
	int end;

	if (!w)
		return UNWIND_NO_MAPPING;
	if (w->event.nr_frames >= STACK_MAX_FRAMES)
		return UNWIND_TOO_DEEP;
	if (w->state.is_return)
		find_known_frame(w, w->state.pc - 1, &f);
	else
		find_frame(w, w->state.pc, &f);
	walk_push(w, f.frame);
	if (f.end == UNWIND_NO_MAPPING)
		return f.end;
	if (!w->state.is_return || w->leaf_object == WALK_NO_OBJECT)
		w->leaf_object = FRAME_OBJECT(f.frame);
	else if (FRAME_OBJECT(f.frame) != w->leaf_object)
		unwind_leave_object(&w->state);
	end = f.end ? f.end : unwind_step(&w->state, &f.row, &f.rule, walk_read, w);
	if (end == UNWIND_NO_TABLE || end == UNWIND_HOLE) {
		if (unwind_by_frame_pointer(&w->state, walk_read, w))
			return end;
		if (w->event.guessed < 255)
			w->event.guessed++;
		end = UNWIND_MORE;
	}
	if (!end && !w->leaf_cfa)
		w->leaf_cfa = w->state.regs[UNWIND_RSP];
	if (!end && w->xol && w->state.pc == w->xol)
		undo_uretprobe(w);
	return end;
}

#endif
