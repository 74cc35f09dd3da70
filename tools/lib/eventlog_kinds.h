/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_EVENTLOG_KINDS_H
#define PERISCOPE_EVENTLOG_KINDS_H

/*
 * What can happen in a timeline: the kinds of events, their fields, and the numbers in these fields.
 * Plain C without any include, so that BPF programs take the numbers from here, too.
 *
 * All numbers are in files: they are only ever appended to, never changed, reused or reordered.
 *
 * Every event has a time (ns of CLOCK_MONOTONIC), the CPU on which it happened, if it happened on
 * one, and `tid`, the thread that did it: the one that was current, or that the event is about where
 * nobody is current. Each kind has fields of its own, at most EVENT_MAX_FIELDS numbers, whose names
 * and types are in event_kinds[] (eventlog.c) and travel in each file. A field that is 0 is "none"
 * unless told otherwise. Some kinds take arguments besides: any number of named integers and texts.
 *
 * Types of fields: `name` is a string of the log's table; `stack` a stack of its table; `tid` a
 * thread; `request` the id of a request as its program numbers them (not 0), unique among the open
 * ones of the process; `time` ns of CLOCK_MONOTONIC, not after the event's own time.
 *
 * Threads and processes
 *
 *   PROCESS		tid: its PID. parent: tid of its parent; name: its executable's base name.
 *			Arguments: "exe", "command". Comes before the first THREAD of it.
 *   THREAD		a thread appears: it was made, or was there when the log began, or only its
 *			name is to be known because it wakes or follows one of ours.
 *			pid; name; flags: enum event_thread_flags.
 *   NAME		tid has a new name. name.
 *   EXEC		tid's process runs another program; its other threads have gone. name: the new
 *			one; old_tid: the thread that called, if it took over the leader's number.
 *			Argument: "exe".
 *   EXIT		tid ends, but runs on in the kernel until its last SWITCH_OUT (if that is not
 *			recorded, until now). code: as of wait(2); flags: enum event_exit_flags.
 *   STATE		what tid is at this moment, for readers that begin here: at the log's begin, for
 *			each thread, and repeated by writers. state: enum thread_state; since: time;
 *			stack: where it waits; syscall: its number + 1, or 0; entered: time of that;
 *			request: that it works on.
 *
 * Scheduling: of the target's threads, all of it
 *
 *   SWITCH_IN		tid goes on the CPU. prev: the thread that left it (0: it was idle).
 *   SWITCH_OUT		tid leaves it. state: enum thread_state, never USER or SYSCALL; stack: where;
 *			next: who comes (0: nobody).
 *   WAKING		tid wakes another (sched_waking, sched_wakeup_new): that is runnable from now.
 *			wakee; cpu: where it is to run, as far as known now; flags: enum
 *			event_waking_flags; stack: of the waker.
 *   SYSCALL_ENTER	nr: of the machine's own table; args 0 to 2 as arg0, arg1, arg2, as far as
 *			recorded.
 *   SYSCALL_EXIT	nr; ret: signed, as the kernel returns it. A call that never returns has none.
 *   FAULT_BEGIN	a page fault in user mode. address; flags: enum event_fault_flags. If its end is
 *			not recorded it has INSTANT.
 *   FAULT_END		flags: MAJOR.
 *   IO_ISSUE		a block request goes to its device. dev: as of stat(2); sector; bytes; flags:
 *			enum event_io_flags. tid: who sent it, which may be a kernel thread.
 *   IO_COMPLETE	dev, sector, bytes of the same; error: a negative errno. tid 0.
 *
 * The program's own: by USDT probes and functions
 *
 *   SPAN_BEGIN		a piece of work on this thread; they nest. name; category: "sql", "function".
 *			Arguments.
 *   SPAN_END		the innermost open one of this name ends, and what is open inside. name.
 *			Arguments.
 *   INSTANT		name; category; stack. Arguments.
 *
 * Requests. A thread works on one at a time.
 *
 *   REQUEST_BEGIN	request; route: name; flags: enum event_request_flags. Arguments: "method",
 *			"path". tid: the thread whose turn it waits for when nobody works on it.
 *   REQUEST_END	request; status: HTTP's or the program's; bytes: of the answer; flags. Arguments.
 *   REQUEST_RUN	tid works on it from now.
 *   REQUEST_PAUSE	tid does not any more.
 *   PHASE_BEGIN	request; phase: name: "parse", "auth", "sql", "hash", "json", "send". They nest;
 *			the innermost counts.
 *   PHASE_END		request; phase: the innermost open one of this name ends, and what is open
 *			inside.
 *   ENQUEUE		request waits for another thread. queue: name; depth: with it.
 *   DEQUEUE		request; queue. tid took it out.
 *   REPLY		request; queue. Done there: it waits for its own thread's turn.
 *   COMMIT_BEGIN	tid begins what several requests share. commit: its id. Those that pause on tid
 *			until COMMIT_END, or were taken out by it and wait to be worked on, wait for it.
 *   COMMIT_END		commit; items: how many share it; result: 0 or a negative errno.
 *
 * Measurements
 *
 *   SAMPLE		tid was seen at stack. weight: ns it stands for; why: enum event_sample_why.
 *   COUNTER		counter: enum event_counter; value: signed. Of a process: tid is its PID. Of a
 *			CPU: tid is 0.
 *   ALLOCATED		tid has called the allocator since it last said so, allocs times, for so many
 *			bytes, and while it worked on no other request than now.
 *
 * About the log itself
 *
 *   LOST		count events of this CPU are missing between this moment, the time of the last one
 *			that is there, and until: a time after it, that of the next. Made by the writer of
 *			the file out of the per-CPU sequence numbers.
 *   TRIGGER		this is why the log was kept. name: the condition; request: the guilty one; tid: the
 *			guilty thread. Arguments.
 *   SIGNAL		tid gets a signal. signo; code: si_code; address: si_addr; stack; flags: enum
 *			event_signal_flags. Arguments: its registers in user mode by their names ("rip",
 *			"pc"), if it ends the process or tells of a fault.
 *   LEFT_OUT		from here on events are left out on purpose, or with ENDS all follow. Those of
 *			PROCESS, THREAD, NAME, EXEC, EXIT, SIGNAL, COUNTER, TRIGGER, LOST and CLOCK never
 *			are, nor are REQUEST_BEGIN (but its arguments) and REQUEST_END. count: that were
 *			left out since the last LEFT_OUT; flags: enum event_left_out_flags. After ENDS
 *			comes a STATE of each thread. May repeat what is so already.
 *   REQUEST_SUM	comes before the REQUEST_END of a request whose events were left out: what it came
 *			to. request; what: enum event_sum. Arguments: numbers by name; it may come several
 *			times.
 *   CLOCK		realtime: ns since 1970 at this moment. At the begin, and when the clock was set.
 *
 * Memory: every block of periscope heap --record
 *
 *   ALLOC		tid was given a block. block: its address, and above its low 47 bits the number of
 *			the address space, so that two processes' blocks differ; size: as asked for; stack;
 *			old: the block that a realloc has taken for it, which tid asked for at called. (In
 *			between others may have been given old's address: that is another block then.)
 *   FREE		tid gives a block back. block; called: if not 0, the call began then, and the
 *			address may have been given out again since, as above.
 */
