/* SPDX-License-Identifier: MIT */
#include "write_svg_paint.h"

#include <math.h>
#include <string.h>

#include "strbuf.h"
#include "util.h"

/*
 * Hues after Okabe and Ito's palette ("Color Universal Design", 2008), lightened to carry dark
 * text. Origins differ in lightness as well as in hue. Kernel and notes look alike in all kinds.
 */
#define NR_SHADES 3
#define NR_KINDS  4

struct shades {
	const char *light[NR_SHADES], *dark[NR_SHADES];
};

#define KERNEL_SHADES                                   \
	{                                               \
		{ "#d793b9", "#dea4c5", "#d08bb2" },    \
		{                                       \
			"#b8739b", "#ac698f", "#c27fa6" \
		}                                       \
	}
#define NOTE_SHADES                                     \
	{                                               \
		{ "#d3d6db", "#d3d6db", "#d3d6db" },    \
		{                                       \
			"#a9aeb7", "#a9aeb7", "#a9aeb7" \
		}                                       \
	}

static const struct shades palettes[NR_KINDS][NR_PAINTS] = {
	[PAINT_CPU] = {
		[PAINT_PROGRAM] = { { "#f3a83b", "#f6b85c", "#f0b04e" },
				    { "#d08a25", "#c58122", "#db9636" } },
		[PAINT_INLINED] = { { "#f4ea7a", "#f7ef94", "#efe46a" },
				    { "#cfc552", "#c2b846", "#d9d065" } },
		[PAINT_LIBRARY] = { { "#7cc4f0", "#93cff3", "#6dbbea" },
				    { "#5a9fc8", "#5094bc", "#67abd3" } },
		[PAINT_LIBC] = { { "#4db795", "#62c2a4", "#57b999" },
				 { "#2b8a6b", "#257d60", "#379678" } },
		[PAINT_KERNEL] = KERNEL_SHADES,
		[PAINT_NOTE] = NOTE_SHADES,
	},
	[PAINT_OFFCPU] = {
		[PAINT_PROGRAM] = { { "#8ea6ec", "#a0b5f0", "#839de6" },
				    { "#7189d0", "#667ec6", "#7e95d9" } },
		[PAINT_INLINED] = { { "#c3d0fb", "#d0dafc", "#b7c6f8" },
				    { "#b3c2f0", "#a7b7e8", "#becbf5" } },
		[PAINT_LIBRARY] = { { "#5cc3d3", "#74cddb", "#50b9ca" },
				    { "#3aa9b9", "#319dad", "#49b4c3" } },
		[PAINT_LIBC] = { { "#a5d39e", "#b4dcae", "#99ca92" },
				 { "#86b47f", "#7ba974", "#93bf8c" } },
		[PAINT_KERNEL] = KERNEL_SHADES,
		[PAINT_NOTE] = NOTE_SHADES,
	},
	[PAINT_BYTES] = {
		[PAINT_PROGRAM] = { { "#8aca66", "#99d179", "#80c25a" },
				    { "#78b556", "#6ea94d", "#84bf63" } },
		[PAINT_INLINED] = { { "#e6f58c", "#edf8a6", "#dcee78" },
				    { "#d3e27e", "#c8d873", "#dcea8d" } },
		[PAINT_LIBRARY] = { { "#84b9e8", "#98c5ed", "#77afe1" },
				    { "#6397c6", "#588cba", "#70a3d0" } },
		[PAINT_LIBC] = { { "#b47f3a", "#be8c4a", "#ab7631" },
				 { "#a87632", "#9c6c2c", "#b4823f" } },
		[PAINT_KERNEL] = KERNEL_SHADES,
		[PAINT_NOTE] = NOTE_SHADES,
	},
	[PAINT_OBJECTS] = {
		[PAINT_PROGRAM] = { { "#e98d6b", "#eea084", "#e2825f" },
				    { "#c76f50", "#bb6547", "#d17d60" } },
		[PAINT_INLINED] = { { "#f7cdb8", "#f9d9c9", "#f2c2aa" },
				    { "#d3a892", "#c79d87", "#deb5a1" } },
		[PAINT_LIBRARY] = { { "#7fbfe6", "#94caeb", "#72b5de" },
				    { "#5e9cc1", "#5391b6", "#6ca8cc" } },
		[PAINT_LIBC] = { { "#c9bd5e", "#d2c877", "#c0b351" },
				 { "#a69b45", "#9a8f3c", "#b2a754" } },
		[PAINT_KERNEL] = KERNEL_SHADES,
		[PAINT_NOTE] = NOTE_SHADES,
	},
};

