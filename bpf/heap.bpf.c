/* SPDX-License-Identifier: MIT */
/*
 * periscope heap, kernel side: two programs, on the calls and on the returns of an allocator's
 * functions.
 *
 * The call leaves the size in the thread's record; the return walks the stack, which is the same
 * then, and enters the block into the books: so what fails costs no walk, and what has an address
 * has a stack. A free is complete at its call, before the allocator can give the address to
 * another thread. A block that is reallocated leaves at the call for the same reason, and comes
 * back if that fails.
 *
 * While one of these functions is pending, what it calls of the others is its own business.
 */
#include "vmlinux/vmlinux.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#define WALK_SPARES 62 /* where the kernel preempts, many threads may be in their walks at once */

#include "heap.h"
#include "heap_record.bpf.h"
#include "heap_fates.bpf.h"
#include "heap_requests.bpf.h"
#include "heap_sites.bpf.h"
#include "heap_threads.bpf.h"
#include "probe.bpf.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

const volatile __u64 filter_min_size;
const volatile __u64 filter_max_size = ~0ULL;
bool alloc_only; /* malloc and calloc have no return probes, free has none */
__u32 window;	 /* counts the times that the probes were taken away */
/* Objects whose frees of unknown blocks are the allocator's own, by their names in frames; 0 none. */
#define MAX_INTERNAL 4
__u32 internal_objects[MAX_INTERNAL];

bool enabled; /* set when all probes are in place, cleared before the first is taken away */

#define MAX_RETURNS 64 /* kernel/events/uprobes.c: MAX_URETPROBE_DEPTH */

#if defined(__TARGET_ARCH_x86)
#define RESULT(ctx) probe_reg(ctx, PROBE_RAX)
#else
#define RESULT(ctx) probe_reg(ctx, PROBE_X0)
#endif

static __always_inline __u64 block_key(const struct heap_thread *t, __u64 addr)
{
	return (__u64)t->space << HEAP_SPACE_SHIFT | HEAP_KEY_ADDR(addr);
}

/* ---------------------------------------------------------------- pending calls ---- */

/*
 * Is the pending call still under way when another function is entered whose CFA is `cfa`? Then it
 * is deeper in the stack, or was jumped to (a tail call: the CFA is the same), and the pending
 * one's return address is still the kernel's trampoline.
 */
static __always_inline bool is_under_way(const struct heap_pending *p, __u64 cfa)
{
#if defined(__TARGET_ARCH_x86)
	__u64 to;

	if (cfa > p->cfa || bpf_probe_read_user(&to, sizeof(to), (void *)(p->cfa - 8)))
		return false;
	return to == uprobe_page(bpf_get_current_task_btf());
#else
	return cfa < p->cfa; /* the return address is in no known place */
#endif
}

/* Its return never came. A block that it was to reallocate is gone for all that we know. */
static __noinline int pending_missed(struct heap_thread *t)
{
	struct heap_block old;

	if (!t)
		return 0;
	t->pending.cfa = 0;
	heap_count(HEAP_STAT_MISSED);
	if (t->pending.old_known) {
		old = t->pending.old;
		count_free(&old, NULL);
		if (record)
			record_free(t, block_key(t, t->pending.ptr), t->pending.called);
	}
	return 0;
}

/* Will the kernel tell of one more return of this thread? */
static __always_inline bool may_return(void)
{
	struct uprobe_task *utask = bpf_get_current_task_btf()->utask;

	return !utask || utask->depth < MAX_RETURNS;
}

/* ---------------------------------------------------------------- allocations ---- */

/* The frame of who called the allocator is the first. Returns NULL when there is no memory. */
static __always_inline struct walk *walk_caller(const struct heap_thread *t)
{
	struct walk *w = walk_claim();

	if (!w) {
		count_stat(STAT_LOST_SCRATCH);
		return NULL;
	}
	stack_begin(w, (struct target_ids){ t->tgid, t->tid });
	return w;
}

