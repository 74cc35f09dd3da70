/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_FRAMES_H
#define PERISCOPE_FRAMES_H

/*
 * The stacks of a profile as people read them: thread name, a mark where the walk did not reach
 * the root, then one frame for each function, inlined ones too, each with a name. Every writer that
 * shows names takes them from here, so that all of them call a function the same.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dedup.h"
#include "profile.h"

enum frame_origin {
	FRAME_PROGRAM, /* the executable, and code that came from no file */
	FRAME_LIBRARY,
	FRAME_LIBC, /* the C library and the dynamic linker */
	FRAME_KERNEL,
	FRAME_NOTE, /* not code: a thread's name, a mark */
};
#define FRAME_NR_ORIGINS 5

struct frame_symbol {
	const char *name;   /* "malloc"; "libx.so+0x1234" for an address nobody could name */
	const char *module; /* "libc.so.6", "kernel"; "" unknown */
	enum frame_origin origin;
	uint32_t file;		     /* string of the profile: where it was first seen; 0 unknown */
	uint32_t min_line, max_line; /* of that file, in all its frames; 0 unknown */
};

struct frame {
	uint32_t symbol; /* into symbols: equal for equal name, module and origin */
	uint32_t file;	 /* string of the profile, or 0 */
	uint32_t line;	 /* 0 unknown */
	bool inlined;	 /* into the frame that called it */
};

struct frames {
	const struct profile *profile;
	struct frame_symbol *symbols;
	size_t nr_symbols, cap_symbols;
	struct frame *frames; /* of all locations, innermost first */
	size_t nr_frames, cap_frames;
	size_t *first; /* frame of each location; nr_locations + 1 of them */
	struct dedup index;
};

/* The profile is borrowed and must not change meanwhile. Returns 0 or -ENOMEM. */
int frames_init(struct frames *f, const struct profile *p);
void frames_release(struct frames *f);

/* One stack, outermost first; reused from call to call. Start from { 0 }. */
struct frame_stack {
	struct frame *items;
	size_t n, cap;
};

/* Replace what is in stack by a sample's frames. Returns 0 or -ENOMEM. */
int frames_stack(struct frames *f, const struct profile_sample *s, struct frame_stack *stack);
void frame_stack_release(struct frame_stack *stack);

#endif
