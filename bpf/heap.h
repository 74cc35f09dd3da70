/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_HEAP_H
#define PERISCOPE_HEAP_H

/*
 * What the heap programs count, and how user space reads it.
 *
 * A *site* is where blocks come from: a stack, a thread, a class of sizes and the route of the
 * request that the thread worked on. Its counters are an element of the array `sites`, which is
 * mapped into user space; element 0 stands for allocations that found no room in the table. A
 * *block* is in `live` from the return of its allocation to the call that frees it; it knows its
 * site by the index, so that a free need not look up more than the block.
 *
 * Every allocation is counted at a site and every free of a known block at its block's site; what
 * is neither freed nor out of sight for another reason is what the site holds.
 */

#include "hist.h"
#include "target.h"

/*
 * What a probed function does, and where its arguments are: the low 8 bits of the id in a probe's
 * cookie (bpf/probe.h).
 */
enum heap_kind {
	HEAP_ALLOC,   /* (size): malloc, valloc, operator new */
	HEAP_CALLOC,  /* (number, size) */
	HEAP_ALIGNED, /* (alignment, size): aligned_alloc, memalign */
	HEAP_POSIX,   /* (&block, alignment, size), block is the result's place: posix_memalign */
	HEAP_REALLOC, /* (block, size) */
	HEAP_REALLOCARRAY, /* (block, number, size) */
	HEAP_FREE,	   /* (block): free, operator delete */
};

#define HEAP_MAX_SITES	  65536
#define HEAP_THREAD_SLOTS 16384 /* a power of two */
#define HEAP_MAX_THREADS  65536 /* beyond those: whose slots others have */
#define HEAP_MAX_PROCS	  16384

/*
 * The ring of records (--record): a busy thread makes 40 MB a second, and what keeps user space from
 * reading, if only for its turn on a CPU, may take a second.
 */
#define HEAP_RECORD_SIZE (64 << 20)

/*
 * A live block's key is its address, and in the bits above it the address space: a number that a
 * process has until it exits or runs another program, so that what was in memory before is not
 * found any more, whenever it is swept out.
 */
#define HEAP_SPACE_SHIFT  47
#define HEAP_MAX_SPACES	  (1U << (64 - HEAP_SPACE_SHIFT))
#define HEAP_KEY_SPACE(k) ((__u32)((k) >> HEAP_SPACE_SHIFT))
#define HEAP_KEY_ADDR(k)  ((k) & ((1ULL << HEAP_SPACE_SHIFT) - 1))

/* A block that is live. */
struct heap_block {
	__u64 size;    /* as asked for */
	__u64 time;    /* of allocation, CLOCK_MONOTONIC in ns */
	__u64 frame;   /* CFA of the function that called the allocator's */
	__u64 request; /* that the thread worked on, by serial number; 0: none */
	__u32 site;
	__u32 seq; /* the how-manieth allocation of its thread, modulo 2^32 */
};

/*
 * An element of `live` (bpf/heap_live.bpf.h). A key is in the first bucket that had room, of this
 * many from its own on. With HEAP_BUCKET_FILL blocks to a bucket, half of what it takes, a block
 * costs 98 bytes, and one in a billion finds all buckets full.
 */
#define HEAP_BUCKET_SLOTS 8
#define HEAP_BUCKET_FILL  4
#define HEAP_BUCKET_RUN	  8

struct heap_bucket {
	__u64 keys[HEAP_BUCKET_SLOTS]; /* 0: the slot is free */
	__u64 passed_over;	       /* a key that belongs here, or before, may be farther on */
	struct heap_block blocks[HEAP_BUCKET_SLOTS];
};

struct heap_site_key {
	__u64 stack;  /* stacks_find(); 0: could not be kept */
	__u32 thread; /* its serial number; 0: any, because the table is half full */
	__u16 class;  /* heap_class() */
	__u16 route;  /* of the request (bpf/heap_fates.h); 0: none */
};

/* An element of `sites`. In use when allocs is not 0. */
struct heap_site {
	struct heap_site_key key;
	__u64 size;  /* of its first block */
	__u64 mixed; /* there were blocks of other sizes */
	__u64 allocs, alloc_bytes;
	__u64 frees, free_bytes;	  /* of known blocks */
	__u64 temps, temp_bytes;	  /* of these: with few other allocations in between */
	__u64 untracked, untracked_bytes; /* found no room in `live`: not seen freed */
	/* Counted by user space, which sweeps them out of `live`: */
	__u64 exited, exited_bytes; /* were there when their process exited, */
	__u64 execed, execed_bytes; /* when it ran another program */
	/* What it held when all sites together held most, if peak_epoch is the global one; ... */
	__u64 peak_blocks, peak_bytes;
	__u64 peak_epoch; /* ... else what it holds now. */
};

