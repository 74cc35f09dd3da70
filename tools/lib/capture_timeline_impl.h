/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_CAPTURE_TIMELINE_IMPL_H
#define PERISCOPE_CAPTURE_TIMELINE_IMPL_H

/* What the parts of the timeline's engine share; nobody else includes it. */

#include "capture_timeline.h"
#include "ksyms.h"
#include "sampler.h"
#include "timeline.skel.h"
#include "timeline_gauges.h"
#include "timeline_heaps.h"
#include "timeline_records.h"
#include "timeline_sources.h"
#include "timeline_told.h"

/* Frames that are named at a time while the recording goes on. */
#define TIMELINE_SYMBOLS_AT_ONCE 64

struct capture_timeline {
	struct watch watch; /* first, for watch_op_* */
	struct capture_timeline_options o;
	struct sampler sampler;
	struct timeline_bpf *bpf;
	struct trace_writer *writer;
	struct timeline_records records;
	struct timeline_sources sources;
	struct timeline_gauges gauges;
	struct timeline_heaps heaps;
	struct ksyms *ksyms;
	struct bpf_link *links[16];
	size_t nr_links;
	struct timeline_told told;
	uint64_t emptied_at;
	uint64_t started, ended;
	bool running;
	int record_err;
};

#endif
