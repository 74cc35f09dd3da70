/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_ALLOC_COUNT_BPF_H
#define PERISCOPE_ALLOC_COUNT_BPF_H

/*
 * How much a thread allocates, for tools that count it beside something else: at the calls of the
 * allocator's functions that tools/lib/heap_probes.h has attached for allocations only. A realloc
 * counts as an allocation of its new size; what fails counts, too, unless it must fail, because it
 * asks for more than an address space has.
 */

#include "heap.h"
#include "probe.bpf.h"
#include "unwind.bpf.h"

/*
 * Is that function still under way, when one is entered whose CFA is `cfa`? Then its return address
 * is the kernel's. (Its return may have been missed, so that its CFA alone says nothing.)
 */
static __always_inline bool alloc_is_inner(const struct alloc_use *use, __u64 cfa)
{
#if defined(__TARGET_ARCH_x86)
	__u64 to;

	if (!use->cfa || cfa > use->cfa ||
	    bpf_probe_read_user(&to, sizeof(to), (void *)(use->cfa - 8)))
		return false;
	return to == uprobe_page(bpf_get_current_task_btf());
#else
	return use->cfa && cfa < use->cfa;
#endif
}

#define ALLOC_TOO_MUCH (1ULL << 47)

/* The bytes that a call asks for. Returns 0, or -1 where its arguments are not known or absurd. */
static __always_inline int alloc_size(struct pt_regs *ctx, __u64 cookie, __u32 kind, __u64 *ret)
{
	__u64 number = 1, size;

	switch (kind) {
	case HEAP_ALLOC:
		if (probe_arg(ctx, cookie, 0, &size))
			return -1;
		break;
	case HEAP_CALLOC:
		if (probe_arg(ctx, cookie, 0, &number) || probe_arg(ctx, cookie, 1, &size))
			return -1;
		break;
	case HEAP_ALIGNED:
	case HEAP_REALLOC:
		if (probe_arg(ctx, cookie, 1, &size))
			return -1;
		break;
	case HEAP_POSIX:
		if (probe_arg(ctx, cookie, 2, &size))
			return -1;
		break;
	case HEAP_REALLOCARRAY:
		if (probe_arg(ctx, cookie, 1, &number) || probe_arg(ctx, cookie, 2, &size))
			return -1;
		break;
	default:
		return -1;
	}
	if (number >= ALLOC_TOO_MUCH || size >= ALLOC_TOO_MUCH || number * size >= ALLOC_TOO_MUCH)
		return -1;
	*ret = number * size;
	return 0;
}

/* A call that is no other's part, and asks for `*size` bytes: its kind and CFA, or -1. */
static __always_inline int alloc_asked(struct pt_regs *ctx, const struct alloc_use *use, __u64 *cfa,
				       __u64 *size)
{
	__u64 cookie = bpf_get_attach_cookie(ctx);
	__u32 kind = PROBE_COOKIE_ID(cookie) & 0xff;

	*cfa = probe_cfa(ctx, cookie);
	if (alloc_is_inner(use, *cfa) || alloc_size(ctx, cookie, kind, size))
		return -1;
	return kind;
}

static __always_inline void alloc_called(struct pt_regs *ctx, struct alloc_use *use)
{
	__u64 cfa, size;
	int kind = alloc_asked(ctx, use, &cfa, &size);

	if (kind < 0)
		return;
	/* The returns of these two are not probed: they call nothing that is. */
	use->cfa = kind == HEAP_ALLOC || kind == HEAP_CALLOC ? 0 : cfa;
	use->count++;
	use->bytes += size;
}

/* Is it the return of a call that was counted, and not of one inside? */
static __always_inline bool alloc_returned(struct pt_regs *ctx, struct alloc_use *use)
{
	if (!use->cfa || use->cfa != probe_return_cfa(ctx))
		return false;
	use->cfa = 0;
	return true;
}

#endif