/* What a site holds. */
#define HEAP_HELD(s) ((s)->allocs - (s)->frees - (s)->untracked - (s)->exited - (s)->execed)
#define HEAP_HELD_BYTES(s)                                                               \
	((s)->alloc_bytes - (s)->free_bytes - (s)->untracked_bytes - (s)->exited_bytes - \
	 (s)->execed_bytes)

/* How long a site's freed blocks lived: an element of `lifetimes`, at the site's index. */
#define HEAP_LIFETIMES 28
struct heap_lifetimes {
	__u64 n[HEAP_LIFETIMES]; /* 0: below 1 us; n: [2^(n-1), 2^n) us; the last: all beyond */
};

/* How often each size was asked for: `sizes` counts those below, `large_sizes` the others. */
#define HEAP_EXACT_SIZES 8192
#define HEAP_LARGE_SIZES 16384

/* A thread that was seen allocating: sent once at first, and again when its name has changed. */
#define HEAP_EVENT_THREAD (EVENT_ENGINE + 0)
/* An address space is gone: its blocks are in memory no more. arg: enum heap_gone << 32 | space. */
#define HEAP_EVENT_GONE (EVENT_ENGINE + 1)

enum heap_gone {
	HEAP_GONE_EXIT,
	HEAP_GONE_EXEC,
	HEAP_GONE_EXEC_BY_THREAD, /* not by the main one: its task, and so its probes, are gone, too */
};

struct heap_thread_event {
	struct event_header header; /* arg: serial number */
	__u32 tid;
	char comm[16];
	__u32 reserved;
};

/* Elements of `heap_stats`, summed over CPUs by the reader. */
enum heap_stat {
	HEAP_STAT_FAILED,     /* the allocator gave none */
	HEAP_STAT_NESTED,     /* calls that another probed function made: part of that one */
	HEAP_STAT_FILTERED,   /* of a size or by a thread that was not asked for */
	HEAP_STAT_MISSED,     /* never seen to return: longjmp, or too many return probes pending */
	HEAP_STAT_ABORTED,    /* their thread ended inside */
	HEAP_STAT_BEFORE,     /* frees of blocks from before the capture */
	HEAP_STAT_INHERITED,  /* frees of blocks that a process has from its parent */
	HEAP_STAT_INTERNAL,   /* frees of unknown blocks by the allocator's own object */
	HEAP_STAT_UNKNOWN,    /* frees of unknown blocks where there ought to be none */
	HEAP_STAT_REUSED,     /* addresses given out again that were never seen freed */
	HEAP_STAT_NO_STACK,   /* counted without their stack */
	HEAP_STAT_NO_SITE,    /* counted without site: table full */
	HEAP_STAT_NO_THREAD,  /* not counted: no room for the thread */
	HEAP_STAT_NO_REQUEST, /* requests without room: what they allocate is nobody's */
	HEAP_STAT_NO_FATE,    /* frees of which it was not kept how they came about */
	HEAP_STAT_NR,
};

/*
 * Classes of sizes: up to 128 bytes of 16 each, then four to a power of two. So a class's largest
 * size is at most a quarter above its smallest.
 */
static inline __attribute__((always_inline)) __u32 heap_class(__u64 size)
{
	__u64 units = (size ? size - 1 : 0) >> 4;
	__u32 shift;

	if (units < 8)
		return (__u32)units;
	shift = hist_log2(units) - 2;
	return (shift << 2) + (__u32)(units >> shift);
}

/* The largest size of a class. */
static inline __u64 heap_class_max(__u32 class)
{
	__u32 shift = class < 8 ? 0 : (class >> 2) - 1;
	__u64 units = class < 8 ? class : (__u64)(4 + (class & 3)) << shift;

	return (units + (1ULL << shift)) << 4;
}

/* How much a thread has allocated, for tools that count it beside something else. */
struct alloc_use {
	__u64 cfa; /* of a function that is under way and may call others of the allocator; 0: none */
	__u64 count, bytes;
};

_Static_assert(sizeof(struct heap_block) == 40, "shared with BPF, and bounded");
_Static_assert(sizeof(struct heap_bucket) <= 128 * HEAP_BUCKET_FILL, "memory for a block");
_Static_assert(sizeof(struct heap_site_key) == 16, "shared with BPF");
_Static_assert(sizeof(struct heap_site) == 152, "shared with BPF");
_Static_assert(sizeof(struct heap_thread_event) == 40, "shared with BPF");

#endif
