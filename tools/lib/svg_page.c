/* SPDX-License-Identifier: MIT */
#include "svg_page.h"

#include <string.h>

#include "strbuf.h"

void svg_put_escaped(struct strbuf *b, const char *s)
{
	uint32_t c;

	while ((c = utf8_next(&s))) {
		if (c == '&')
			strbuf_puts(b, "&amp;");
		else if (c == '<')
			strbuf_puts(b, "&lt;");
		else if (c == '>')
			strbuf_puts(b, "&gt;");
		else if (c == '"')
			strbuf_puts(b, "&quot;");
		else
			strbuf_put_utf8(b, utf8_unsafe(c) ? UTF8_REPLACEMENT : c);
	}
}

void svg_put_clipped(struct strbuf *b, const char *s, size_t columns)
{
	struct strbuf clipped = { 0 };

	strbuf_puts_clipped(&clipped, s, columns);
	svg_put_escaped(b, strbuf_str(&clipped));
	if (strbuf_error(&clipped))
		b->failed = true;
	strbuf_release(&clipped);
}

void svg_put_style(struct strbuf *b)
{
	strbuf_puts(b,
		    "text{font:11px ui-monospace,\"SF Mono\",Menlo,Consolas,\"DejaVu Sans Mono\","
		    "\"Liberation Mono\",monospace;fill:#14161a;white-space:pre}\n"
		    ".h{font:600 17px system-ui,\"Segoe UI\",Helvetica,Arial,sans-serif}\n"
		    ".s,.s tspan{font:12px system-ui,\"Segoe UI\",Helvetica,Arial,sans-serif}\n"
		    ".b{fill:#ffffff}.h,.s{fill:#14161a}.q{fill:#5b626d}.m{fill:#b4b9c1}\n"
		    "g:hover>rect{stroke:#14161a;stroke-width:1}\n");
	strbuf_puts(b, "@media (prefers-color-scheme:dark){\n"
		       ".b{fill:#16181d}.h,.s{fill:#e8eaee}.q{fill:#9aa1ac}.m{fill:#565c66}"
		       "g:hover>rect{stroke:#fff}}\n");
}

void svg_put_head(struct strbuf *b, const char *title, int height)
{
	strbuf_printf(b,
		      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%g\" height=\"%d\" "
		      "viewBox=\"0 0 %g %d\" role=\"img\">\n<title>",
		      SVG_WIDTH, height, SVG_WIDTH, height);
	svg_put_escaped(b, title);
	strbuf_puts(b, "</title>\n");
}

void svg_put_title(struct strbuf *b, const char *title)
{
	strbuf_puts(b, "<rect class=\"b\" width=\"100%\" height=\"100%\"/>\n");
	strbuf_printf(b, "<text class=\"h\" x=\"%g\" y=\"%d\">", SVG_MARGIN, SVG_TITLE_HEIGHT - 6);
	svg_put_clipped(b, title, SVG_TITLE_COLUMNS);
	strbuf_puts(b, "</text>\n");
}

int svg_put_facts(struct strbuf *b, const struct write_options *o)
{
	int y = SVG_TITLE_HEIGHT;
	size_t used = 0;

	for (size_t i = 0; i < o->nr_fields; i++) {
		size_t len = strlen(o->fields[i].key) + strlen(o->fields[i].value) + 4;

		if (!used || used + len > SVG_FACT_COLUMNS) {
			y += SVG_LINE_HEIGHT;
			strbuf_printf(b, "%s<text class=\"s\" x=\"%g\" y=\"%d\">",
				      used ? "</text>\n" : "", SVG_MARGIN, y);
			used = 0;
		} else {
			strbuf_puts(b, "   ");
		}
		strbuf_puts(b, "<tspan class=\"q\">");
		svg_put_clipped(b, o->fields[i].key, SVG_FACT_COLUMNS / 4);
		strbuf_puts(b, "</tspan> ");
		svg_put_clipped(b, o->fields[i].value, SVG_FACT_COLUMNS / 4 * 3);
		used += len;
	}
	if (used)
		strbuf_puts(b, "</text>\n");
	return y;
}
