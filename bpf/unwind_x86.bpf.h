/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_UNWIND_X86_BPF_H
#define PERISCOPE_UNWIND_X86_BPF_H

/*
 * One frame of the walk on x86-64: the stack by windows, the rows in `tables`, the kernel's return
 * probes. Part of unwind.bpf.h, which includes it.
 */

/* Read the stack from addr up, to the end of its page at most. */
static __always_inline int fill_window(struct walk *w, __u64 addr)
{
	__u32 len = 4096 - (addr & 4095);

	if (len > UNWIND_WINDOW)
		len = UNWIND_WINDOW;
	w->window_len = 0;
	if (bpf_probe_read_user(w->window, len, (void *)addr))
		return -1;
	w->window_start = addr;
	w->window_len = len;
	return 0;
}

/* unwind_read_fn: 8 aligned bytes by the window. */
static __always_inline int walk_read(void *cookie, __u64 addr, __u64 *ret)
{
	struct walk *w = cookie;
	__u64 off = addr - w->window_start;

	if (addr & 7)
		return -1;
	if (off >= w->window_len) {
		if (fill_window(w, addr))
			return -1;
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

/* The index of the row that covers pc (from the table's base); -1: none. */
static __always_inline __s64 find_row(void *t, const struct unwind_mapping *m, __u32 pc)
{
	__u32 block = pc >> UNWIND_BLOCK_SHIFT, rows = UNWIND_INDEX_WORDS(m->nr_blocks);
	__u32 lo, hi, mid;
	__u64 *word;

	if (block >= m->nr_blocks)
		return -1;
	word = table_word(t, block / 2);
	if (!word)
		return -1;
	if (block & 1) {
		lo = *word >> 32;
		word = table_word(t, block / 2 + 1);
		if (!word)
			return -1;
		hi = *word;
	} else {
		lo = *word;
		hi = *word >> 32;
	}
	/* The bounds are of 256 bytes: no more rows than that. */
#pragma clang loop unroll(disable)
	for (int i = 0; i < UNWIND_BLOCK_SHIFT + 1; i++) {
		if (lo >= hi)
			break;
		mid = (lo + hi + 1) / 2;
		word = table_word(t, rows + mid);
		if (!word)
			return -1;
		if (((struct unwind_row *)word)->pc <= pc)
			lo = mid;
		else
			hi = mid - 1;
	}
	return lo;
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
static __always_inline void leave_uprobe_page(struct walk *w, __u64 page)
{
	struct uprobe_task *utask = bpf_get_current_task_btf()->utask;
	__u64 sp = w->state.regs[UNWIND_RSP], pushed, pc;
	struct return_instance *ri;

	if (utask->active_uprobe && w->state.pc - utask->xol_vaddr < 16) {
		w->state.pc += utask->vaddr - utask->xol_vaddr;
		return;
	}
	/* The return address's slot was popped; a probe that is still pending tells where it was. */
	pushed = trampoline_pushed(w->state.pc - page);
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

static __always_inline __u32 memo_index(__u64 pc)
{
	return walk_hash(pc >> WALK_MEMO_SHIFT, WALK_MEMO_BITS);
}

/* Does the memo cover pc? Then its row, and what makes a frame of an address. */
static __always_inline bool read_memo(const volatile struct walk_memo *memo, __u32 generation,
				      __u64 pc, __u32 *ret_row, __u64 *ret_delta)
{
	__u32 seq = memo->seq;

	if (pc - memo->start >= memo->len || memo->generation != generation)
		return false;
	*ret_row = memo->row;
	*ret_delta = memo->delta;
	return !(seq & 1) && memo->seq == seq;
}

/* Remember that the row in w->found covers the addresses from start to end. */
static __always_inline void write_memo(struct walk *w, __u64 pc, __u64 start, __u64 end)
{
	volatile struct walk_memo *memo = &walk_memos[memo_index(pc)];
	__u32 seq = memo->seq;

	if ((seq & 1) || __sync_val_compare_and_swap(&memo->seq, seq, seq + 1) != seq)
		return;
	memo->start = start;
	memo->len = end - start > ~0U ? ~0U : end - start;
	memo->delta = w->found.frame - pc;
	memo->generation = w->generation;
	memo->row = w->found.row.cfa | (__u32)w->found.row.rbp << 16;
	memo->seq = seq + 2;
}

/*
 * Find the name and the row of the code at pc by searching: through the mappings, the object's
 * table, its index. Returns UNWIND_MORE with all of w->found but the rule, or why there is no row;
 * the name is set anyhow.
 */
__attribute__((noinline)) int unwind_find(struct walk *w, __u64 pc)
{
	struct unwind_mapping *m;
	struct unwind_row *row;
	__u64 base, start, end;
	__u32 object, rows;
	__s64 at;
	void *t;

	if (!w)
		return UNWIND_NO_MAPPING;
	w->found.frame = pc & FRAME_ADDR_MASK;
	w->found.row.cfa = 0;
	m = find_mapping(w, pc);
	if (!m)
		return UNWIND_NO_MAPPING;
	object = m->object;
	if (!object)
		return UNWIND_NO_TABLE;
	w->found.frame = (__u64)object << FRAME_OBJECT_SHIFT | ((pc - m->bias) & FRAME_ADDR_MASK);
	base = m->bias + m->table_base;
	rows = UNWIND_INDEX_WORDS(m->nr_blocks);
	t = bpf_map_lookup_elem(&tables, &object);
	if (!t || !m->nr_rows || pc < base)
		return UNWIND_NO_TABLE;
	at = find_row(t, m, pc - base);
	if (at < 0)
		return UNWIND_HOLE;
	row = (struct unwind_row *)table_word(t, rows + at);
	if (!row)
		return UNWIND_HOLE;
	w->found.row = *row;
	start = base + row->pc;
	end = m->end;
	row = (struct unwind_row *)table_word(t, rows + at + 1);
	if (row && at + 1 < m->nr_rows && base + row->pc < end)
		end = base + row->pc;
	write_memo(w, pc, start > m->start ? start : m->start, end);
	return UNWIND_MORE;
}

/* The rule that the row in w->found names. */
static __always_inline int find_rule(struct walk *w)
{
	__u32 index = w->found.row.cfa & UNWIND_PARAM_MASK, at;
	struct unwind_mapping *m = find_mapping(w, unwind_lookup_pc(&w->state));
	__u32 object = FRAME_OBJECT(w->found.frame);
	void *t = bpf_map_lookup_elem(&tables, &object);

	if (!m || m->object != object || !t)
		return UNWIND_UNSUPPORTED;
	at = UNWIND_INDEX_WORDS(m->nr_blocks) + m->nr_rows + index * UNWIND_RULE_WORDS;
#pragma clang loop unroll(disable)
	for (int i = 0; i < UNWIND_RULE_WORDS; i++) {
		__u64 *word = table_word(t, at + i);

		if (!word)
			return UNWIND_UNSUPPORTED;
		((__u64 *)&w->found.rule)[i] = *word;
	}
	/*
	 * A handler's return address is its restorer's first byte, put there by the kernel and not
	 * by a call before it. The row covers the byte before; the name must not.
	 */
	if (w->found.rule.cfa_kind == UNWIND_CFA_SIGNAL && w->state.is_return)
		w->found.frame++;
	return UNWIND_MORE;
}

/* Is the pc in the kernel's page for uprobes? Then it stands for another, which it becomes. */
static __always_inline bool leave_kernel_code(struct walk *w)
{
	__u64 page = uprobe_page(bpf_get_current_task_btf()), pc = w->state.pc;

	if (!page || pc - page >= 4096)
		return false;
	if (!w->state.is_return)
		leave_uprobe_page(w, page);
	else if (pc == page)
		undo_uretprobe(w);
	return w->state.pc != pc;
}

static __always_inline void enter_object(struct walk *w, __u64 frame)
{
	if (!w->state.is_return || w->leaf_object == WALK_NO_OBJECT)
		w->leaf_object = FRAME_OBJECT(frame);
	else if (FRAME_OBJECT(frame) != w->leaf_object)
		unwind_leave_object(&w->state);
}

/* One frame by all means there are. `end`: what unwind_find() said of it. */
__attribute__((noinline)) int unwind_odd(struct walk *w, int end)
{
	if (!w)
		return UNWIND_NO_MAPPING;
	if (end && leave_kernel_code(w))
		return UNWIND_MORE;
	if (!end && w->found.row.cfa >> UNWIND_KIND_SHIFT == UNWIND_RULE)
		end = find_rule(w);
	walk_push(w, w->found.frame);
	if (end == UNWIND_NO_MAPPING)
		return end;
	enter_object(w, w->found.frame);
	if (!end)
		end = unwind_step(&w->state, &w->found.row, &w->found.rule, walk_read, w);
	if (end == UNWIND_NO_TABLE || end == UNWIND_HOLE) {
		if (unwind_by_frame_pointer(&w->state, walk_read, w))
			return end;
		if (w->event.guessed < 255)
			w->event.guessed++;
		end = UNWIND_MORE;
	}
	if (!end && !w->leaf_cfa)
		w->leaf_cfa = w->state.regs[UNWIND_RSP];
	return end;
}

/*
 * One frame: name it, and move to its caller. Returns enum unwind_end. What is not usual goes to
 * unwind_odd(), before anything has been changed.
 */
__attribute__((noinline)) int unwind_frame(struct walk *w)
{
	__u64 pc, cfa, low, off, delta = 0, ra;
	__u32 row = 0, kind, param, slot, memo;
	int end;

	if (!w)
		return UNWIND_NO_MAPPING;
	if (w->event.nr_frames >= STACK_MAX_FRAMES)
		return UNWIND_TOO_DEEP;
	pc = unwind_lookup_pc(&w->state);
	memo = memo_index(pc);
	walk_trails[w->trail & (WALK_TRAILS - 1)].memos[w->event.nr_frames & 31] = memo;
	if (read_memo(&walk_memos[memo], w->generation, pc, &row, &delta)) {
		w->found.frame = pc + delta;
	} else {
		end = unwind_find(w, pc);
		if (end)
			return unwind_odd(w, end);
		row = w->found.row.cfa | (__u32)w->found.row.rbp << 16;
	}
	w->found.row.cfa = row;
	slot = row >> 16;
	w->found.row.rbp = slot;
	kind = (__u16)row >> UNWIND_KIND_SHIFT;
	param = row & UNWIND_PARAM_MASK;
	cfa = w->state.regs[UNWIND_RSP];
	if (kind == UNWIND_CFA_RBP && (w->state.known & (1u << UNWIND_RBP))) {
		cfa = w->state.regs[UNWIND_RBP];
	} else if ((__u16)row == (UNWIND_MARK << UNWIND_KIND_SHIFT | UNWIND_COMPLETE)) {
		walk_push(w, w->found.frame);
		return UNWIND_COMPLETE;
	} else if (kind != UNWIND_CFA_RSP) {
		return unwind_odd(w, UNWIND_MORE);
	}
	cfa += param * 8;
	low = cfa - (slot ? slot : 1) * 8;
	if ((cfa & 7) || cfa <= w->state.regs[UNWIND_RSP])
		return unwind_odd(w, UNWIND_MORE);
	if (low < w->window_start || cfa - w->window_start > w->window_len) {
		if (fill_window(w, low) || cfa - low > w->window_len)
			return unwind_odd(w, UNWIND_MORE);
	}
	off = cfa - 8 - w->window_start;
	ra = w->window[(off / 8) & (UNWIND_WINDOW / 8 - 1)];
	if (!ra)
		return unwind_odd(w, UNWIND_MORE);
	walk_push(w, w->found.frame);
	enter_object(w, w->found.frame);
	if (slot) {
		off = low - w->window_start;
		w->state.regs[UNWIND_RBP] = w->window[(off / 8) & (UNWIND_WINDOW / 8 - 1)];
		w->state.known |= 1u << UNWIND_RBP;
	}
	w->state.regs[UNWIND_RSP] = cfa;
	w->state.pc = ra;
	w->state.is_return = 1;
	if (!w->leaf_cfa)
		w->leaf_cfa = cfa;
	return UNWIND_MORE;
}

#endif