enum event_kind {
	EVT_NONE = 0,
	EVT_PROCESS = 1,
	EVT_THREAD = 2,
	EVT_NAME = 3,
	EVT_EXEC = 4,
	EVT_EXIT = 5,
	EVT_STATE = 6,
	EVT_SWITCH_IN = 7,
	EVT_SWITCH_OUT = 8,
	EVT_WAKING = 9,
	EVT_SYSCALL_ENTER = 10,
	EVT_SYSCALL_EXIT = 11,
	EVT_FAULT_BEGIN = 12,
	EVT_FAULT_END = 13,
	EVT_IO_ISSUE = 14,
	EVT_IO_COMPLETE = 15,
	EVT_SPAN_BEGIN = 16,
	EVT_SPAN_END = 17,
	EVT_INSTANT = 18,
	EVT_REQUEST_BEGIN = 19,
	EVT_REQUEST_END = 20,
	EVT_REQUEST_RUN = 21,
	EVT_REQUEST_PAUSE = 22,
	EVT_PHASE_BEGIN = 23,
	EVT_PHASE_END = 24,
	EVT_ENQUEUE = 25,
	EVT_DEQUEUE = 26,
	EVT_REPLY = 27,
	EVT_COMMIT_BEGIN = 28,
	EVT_COMMIT_END = 29,
	EVT_SAMPLE = 30,
	EVT_COUNTER = 31,
	EVT_LOST = 32,
	EVT_TRIGGER = 33,
	EVT_SIGNAL = 34,
	EVT_CLOCK = 35,
	EVT_ALLOC = 36,
	EVT_FREE = 37,
	EVT_ALLOCATED = 38,
	EVT_LEFT_OUT = 39,
	EVT_REQUEST_SUM = 40,
	EVT_NR,
};

/*
 * What a thread is. In SWITCH_OUT: why it left the CPU. Which kind of blocking it is, is told by the
 * system call it is in and the kind of file that is about (a read of a socket is NETWORK, of a file
 * DISK), without one by the place in the kernel.
 */
