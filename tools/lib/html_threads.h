/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_HTML_THREADS_H
#define PERISCOPE_HTML_THREADS_H

/* The visitor of write_html, as far as threads are concerned; nobody else includes it. */

#include "html_impl.h"

int html_thread(void *ctx, struct timeline_thread *t);
int html_thread_end(void *ctx, struct timeline_thread *t);
int html_state(void *ctx, struct timeline_thread *t, const struct timeline_interval *i);
int html_waking(void *ctx, struct timeline_thread *waker, struct timeline_thread *wakee,
		const struct event *e);
int html_span_begin(void *ctx, struct timeline_thread *t, const struct timeline_span *s,
		    const struct event *e);
int html_span_end(void *ctx, struct timeline_thread *t, const struct timeline_span *s, uint64_t end,
		  const struct event *e);
int html_instant(void *ctx, struct timeline_thread *t, const struct event *e);

#endif
