/* SPDX-License-Identifier: MIT */
#include "eventlog.h"

#include "syscalls.h"
#include "util.h"

/* Short, for the table below alone. */
enum {
	UINT = EVENT_FIELD_UINT,
	INT = EVENT_FIELD_INT,
	HEX = EVENT_FIELD_HEX,
	NAME = EVENT_FIELD_NAME,
	STACK = EVENT_FIELD_STACK,
	TID = EVENT_FIELD_TID,
	REQUEST = EVENT_FIELD_REQUEST,
	TIME = EVENT_FIELD_TIME,
	LATER = EVENT_FIELD_LATER,
	STATE = EVENT_FIELD_STATE,
	COUNTER = EVENT_FIELD_COUNTER,
	FLAGS = EVENT_FIELD_FLAGS,
};

#define KIND(kind_name, takes_args, ...)                                          \
	{                                                                         \
		.name = (kind_name), .args = (takes_args),                        \
		.nr_fields = ARRAY_SIZE(((struct event_field[]){ __VA_ARGS__ })), \
		.fields = { __VA_ARGS__ },                                        \
	}

/* clang-format off: a table is read by its columns */
const struct event_kind_info event_kinds[EVT_NR] = {
	[EVT_NONE] = { .name = "none" },
	[EVT_PROCESS] = KIND("process", true, { "parent", TID }, { "name", NAME }),
	[EVT_THREAD] = KIND("thread", false, { "pid", TID }, { "name", NAME }, { "flags", FLAGS }),
	[EVT_NAME] = KIND("name", false, { "name", NAME }),
	[EVT_EXEC] = KIND("exec", true, { "name", NAME }, { "old_tid", TID }),
	[EVT_EXIT] = KIND("exit", false, { "code", UINT }, { "flags", FLAGS }),
	[EVT_STATE] = KIND("state", false, { "state", STATE }, { "since", TIME },
			   { "stack", STACK }, { "syscall", UINT }, { "entered", TIME },
			   { "request", REQUEST }),
	[EVT_SWITCH_IN] = KIND("switch_in", false, { "prev", TID }),
	[EVT_SWITCH_OUT] =
		KIND("switch_out", false, { "state", STATE }, { "stack", STACK }, { "next", TID }),
	[EVT_WAKING] = KIND("waking", false, { "wakee", TID }, { "cpu", UINT }, { "flags", FLAGS },
			    { "stack", STACK }),
	[EVT_SYSCALL_ENTER] = KIND("syscall_enter", false, { "nr", UINT }, { "arg0", HEX },
				   { "arg1", HEX }, { "arg2", HEX }),
	[EVT_SYSCALL_EXIT] = KIND("syscall_exit", false, { "nr", UINT }, { "ret", INT }),
	[EVT_FAULT_BEGIN] = KIND("fault_begin", false, { "address", HEX }, { "flags", FLAGS }),
	[EVT_FAULT_END] = KIND("fault_end", false, { "flags", FLAGS }),
	[EVT_IO_ISSUE] = KIND("io_issue", false, { "dev", UINT }, { "sector", UINT },
			      { "bytes", UINT }, { "flags", FLAGS }),
	[EVT_IO_COMPLETE] = KIND("io_complete", false, { "dev", UINT }, { "sector", UINT },
				 { "bytes", UINT }, { "error", INT }),
	[EVT_SPAN_BEGIN] = KIND("span_begin", true, { "name", NAME }, { "category", NAME },
				{ "stack", STACK }),
	[EVT_SPAN_END] = KIND("span_end", true, { "name", NAME }),
	[EVT_INSTANT] =
		KIND("instant", true, { "name", NAME }, { "category", NAME }, { "stack", STACK }),
	[EVT_REQUEST_BEGIN] = KIND("request_begin", true, { "request", REQUEST }, { "route", NAME },
				   { "flags", FLAGS }),
	[EVT_REQUEST_END] = KIND("request_end", true, { "request", REQUEST }, { "status", INT },
				 { "bytes", UINT }, { "flags", FLAGS }),
	[EVT_REQUEST_RUN] = KIND("request_run", false, { "request", REQUEST }),
	[EVT_REQUEST_PAUSE] = KIND("request_pause", false, { "request", REQUEST }),
	[EVT_PHASE_BEGIN] = KIND("phase_begin", false, { "request", REQUEST }, { "phase", NAME }),
	[EVT_PHASE_END] = KIND("phase_end", false, { "request", REQUEST }, { "phase", NAME }),
	[EVT_ENQUEUE] = KIND("enqueue", false, { "request", REQUEST }, { "queue", NAME },
			     { "depth", UINT }),
	[EVT_DEQUEUE] = KIND("dequeue", false, { "request", REQUEST }, { "queue", NAME }),
	[EVT_REPLY] = KIND("reply", false, { "request", REQUEST }, { "queue", NAME }),
	[EVT_COMMIT_BEGIN] = KIND("commit_begin", false, { "commit", UINT }),
	[EVT_COMMIT_END] =
		KIND("commit_end", false, { "commit", UINT }, { "items", UINT }, { "result", INT }),
	[EVT_SAMPLE] =
		KIND("sample", false, { "stack", STACK }, { "weight", UINT }, { "why", UINT }),
	[EVT_COUNTER] = KIND("counter", false, { "counter", COUNTER }, { "value", INT }),
	[EVT_LOST] = KIND("lost", false, { "count", UINT }, { "until", LATER }),
	[EVT_TRIGGER] = KIND("trigger", true, { "name", NAME }, { "request", REQUEST }),
	[EVT_SIGNAL] = KIND("signal", true, { "signo", UINT }, { "code", INT }, { "address", HEX },
			    { "stack", STACK }, { "flags", FLAGS }),
	[EVT_CLOCK] = KIND("clock", false, { "realtime", UINT }),
	[EVT_ALLOC] = KIND("alloc", false, { "block", HEX }, { "size", UINT }, { "stack", STACK },
			   { "old", HEX }, { "called", TIME }),
	[EVT_FREE] = KIND("free", false, { "block", HEX }, { "called", TIME }),
	[EVT_ALLOCATED] = KIND("allocated", false, { "allocs", UINT }, { "bytes", UINT }),
	[EVT_LEFT_OUT] = KIND("left_out", false, { "count", UINT }, { "flags", FLAGS }),
	[EVT_REQUEST_SUM] = KIND("request_sum", true, { "request", REQUEST }, { "what", UINT }),
};
/* clang-format on */

