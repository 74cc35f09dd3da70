/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_WATCH_H
#define PERISCOPE_WATCH_H

/*
 * What all capture engines share, whatever their BPF programs look at: the checks before loading,
 * the watched processes and the kernel's picture of them (bpf/target.bpf.h, bpf/unwind.bpf.h), the
 * ring of records with the stacks in it, the notices of fork, exec, exit and new mappings, and the
 * reaping of processes that are gone.
 *
 * Life in an engine:
 *
 *	err = watch_check(&c->watch);		may BPF be used here at all?
 *	c->bpf = X_bpf__open();
 *	WATCH_KNOBS(c->bpf, &options);		and the engine's own knobs
 *	watch_prepare(c->bpf->obj, &options);
 *	err = X_bpf__load(c->bpf);
 *	err = watch_open(&c->watch, c->bpf->obj, &options, on_record, c);
 *	watch_add ... watch_start, watch_poll ...
 *	watch_release(&c->watch);
 *
 * Functions that return int: 0 or a negative errno, after watch_fail has kept the reason.
 */

#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "stack_feed.h"
#include "stacks.h"
#include "target.h"

struct watch_options {
	bool children;	   /* follow forks */
	pid_t only;	   /* the one process that will ever be added; 0: there may be more */
	const pid_t *tids; /* only these threads; nr 0: all. Borrowed */
	size_t nr_tids;
};

/* A record of the ring that is not watch's own (type EVENT_ENGINE and up). Negative: an error. */
typedef int (*watch_record_fn)(void *arg, const struct event_header *e, size_t size);

struct watch {
	struct target target;
	struct stacks stacks;
	struct stack_feed feed;
	struct bpf_object *obj; /* borrowed */
	struct ring_buffer *ring;
	struct perf_buffer *mmaps;
	int epoll_fd;
	struct bpf_link *links[3];
	bool children;
	uint64_t new_stacks; /* records of stacks ever taken */
	watch_record_fn on_record;
	void *arg;
	int callback_err;
	char error[512];
};

/* Before anything else. */
void watch_init(struct watch *w);
void watch_release(struct watch *w);

/*
 * Keep a reason, a sentence without a full stop, for watch_error, and return err. watch_error(NULL)
 * is the last reason that was kept by any watch: for an engine that could not be made.
 */
int watch_fail(struct watch *w, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
const char *watch_error(const struct watch *w);

/* Has the kernel BTF, and have we the privileges? */
int watch_check(struct watch *w);

/* Inode number of our PID namespace for targ_pidns; 0 for the initial one. */
uint32_t watch_pidns(void);

/* Set the read-only data of bpf/target.bpf.h in an opened skeleton. */
#define WATCH_KNOBS(skel, o)                                     \
	do {                                                     \
		(skel)->rodata->targ_pidns = watch_pidns();      \
		(skel)->rodata->targ_tgid = (o)->only;           \
		(skel)->rodata->filter_tids = (o)->nr_tids > 0;  \
		(skel)->rodata->follow_children = (o)->children; \
	} while (0)

/* Size the maps and choose the programs of bpf/target.bpf.h in an object that is not yet loaded. */
int watch_prepare(struct watch *w, struct bpf_object *obj, const struct watch_options *o);

/*
 * After the load: make the target and open the kernel's buffers. More rings may be added to
 * w->ring, they are polled with it; other descriptors with watch_fd.
 */
int watch_open(struct watch *w, struct bpf_object *obj, const struct watch_options *o,
	       watch_record_fn on_record, void *arg);
int watch_fd(struct watch *w, int fd);

/* Watch a process; before_exec: from its next exec on. */
int watch_add(struct watch *w, pid_t pid, bool before_exec);

/* Follow forks, execs and exits from now on. */
int watch_start(struct watch *w);

/* Take the records that have come, without acting on them. */
int watch_consume(struct watch *w);

/* watch_consume, then bring the kernel's picture of the target up to date. */
int watch_poll(struct watch *w);

/*
 * What any engine answers in the same way (capture.h), for its table of operations: its object
 * begins with its struct watch.
 */
int watch_op_fd(const void *capture);
size_t watch_op_alive(const void *capture);
bool watch_op_knows(const void *capture, pid_t pid);
const char *watch_op_error(const void *capture);

/*
 * About how many bytes the kernel takes for the maps of an object that is not yet loaded, by the
 * formulas of its map_mem_usage functions (kernel/bpf/arraymap.c, hashtab.c, ringbuf.c).
 */
uint64_t watch_maps_bytes(const struct bpf_object *obj);

/* An element of `stats`, or of a per-CPU array of the engine's own, summed over the CPUs. */
uint64_t watch_stat(const struct watch *w, uint32_t which);
uint64_t watch_sum(int map_fd, uint32_t which);

/*
 * Read and delete all elements of a hash map, fn(arg, key, value) for each. While programs write
 * to the map an update that comes between reading and deleting an element is lost: the caller
 * holds them off. Returns 0 or the negative errno of the map or of fn.
 */
int watch_drain(int map_fd, size_t key_size, size_t value_size,
		int (*fn)(void *arg, const void *key, const void *value), void *arg);

#endif
