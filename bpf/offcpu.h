/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_OFFCPU_H
#define PERISCOPE_OFFCPU_H

/*
 * Waits, as the BPF programs of bpf/offcpu.bpf.c and user space know them.
 *
 * A wait begins when a thread leaves its CPU and ends when it is on one again. What comes before
 * somebody wakes it is blocked time, what comes after is run-queue time; a thread that was
 * preempted has run-queue time only. Of a wait counts what lies in the capture's window, also when
 * it began before or has not ended yet.
 */

#include "stacks.h"
#include "unwind.h"
#include "wait.h"

/*
 * Why a thread waits, told when it leaves its CPU by facts that do not depend on stacks, by the
 * first of these that holds:
 *
 *	preempted  it is still runnable: state R, or the scheduler took the CPU from it
 *	stopped    state T or t: by a signal, or by a debugger
 *	the rest   enum wait_class: by the system call that it is in, if any, and what that is about
 *	           (bpf/wait.bpf.h)
 *
 * Values below WAIT_NR are enum wait_class.
 */
enum offcpu_reason {
	OFFCPU_STOPPED = WAIT_NR,
	OFFCPU_PREEMPTED,
	OFFCPU_START,	/* a new thread's way to its first CPU */
	OFFCPU_RUNNING, /* no wait: a sample of a running thread (cpu --wall) */
	OFFCPU_NR_REASONS,
};

/*
 * Names of stacks that stack_intern never gives: its own are odd. The n-th look at threads that do not
 * run, from 1 on, names the stacks of all waits that it finds alike: user space reads them.
 */
#define OFFCPU_NO_STACK	  0 /* frames that were lost, or never read */
#define OFFCPU_SCANNED(n) (2ULL * (n))

enum offcpu_doing {
	OFFCPU_IS_RUNNING = 1,
	OFFCPU_IS_RUNNABLE, /* preempted, or new */
	OFFCPU_IS_BLOCKED,  /* or woken but not yet running: see woken */
	OFFCPU_IS_DEAD,
};

/* A thread: an element of `threads`, by the thread's number in the initial PID namespace. */
struct offcpu_thread {
	__u64 since; /* CLOCK_MONOTONIC: when what it is doing began */
	__u64 woken; /* its last wake-up; before `since` when it was not woken from this wait */
	__u64 stack; /* what it left the CPU with */
	__u64 torn;  /* what that was before it was read again; 0: it was not */
	__u64 waker; /* stack of who woke it last; 0: unknown, or not asked for */
	__u64 running, runnable, blocked; /* ns in the window, up to `since` */
	__u64 waits;			  /* those that are over */
	__s64 in_flight;		  /* requests that it began and that have not ended */
	__u32 tgid, tid;		  /* in our PID namespace */
	__u8 doing;			  /* enum offcpu_doing */
	__u8 reason;			  /* enum offcpu_reason */
	char state;			  /* as ps has it; T for t, too */
	__u8 idle;			  /* it waits for work */
	__u8 unwanted;			  /* filtered out: only for the sums above */
	__u8 arrived;			  /* running, and the switch to it was seen */
	__u8 unmapped; /* the stack ends in what was not known to be mapped, and may be by now */
	__u8 reserved[1];
	char comm[STACK_COMM_LEN];
};

_Static_assert(sizeof(struct offcpu_thread) == 112, "shared with BPF");

/* A thread has ended. header.arg is unused. */
#define EVENT_OFFCPU_EXIT EVENT_ENGINE

struct offcpu_exit {
	struct event_header header;
	struct offcpu_thread thread;
};

#define OFFCPU_MAX_THREADS  32768
#define OFFCPU_MAX_REQUESTS 65536 /* in flight */
#define OFFCPU_MAX_KEYS	    32768 /* of `waits` between two times that it is emptied */

/* Waits that are told from one another: an element of `waits`. */
struct offcpu_key {
	__u64 stack, waker;
	__u32 tgid, tid;
	__u8 reason;
	char state;
	__u8 idle;
	__u8 reserved[5];
};

_Static_assert(sizeof(struct offcpu_key) == 32, "shared with BPF");

struct offcpu_value {
	__u64 waits;   /* samples, where the reason is OFFCPU_RUNNING */
	__u64 blocked; /* ns */
	__u64 runnable;
	__u64 longest; /* of them, both together */
};

/*
 * What `offcpu_scan` writes for each thread that is not on a CPU: all that it takes to walk its
 * stack. Of kernel[] only nr_kernel elements are there.
 */
struct offcpu_sleeper {
	__u64 stack, torn; /* as in `threads` */
	__u32 pid;	   /* key of `threads` */
	__u32 tgid, tid;
	__u8 has_regs; /* 0: no user registers, or not of this architecture */
	__u8 reserved;
	__u16 nr_kernel;
	char comm[STACK_COMM_LEN];
	struct unwind_state state; /* before the first step */
	__u64 kernel[STACK_MAX_KERNEL];
};

_Static_assert(sizeof(struct offcpu_sleeper) == 192 + STACK_MAX_KERNEL * 8, "shared with BPF");

#endif
