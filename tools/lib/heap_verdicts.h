/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_HEAP_VERDICTS_H
#define PERISCOPE_HEAP_VERDICTS_H

/*
 * What compilers of other languages guess of an allocation (Go's escape analysis), measured: where
 * each block was freed, compared with where it was allocated. Every block of a capture has exactly
 * one verdict.
 *
 * Two stacks of one thread share their outermost frames: those with the same return addresses, and
 * the first beyond them if it is the same function, which went on in between. That a frame is still
 * the same one, and not its successor in the same place, called from the same line, is known where
 * the function's entries were watched; else it is a guess, which holds as far as no probe hit of the
 * thread has come from farther up (bpf/heap_heights.bpf.h). Hence "so many frames up" is at least.
 * Frames are those that the compiler has made: what is inlined shares its caller's.
 */

#include <stddef.h>
#include <stdint.h>

#include "capture_heap.h"
#include "heap_callers.h"

enum heap_verdict {
	HEAP_IN_FRAME,	   /* freed in the frame that allocated it: could live on the stack */
	HEAP_UP,	   /* freed when a caller of that frame was still there: could live in it */
	HEAP_WITH_REQUEST, /* freed elsewhere, while its request was at work or was tidied up */
	HEAP_BY_THREAD,	   /* freed by another thread */
	HEAP_RESIZED_AWAY, /* the old block of a realloc */
	HEAP_KEPT,	   /* not freed in the capture */
	HEAP_UNKNOWN,	   /* nobody knows: stacks that were cut short, tables that were full */
	HEAP_NR_VERDICTS,
};

/* "own frame" */
extern const char *const heap_verdict_names[HEAP_NR_VERDICTS];

#define HEAP_MAX_PLACES 8

/* How far up, and the function that was still there; or who freed. */
struct heap_place {
	uint32_t function, up;
	uint64_t blocks;
};

struct heap_blocks {
	uint64_t blocks, bytes;
	uint64_t for_requests, for_requests_bytes; /* of these, allocated for requests */
};

struct heap_judged {
	const struct heap_caller *caller;
	struct heap_blocks all, by[HEAP_NR_VERDICTS];
	uint64_t guessed; /* blocks of HEAP_IN_FRAME of whose frame it is a guess */
	uint64_t
		with_request; /* blocks of any verdict that were freed before their request was over */
	/* The commonest: callers that were still there, of HEAP_UP, and who freed, of HEAP_BY_THREAD. */
	struct heap_place up[HEAP_MAX_PLACES], by_thread[HEAP_MAX_PLACES];
};

struct heap_verdicts {
	struct heap_judged *items; /* most allocations first */
	size_t nr;
	struct heap_judged sum; /* without caller and places */
	uint64_t requests;	/* that began in the capture */
	struct profile *names;	/* of functions */
};

/* Returns 0 or a negative errno. l: of the snapshot, and to outlive it. Release *ret on success. */
int heap_verdicts_init(struct heap_verdicts *ret, const struct capture_heap *c,
		       const struct heap_snapshot *s, const struct heap_callers *l);
void heap_verdicts_release(struct heap_verdicts *v);

/* The verdict of most of its blocks. */
enum heap_verdict heap_verdict_of(const struct heap_judged *j);

/* The place of most blocks, NULL without any; and its function's name. */
const struct heap_place *heap_place_of(const struct heap_place *places);
const char *heap_place_name(const struct heap_verdicts *v, const struct heap_place *p);

#endif
