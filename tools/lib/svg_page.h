/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_SVG_PAGE_H
#define PERISCOPE_SVG_PAGE_H

/*
 * What all pictures have in common: size, title, facts, and the style sheet's basis for light and
 * dark pages. Well-formed XML 1.0 whatever the texts are.
 */

#include <stddef.h>

#include "write.h"

struct strbuf;

/* In pixels. */
#define SVG_WIDTH	 1200.0
#define SVG_MARGIN	 12.0
#define SVG_TITLE_HEIGHT 34
#define SVG_LINE_HEIGHT	 17

/* Columns of text that fit a line of facts, and of the title. */
#define SVG_FACT_COLUMNS  170
#define SVG_TITLE_COLUMNS 85

/* The text with what XML 1.0 has no way to write (section 2.2: most control characters) replaced. */
void svg_put_escaped(struct strbuf *b, const char *s);
/* The same, cut to so many columns. */
void svg_put_clipped(struct strbuf *b, const char *s, size_t columns);

/* The document's beginning up to and with <title>, and what comes before anything else. */
void svg_put_head(struct strbuf *b, const char *title, int height);
/*
 * Rules, without <style>: monospaced text for what is coloured (`text`), .h for the title, .s for
 * text on the page, .q for what matters less, .b for the page itself.
 */
void svg_put_style(struct strbuf *b);
/* The title as it is seen, and the page behind it. */
void svg_put_title(struct strbuf *b, const char *title);

/* The facts, several to a line. Returns the height of the picture down to the last of them. */
int svg_put_facts(struct strbuf *b, const struct write_options *o);

#endif