const char *thread_state_name(unsigned int state)
{
	static const char *const names[THREAD_NR_STATES] = {
		[THREAD_UNKNOWN] = "unknown",	  [THREAD_USER] = "user",
		[THREAD_SYSCALL] = "syscall",	  [THREAD_RUNNABLE] = "runnable",
		[THREAD_PREEMPTED] = "preempted", [THREAD_FUTEX] = "futex",
		[THREAD_EPOLL] = "epoll",	  [THREAD_NETWORK] = "network",
		[THREAD_DISK] = "disk",		  [THREAD_SLEEP] = "sleep",
		[THREAD_FAULT] = "fault",	  [THREAD_OTHER] = "other",
		[THREAD_DEAD] = "dead",
	};

	return state < THREAD_NR_STATES ? names[state] : "?";
}

bool thread_state_running(unsigned int state)
{
	return state == THREAD_USER || state == THREAD_SYSCALL;
}

bool thread_state_blocked(unsigned int state)
{
	return state >= THREAD_FUTEX && state <= THREAD_OTHER;
}

const struct event_counter_info *event_counter_info(unsigned int counter)
{
	static const struct event_counter_info infos[COUNTER_NR] = {
		[COUNTER_NONE] = { "counter", "a counter", "count", false },
		[COUNTER_RSS] = { "rss", "resident memory", "bytes", false },
		[COUNTER_HEAP] = { "heap", "heap since the start", "bytes", false },
		[COUNTER_ALLOC_BYTES] = { "alloc_bytes", "bytes allocated", "bytes", true },
		[COUNTER_ALLOCS] = { "allocs", "allocations", "count", true },
		[COUNTER_FREES] = { "frees", "frees", "count", true },
		[COUNTER_ALLOC_TIME] = { "alloc_time", "time in the allocator", "nanoseconds",
					 true },
		[COUNTER_RUN_QUEUE] = { "run_queue", "runnable threads", "count", false },
		[COUNTER_IN_FLIGHT] = { "in_flight", "requests in flight", "count", false },
		[COUNTER_CONNECTIONS] = { "connections", "open connections", "count", false },
		[COUNTER_MINOR_FAULTS] = { "minor_faults", "minor page faults", "count", true },
		[COUNTER_MAJOR_FAULTS] = { "major_faults", "major page faults", "count", true },
		[COUNTER_THREADS] = { "threads", "threads", "count", false },
		[COUNTER_HEAP_MOST] = { "heap_most", "heap since the start, at most", "bytes",
					false },
	};

	return &infos[counter < COUNTER_NR ? counter : COUNTER_NONE];
}

const char *syscall_name(unsigned int nr)
{
	/* Made from <asm/unistd.h> by the Makefile: SYSCALL(name) for each. */
	static const char *const names[] = {
#define SYSCALL(name) [__NR_##name] = #name,
		SYSCALLS
#undef SYSCALL
	};

	return nr < ARRAY_SIZE(names) ? names[nr] : NULL;
}