static const struct {
	char class;
	const char *legend;
} paints[NR_PAINTS] = {
	[PAINT_PROGRAM] = { 'p', "program" }, [PAINT_INLINED] = { 'i', "inlined" },
	[PAINT_LIBRARY] = { 'l', "library" }, [PAINT_LIBC] = { 'c', "C library" },
	[PAINT_KERNEL] = { 'k', "kernel" },   [PAINT_NOTE] = { 'n', "thread, or not code" },
};

/* Blue for less, grey, orange for more: the pair that every kind of colour blindness keeps apart. */
#define NR_DELTAS (2 * PAINT_NR_STEPS + 1)
static const char *const deltas[2][NR_DELTAS] = {
	{ "#3f8fd0", "#72aee0", "#a3cbec", "#cbe1f4", "#dcdfe3", "#fbe0c3", "#f8c48b", "#f3a453",
	  "#e57f1b" },
	{ "#2f78b5", "#4b87b9", "#66889f", "#8a9aa6", "#a9aeb7", "#a8967a", "#ab8650", "#c18332",
	  "#d67a1a" },
};

const double paint_steps[PAINT_NR_STEPS] = { 0.05, 0.2, 0.4, 0.7 };

static bool has_any(const char *s, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strstr(s, words[i]))
			return true;
	return false;
}

enum paint_kind paint_kind(const char *type, const char *unit)
{
	static const char *const blocked[] = { "off", "block", "wait", "delay", "contention" };

	if (strstr(unit, "byte") || strstr(type, "space"))
		return PAINT_BYTES;
	if (strstr(type, "objects"))
		return PAINT_OBJECTS;
	return has_any(type, blocked, ARRAY_SIZE(blocked)) ? PAINT_OFFCPU : PAINT_CPU;
}

const char *paint_title(enum paint_kind kind, const char *type)
{
	switch (kind) {
	case PAINT_OFFCPU:
		return "Off-CPU time by stack";
	case PAINT_BYTES:
		return strstr(type, "inuse") ? "Bytes in use by stack" : "Bytes by stack";
	case PAINT_OBJECTS:
		return strstr(type, "inuse") ? "Objects in use by stack" : "Objects by stack";
	default:
		return strstr(type, "cpu") ? "CPU time by stack" : "Samples by stack";
	}
}

enum paint paint_of(enum frame_origin origin, bool inlined)
{
	static const enum paint by_origin[FRAME_NR_ORIGINS] = {
		[FRAME_PROGRAM] = PAINT_PROGRAM, [FRAME_LIBRARY] = PAINT_LIBRARY,
		[FRAME_LIBC] = PAINT_LIBC,	 [FRAME_KERNEL] = PAINT_KERNEL,
		[FRAME_NOTE] = PAINT_NOTE,
	};

	return inlined ? PAINT_INLINED : by_origin[origin];
}

char paint_class(enum paint paint)
{
	return paints[paint].class;
}

const char *paint_legend(enum paint paint)
{
	return paints[paint].legend;
}

char paint_shade(const char *name)
{
	return (char)('0' + hash_bytes(name, strlen(name)) % NR_SHADES);
}

const char *paint_delta(double before, double after)
{
	static const char *const classes[NR_DELTAS] = { "d0", "d1", "d2", "d3", "d4",
							"d5", "d6", "d7", "d8" };
	double most = fmax(before, after), change = most > 0 ? (after - before) / most : 0;
	int step = 0;

	while (step < PAINT_NR_STEPS && fabs(change) >= paint_steps[step])
		step++;
	return classes[PAINT_NR_STEPS + (change < 0 ? -step : step)];
}

/* fill is for shapes of the picture, the background for what the script draws. */
static void put_rule(struct strbuf *b, char class, size_t digit, const char *color)
{
	strbuf_printf(b, ".%c%zu{fill:%s;background-color:%s}", class, digit, color, color);
}

static void put_colors(struct strbuf *b, enum paint_kind kind, bool diff, bool dark)
{
	for (size_t i = 0; i < NR_PAINTS; i++) {
		const struct shades *s = &palettes[kind][i];

		for (size_t j = 0; j < NR_SHADES; j++)
			put_rule(b, paints[i].class, j, dark ? s->dark[j] : s->light[j]);
	}
	for (size_t i = 0; diff && i < NR_DELTAS; i++)
		put_rule(b, 'd', i, deltas[dark][i]);
	strbuf_putc(b, '\n');
}

void paint_put_style(struct strbuf *b, enum paint_kind kind, bool diff)
{
	put_colors(b, kind, diff, false);
	strbuf_puts(b, "@media (prefers-color-scheme:dark){\n");
	put_colors(b, kind, diff, true);
	strbuf_puts(b, "}\n");
}