/*
 * `w` holds the caller's registers, or is NULL. addr 0: it is not known (alloc_only). old: the key of
 * the block that was reallocated; 0: none, or not a known one.
 */
static __always_inline void allocated(struct heap_thread *t, struct walk *w, __u64 addr, __u64 size,
				      __u64 old)
{
	struct target_proc *proc = bpf_map_lookup_elem(&procs, &t->tgid);
	struct heap_block b = { .size = size, .request = t->request };
	struct heap_site *s;

	if (!t->announced)
		thread_announce(t);
	if (w && proc)
		walk_user(w, proc);
	b.site = site_of(proc ? w : NULL, t, size);
	s = site_at(b.site);
	if (!s)
		return;
	if (!b.site)
		heap_count(HEAP_STAT_NO_SITE);
	t->freed = 0;
	b.seq = ++t->seq;
	if (w)
		b.frame = w->leaf_cfa;
	before_change(s);
	count_alloc(s, size);
	if (!addr)
		return;
	b.time = bpf_ktime_get_ns();
	block_add(block_key(t, addr), &b);
	after_change(size, b.time);
	if (record)
		record_alloc(t, block_key(t, addr), &b, old, t->pending.called);
}

/* Without a return probe: count now what will hardly fail. */
static __always_inline void allocated_at_call(struct pt_regs *ctx, struct heap_thread *t, __u64 cfa,
					      __u64 size)
{
	struct walk *w = walk_caller(t);
	__u64 pc;

	if (w && !bpf_probe_read_user(&pc, sizeof(pc), (void *)(cfa - 8)))
		WALK_FROM_CALL(w, ctx, pc, cfa);
	allocated(t, w, 0, size, 0);
	if (w)
		walk_release(w);
}

/* The size that is asked for, and what else the return has to know. Returns -1 for no request. */
static __always_inline int read_call(struct pt_regs *ctx, __u64 cookie, struct heap_pending *p)
{
	__u64 n = 0, size = 0, ptr = 0;

	switch (p->kind) {
	case HEAP_ALLOC:
		if (probe_arg(ctx, cookie, 0, &size))
			return -1;
		break;
	case HEAP_CALLOC:
		if (probe_arg(ctx, cookie, 0, &n) || probe_arg(ctx, cookie, 1, &size))
			return -1;
		/* One that overflows fails, so whatever is made of it is not used. */
		size *= n;
		break;
	case HEAP_ALIGNED:
		if (probe_arg(ctx, cookie, 1, &size))
			return -1;
		break;
	case HEAP_POSIX:
		if (probe_arg(ctx, cookie, 0, &ptr) || probe_arg(ctx, cookie, 2, &size))
			return -1;
		break;
	case HEAP_REALLOC:
		if (probe_arg(ctx, cookie, 0, &ptr) || probe_arg(ctx, cookie, 1, &size))
			return -1;
		break;
	case HEAP_REALLOCARRAY:
		if (probe_arg(ctx, cookie, 0, &ptr) || probe_arg(ctx, cookie, 1, &n) ||
		    probe_arg(ctx, cookie, 2, &size))
			return -1;
		size *= n;
		p->kind = HEAP_REALLOC;
		break;
	default:
		return -1;
	}
	p->size = size;
	p->ptr = ptr;
	return 0;
}

static __always_inline bool wanted(const struct heap_thread *t, __u64 size)
{
	if (t->watched && size >= filter_min_size && size <= filter_max_size)
		return true;
	heap_count(HEAP_STAT_FILTERED);
	return false;
}

