/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TIMELINE_VIEW_H
#define PERISCOPE_TIMELINE_VIEW_H

/* What is to be written of a trace: all of it, or what a filter leaves. */

#include "timeline.h"

struct timeline_view {
	struct trace *trace;
	struct timeline_filter filter;
};

#endif
