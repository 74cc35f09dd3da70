/* SPDX-License-Identifier: MIT */
#include "diff_report.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "function_sums.h"
#include "report.h"
#include "util.h"

#define COLUMNS(unit)                                                                     \
	{                                                                                 \
		{ "function", "function", REPORT_PLACE }, { "change", "change", (unit) }, \
			{ "before", "before", (unit) }, { "after", "after", (unit) },     \
		{                                                                         \
			"object", "object", REPORT_PLACE                                  \
		}                                                                         \
	}

static const struct report_column shares[] = COLUMNS(REPORT_PERCENT);
static const struct report_column times[] = COLUMNS(REPORT_NS);
static const struct report_column sizes[] = COLUMNS(REPORT_BYTES);
static const struct report_column counts[] = COLUMNS(REPORT_COUNT);

struct row {
	const struct frame_symbol *symbol;
	int64_t sides[2];
	double change; /* in what is shown */
};

struct difference {
	const struct profile *p;
	struct frames frames;
	struct function_sum *sums[2];
	int64_t totals[2];
	bool absolute;
	struct row *rows;
	size_t nr_rows;
};

static const struct report_column *columns_for(const struct difference *d)
{
	const char *unit = profile_str(d->p, d->p->types[1].unit);

	if (!d->absolute)
		return shares;
	if (!strcmp(unit, "nanoseconds"))
		return times;
	return strcmp(unit, "bytes") != 0 ? counts : sizes;
}

static double share(const struct difference *d, const struct row *row, size_t side)
{
	return d->totals[side] ? 100 * (double)row->sides[side] / (double)d->totals[side] : 0;
}

static int by_change(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int order;

	if (fabs(x->change) != fabs(y->change))
		return fabs(x->change) > fabs(y->change) ? -1 : 1;
	order = strcmp(x->symbol->name, y->symbol->name);
	return order ? order : strcmp(x->symbol->module, y->symbol->module);
}

/* Of each function its own part or that with all it called; the greatest change first. */
static void find_rows(struct difference *d, bool own)
{
	d->nr_rows = 0;
	for (size_t i = 0; i < d->frames.nr_symbols; i++) {
		struct row *row = &d->rows[d->nr_rows];

		row->symbol = &d->frames.symbols[i];
		for (size_t side = 0; side < 2; side++)
			row->sides[side] = own ? d->sums[side][i].flat : d->sums[side][i].cum;
		row->change = d->absolute ? (double)row->sides[1] - (double)row->sides[0]
					  : share(d, row, 1) - share(d, row, 0);
		d->nr_rows += row->change != 0;
	}
	qsort(d->rows, d->nr_rows, sizeof(*d->rows), by_change);
}

static void add_table(const struct difference *d, struct report_section *s, const char *key,
		      const char *title)
{
	struct report_table *t = report_table(s, key, title, columns_for(d), ARRAY_SIZE(shares));

	for (size_t i = 0; i < d->nr_rows; i++) {
		const struct row *row = &d->rows[i];

		report_add_text(t, row->symbol->name);
		if (d->absolute) {
			report_add(t, row->sides[1] - row->sides[0]);
			report_add(t, row->sides[0]);
			report_add(t, row->sides[1]);
		} else {
			report_add_real(t, row->change);
			report_add_real(t, share(d, row, 0));
			report_add_real(t, share(d, row, 1));
		}
		report_add_text(t, *row->symbol->module ? row->symbol->module : NULL);
	}
}

int diff_report(struct report *r, const struct profile *p, bool absolute)
{
	struct difference d = { .p = p, .absolute = absolute };
	struct report_section *s = report_section(r, "changes", "What changed, by function");
	int err = frames_init(&d.frames, p);

	for (size_t side = 0; side < 2 && !err; side++) {
		d.totals[side] = profile_total(p, side);
		err = function_sums(&d.frames, p, side, &d.sums[side]);
	}
	if (!err) {
		d.rows = calloc(d.frames.nr_symbols + 1, sizeof(*d.rows));
		err = d.rows ? 0 : -ENOMEM;
	}
	if (!err) {
		if (!absolute)
			report_note(s,
				    "Shares are of each profile's own sum (--absolute: values).");
		find_rows(&d, true);
		add_table(&d, s, "own", "By themselves");
		find_rows(&d, false);
		add_table(&d, s, "cumulative", "With all they called");
	}
	free(d.rows);
	free(d.sums[0]);
	free(d.sums[1]);
	frames_release(&d.frames);
	return err;
}
