/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_STACK_FEED_H
#define PERISCOPE_STACK_FEED_H

/*
 * What the BPF programs hand over of stacks, in memory that they and we have mapped: the log of
 * records and the table of counts (bpf/stacks.h). Reading takes no system call. What is in the log
 * is taken as it was found, not trusted.
 */

#include <stdint.h>

#include "bpf/stacks.h"
#include "stacks.h"

struct stack_feed {
	struct stack_bucket *table; /* STACK_BUCKETS */
	struct stack_line *log;	    /* STACK_LOG_FIRST + STACK_LOG_LINES */
	uint64_t read;		    /* lines of the log */
	union stack_record *record; /* the one that is being read */
};

/* The maps' descriptors are not kept. Returns 0 or a negative errno. */
int stack_feed_init(struct stack_feed *f, int table_fd, int log_fd);
void stack_feed_release(struct stack_feed *f);

/*
 * Move the records that are there into s, and add their number to *nr. Returns 0 or -ENOMEM. A
 * record whose program is still writing it, and those behind it, stay for the next time.
 */
int stack_feed_read(struct stack_feed *f, struct stacks *s, uint64_t *nr);

/*
 * Move the counts into s, whose records were read, and empty the table. No program may count
 * meanwhile. Returns the sum of counts without a record: 0 if all is well.
 */
uint64_t stack_feed_counts(struct stack_feed *f, struct stacks *s);

/* Empty the table where it holds no counts; programs may use it meanwhile. */
void stack_feed_forget(struct stack_feed *f);

#endif