enum thread_state {
	THREAD_UNKNOWN = 0,   /* not recorded, or lost */
	THREAD_USER = 1,      /* on a CPU, in user mode or in a page fault */
	THREAD_SYSCALL = 2,   /* on a CPU, in a system call */
	THREAD_RUNNABLE = 3,  /* waits for a CPU: was woken, is new, or gave it up by sched_yield */
	THREAD_PREEMPTED = 4, /* waits for a CPU that was taken from it */
	THREAD_FUTEX = 5,     /* blocked: mutexes, condition variables, joins */
	THREAD_EPOLL = 6,     /* blocked until one of several is ready: epoll, poll, select */
	THREAD_NETWORK = 7,   /* blocked on one socket */
	THREAD_DISK = 8,      /* blocked on a file or a block device */
	THREAD_SLEEP = 9,     /* blocked until a time */
	THREAD_FAULT = 10,    /* blocked in a page fault */
	THREAD_OTHER = 11,    /* blocked on anything else: pipes, children, a debugger */
	THREAD_DEAD = 12,     /* its last SWITCH_OUT */
	THREAD_NR_STATES,
};

enum event_thread_flags {
	EVENT_THREAD_BEFORE = 1 << 0,  /* it was there when the log began */
	EVENT_THREAD_FOREIGN = 1 << 1, /* not of the target: nothing but its wakeups is recorded */
};

enum event_exit_flags {
	EVENT_EXIT_GROUP = 1 << 0, /* the last thread of its process */
	EVENT_EXIT_OOM = 1 << 1,   /* the kernel had chosen it for lack of memory */
};

enum event_waking_flags {
	EVENT_WAKING_IRQ = 1 << 0, /* an interrupt woke it; tid was only interrupted */
	EVENT_WAKING_NEW = 1 << 1, /* the wakee runs for the first time */
};

enum event_fault_flags {
	EVENT_FAULT_WRITE = 1 << 0,
	EVENT_FAULT_MAJOR = 1 << 1, /* needed a device */
	EVENT_FAULT_INSTANT = 1 << 2,
};

enum event_io_flags {
	EVENT_IO_WRITE = 1 << 0,
	EVENT_IO_FLUSH = 1 << 1,
	EVENT_IO_SYNC = 1 << 2,
	EVENT_IO_READAHEAD = 1 << 3,
	EVENT_IO_DISCARD = 1 << 4,
};

enum event_request_flags {
	EVENT_REQUEST_RUNS = 1 << 0,	/* BEGIN: and RUN, on this thread. END: and PAUSE */
	EVENT_REQUEST_ABORTED = 1 << 1, /* END: the client left */
};

enum event_signal_flags {
	EVENT_SIGNAL_HANDLED = 1 << 0, /* the program does something of its own about it */
};

enum event_left_out_flags {
	EVENT_LEFT_OUT_ENDS = 1 << 0,
};

enum event_sum {
	EVENT_SUM_STATES =
		0, /* ns by state: those of threads, "loop", "outside", "commit", "reply" */
	EVENT_SUM_QUEUES = 1, /* ns by queue */
	EVENT_SUM_PHASES = 2, /* ns by phase; the rest was in none */
	EVENT_SUM_COUNTS = 3, /* those of struct timeline_request, by name */
};

enum event_sample_why {
	EVENT_SAMPLE_CLOCK = 0,
	EVENT_SAMPLE_SNAPSHOT = 1, /* taken of all threads at one moment: a crash, a trigger */
};

/* Totals only grow; a value is of the moment unless it is a total. */
enum event_counter {
	COUNTER_NONE = 0,
	COUNTER_RSS = 1,  /* bytes, of a process */
	COUNTER_HEAP = 2, /* bytes in use that were allocated since the begin, of a process */
	COUNTER_ALLOC_BYTES = 3,   /* total of bytes asked for */
	COUNTER_ALLOCS = 4,	   /* total of calls */
	COUNTER_FREES = 5,	   /* total of calls */
	COUNTER_ALLOC_TIME = 6,	   /* total of ns on CPU in the allocator */
	COUNTER_RUN_QUEUE = 7,	   /* runnable threads, of a CPU */
	COUNTER_IN_FLIGHT = 8,	   /* requests; readers count them, too, if the log has them */
	COUNTER_CONNECTIONS = 9,   /* open */
	COUNTER_MINOR_FAULTS = 10, /* total */
	COUNTER_MAJOR_FAULTS = 11, /* total */
	COUNTER_THREADS = 12,
	COUNTER_HEAP_MOST = 13, /* the highest of COUNTER_HEAP since it was told last */
	COUNTER_NR,
};

#define EVENT_MAX_FIELDS 6

#endif
