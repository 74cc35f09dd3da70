/* SPDX-License-Identifier: MIT */
#include "cmd_heap_record.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "lib/capture_heap.h"
#include "lib/cli.h"
#include "lib/summary.h"
#include "lib/util.h"
#include "periscope.h"

static uint64_t realtime_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * UINT64_C(1000000000) + t.tv_nsec;
}

static int tell_infos(struct capture_heap *c)
{
	char memory[32];
	struct utsname u;
	int err = capture_heap_record_info(c, "recording", "heap");

	snprintf(memory, sizeof(memory), "%" PRIu64,
		 (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE));
	if (!err)
		err = capture_heap_record_info(c, "memory", memory);
	if (!err)
		err = capture_heap_record_info(c, "periscope", PERISCOPE_VERSION);
	if (err || uname(&u))
		return err;
	err = capture_heap_record_info(c, "host", u.nodename);
	return err ? err : capture_heap_record_info(c, "kernel", u.release);
}

int heap_recording_open(struct heap_recording *r, struct capture_heap *c)
{
	int err;

	if (!r->path)
		return 0;
	err = trace_file_create(r->path, now_ns(), realtime_ns(), &r->file);
	if (err)
		return cli_fail("cannot write '%s': %s", r->path, strerror(-err));
	if (capture_heap_record(c, r->file))
		return cli_fail("%s", capture_heap_ops.error(c));
	err = tell_infos(c);
	return err ? cli_fail("cannot write '%s': %s", r->path, strerror(-err)) : 0;
}

void heap_recording_summarize(const struct heap_recording *r, const struct capture_heap *c,
			      struct summary *s)
{
	struct trace_writer_stats st;

	if (!r->path)
		return;
	capture_heap_record_stats(c, &st);
	summary_u64(s, "recorded", st.events);
	summary_u64(s, "record-lost", st.lost);
	summary_u64(s, "record-bytes", trace_file_bytes(r->file));
	if (st.lost)
		fprintf(stderr,
			"%" PRIu64
			" events came too fast to be recorded: '%s' says where; what they "
			"freed looks leaked there, though not in the figures here\n",
			st.lost, r->path);
}

int heap_recording_close(struct heap_recording *r, const struct capture_heap *c, int status)
{
	struct trace_writer_stats st = { 0 };
	int err;

	if (!r->file)
		return status;
	capture_heap_record_stats(c, &st);
	err = trace_file_close(r->file);
	if (!err)
		err = capture_heap_record_error(c);
	if (status && !st.events)
		unlink(r->path);
	if (err && !status)
		return cli_fail("cannot write '%s': %s", r->path, strerror(-err));
	return status;
}
