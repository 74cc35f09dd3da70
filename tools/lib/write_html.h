/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_WRITE_HTML_H
#define PERISCOPE_WRITE_HTML_H

/*
 * A timeline as a page: one HTML file that needs no network and no server. Its data are compressed
 * columns (html_pack.h, html_impl.h), its script (tools/web/timeline*.js) draws them, sums them up and
 * hands ranges to the flame graph, which is in the file, too. Names are text wherever they appear.
 * Of the events' number only what is kept of open spans and requests depends.
 */

#include "timeline_view.h"
#include "write.h"

struct sink;

int write_html(const struct timeline_view *v, const struct write_options *o, struct sink *out);

#endif
