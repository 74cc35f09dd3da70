/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TEXT_PAGE_H
#define PERISCOPE_TEXT_PAGE_H

/* What the text reports have in common: width, styles, the facts above them. */

#include <stddef.h>

#include "strbuf.h"
#include "write.h"

#define TEXT_DEFAULT_TOP 20

#define TEXT_BOLD	 "\033[1m"
#define TEXT_DIM	 "\033[2m"
#define TEXT_RED	 "\033[31m"
#define TEXT_PLAIN	 "\033[0m"

struct text_page {
	const struct write_options *o;
	size_t width;
	struct strbuf out; /* the report in the making; released by whoever embeds the page */
};

void text_page_init(struct text_page *p, const struct write_options *o);

/* Nothing without colours. */
void text_style(struct text_page *p, const char *style);

/* A line in bold after an empty one. */
void text_heading(struct text_page *p, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* A line's end, without the blanks that stand before it. */
void text_end_line(struct text_page *p);

/* Key, value, and a line's end; keys take `widest` columns. */
void text_field(struct text_page *p, const char *key, size_t widest, const char *value);

/* The facts of the options, one a line. */
void text_fields(struct text_page *p);

#endif