static __always_inline void on_allocate(struct pt_regs *ctx, struct heap_thread *t, __u64 cookie)
{
	struct heap_pending *p = &t->pending;
	__u64 cfa = probe_cfa(ctx, cookie);

	if (with_fates)
		height_note(t->owner, cfa, bpf_ktime_get_ns());
	if (p->cfa && p->window == (__u16)window) {
		if (is_under_way(p, cfa)) {
			heap_count(HEAP_STAT_NESTED);
			return;
		}
		pending_missed(t);
	}
	p->kind = PROBE_COOKIE_ID(cookie) & 0xff;
	p->old_known = 0;
	if (read_call(ctx, cookie, p))
		return;
	if (alloc_only && (p->kind == HEAP_ALLOC || p->kind == HEAP_CALLOC)) {
		if (wanted(t, p->size))
			allocated_at_call(ctx, t, cfa, p->size);
		return;
	}
	if (!may_return()) {
		heap_count(HEAP_STAT_MISSED);
		return;
	}
	p->cfa = cfa;
	p->window = window;
	if (p->kind == HEAP_REALLOC && p->ptr && !alloc_only) {
		if (record)
			p->called = bpf_ktime_get_ns();
		p->old_known = !block_take(block_key(t, p->ptr), &p->old);
	}
}

/* A realloc that gave nothing: for size 0 it was a free, else the old block is still there. */
static __always_inline void not_reallocated(struct heap_thread *t)
{
	struct heap_pending *p = &t->pending;
	struct heap_block old;

	if (record && p->ptr && !p->size)
		record_free(t, block_key(t, p->ptr), p->called);
	if (!p->old_known)
		return;
	old = p->old;
	if (!p->size)
		count_free(&old, t);
	else
		block_add(block_key(t, p->ptr), &old);
}

SEC("uprobe")
int heap_return(struct pt_regs *ctx)
{
	struct heap_thread *t = thread_of_current();
	struct heap_pending *p;
	struct heap_block old;
	__u64 addr, old_key = 0;
	struct walk *w;

	if (!t || !t->pending.cfa || t->pending.cfa != probe_return_cfa(ctx))
		return 0;
	p = &t->pending;
	p->cfa = 0;
	if (!enabled)
		return 0;
	addr = RESULT(ctx);
	if (p->kind == HEAP_POSIX &&
	    (addr || bpf_probe_read_user(&addr, sizeof(addr), (void *)p->ptr)))
		addr = 0;
	if (!addr) {
		if (p->kind == HEAP_REALLOC)
			not_reallocated(t);
		if (p->kind != HEAP_REALLOC || p->size || !p->ptr)
			heap_count(HEAP_STAT_FAILED);
		return 0;
	}
	if (p->old_known) {
		old = p->old;
		count_free(&old, t);
		fate_resized(t, &old);
	}
	if (record && p->kind == HEAP_REALLOC && p->ptr)
		old_key = block_key(t, p->ptr);
	if (!wanted(t, p->size)) {
		if (old_key)
			record_free(t, old_key, p->called);
		return 0;
	}
	w = walk_caller(t);
	if (w)
		WALK_FROM_RETURN(w, ctx);
	allocated(t, w, addr, p->size, old_key);
	if (w)
		walk_release(w);
	return 0;
}

/* ---------------------------------------------------------------- frees ---- */

/* Was the function that is being entered called by the allocator's own object? */
static __always_inline bool is_internal(const struct heap_thread *t, __u64 cfa)
{
	struct target_proc *proc = bpf_map_lookup_elem(&procs, &t->tgid);
	struct unwind_mapping *m;
	struct walk *w;
	__u32 object = 0;
	__u64 pc;

	if (!proc || bpf_probe_read_user(&pc, sizeof(pc), (void *)(cfa - 8)))
		return false;
	w = walk_claim();
	if (!w)
		return false;
	walk_mappings(w, proc);
	m = find_mapping(w, pc - 1);
	if (m)
		object = m->object;
	walk_release(w);
	for (int i = 0; i < MAX_INTERNAL; i++)
		if (object && internal_objects[i] == object)
			return true;
	return false;
}

/* A free of a block that we do not know: why not? */
static __noinline int count_unknown_free(struct heap_thread *t, __u64 cfa)
{
	struct heap_proc *p;

	if (!t)
		return 0;
	p = bpf_map_lookup_elem(&heap_procs, &t->tgid);
	if (is_internal(t, cfa))
		heap_count(HEAP_STAT_INTERNAL);
	else if (!p || p->born == HEAP_FOUND)
		heap_count(HEAP_STAT_BEFORE);
	else if (p->born == HEAP_FORKED)
		heap_count(HEAP_STAT_INHERITED);
	else
		heap_count(HEAP_STAT_UNKNOWN);
	return 0;
}

static __always_inline void on_free(struct pt_regs *ctx, struct heap_thread *t, __u64 cookie)
{
	struct heap_pending *p = &t->pending;
	__u64 addr, cfa = probe_cfa(ctx, cookie);
	struct heap_block b;

	if (probe_arg(ctx, cookie, 0, &addr) || !addr)
		return;
	if (!block_take(block_key(t, addr), &b)) {
		count_free(&b, t);
		if (record)
			record_free(t, block_key(t, addr), 0);
		if (with_fates) {
			fate_freed(ctx, t, &b, cfa);
			height_note(t->owner, cfa, bpf_ktime_get_ns());
		}
		t->freed = addr;
		return;
	}
	/* operator delete that calls free: both are probed. */
	if (t->freed == addr)
		return;
	/* Of the old block in a realloc. */
	if (p->cfa && is_under_way(p, cfa))
		return;
	/* Also of those that found no room in `live`. */
	if (record)
		record_free(t, block_key(t, addr), 0);
	count_unknown_free(t, cfa);
}

/* ---------------------------------------------------------------- the probe ---- */

SEC("uprobe")
int heap_call(struct pt_regs *ctx)
{
	struct heap_thread *t;
	__u64 cookie;

	if (!enabled)
		return 0;
	t = thread_known_or_new();
	if (!t)
		return 0;
	cookie = bpf_get_attach_cookie(ctx);
	if ((PROBE_COOKIE_ID(cookie) & 0xff) == HEAP_FREE)
		on_free(ctx, t, cookie);
	else
		on_allocate(ctx, t, cookie);
	return 0;
}

/* ---------------------------------------------------------------- requests ---- */

/* A probe that tells which request the thread works on. */
SEC("?uprobe")
int heap_request(struct pt_regs *ctx)
{
	struct hit h = { .ctx = ctx, .t = bpf_ktime_get_ns() };
	struct heap_thread *t;

	if (!enabled)
		return 0;
	t = thread_known_or_new();
	if (!t)
		return 0;
	h.ids = (struct target_ids){ t->tgid, t->tid };
	if (read_hit(&h))
		return 0;
	switch (h.p->role) {
	case ROLE_STATUS:
		if (!on_status(t, &h))
			break;
		/* fallthrough */
	case ROLE_BEGIN:
		on_begin(t, &h);
		break;
	case ROLE_RUN:
		on_run(t, &h);
		break;
	case ROLE_PAUSE:
		on_pause(t, &h);
		break;
	case ROLE_END:
		on_end(t, &h);
		break;
	case ROLE_EXECUTE:
		on_execute(&h);
		break;
	default:
		break;
	}
	return 0;
}

/* ---------------------------------------------------------------- watched functions ---- */

/* A function begins whose frames are looked for at frees: what was in its place is gone. */
SEC("?uprobe")
int heap_enter(struct pt_regs *ctx)
{
	struct heap_thread *t = thread_of_current();
	__u64 cookie = bpf_get_attach_cookie(ctx), *n;
	__u32 id = PROBE_COOKIE_ID(cookie);

	n = bpf_map_lookup_elem(&entries, &id);
	if (n)
		__sync_fetch_and_add(n, 1);
	if (t)
		height_note(t->owner, probe_cfa(ctx, cookie), bpf_ktime_get_ns());
	return 0;
}
