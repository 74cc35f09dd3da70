/* SPDX-License-Identifier: MIT */
#include "measure.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "util.h"

struct unit {
	const char *value_unit; /* as sample types spell it; NULL: only printed */
	struct measure printed;
};

/* Each family ascending and ended by a row without a printed unit; sizes in its first unit. */
static const struct unit time_units[] = {
	{ "nanoseconds", { "ns", 1 } },
	{ "microseconds", { "us", 1e3 } },
	{ "milliseconds", { "ms", 1e6 } },
	{ "seconds", { "s", 1e9 } },
	{ "minutes", { "mins", 60 * 1e9 } },
	{ "hours", { "hrs", 3600 * 1e9 } },
	{ NULL, { NULL, 0 } },
};
static const struct unit byte_units[] = {
	{ "bytes", { "B", 1 } },
	{ "kilobytes", { "kB", 0x1p10 } },
	{ "megabytes", { "MB", 0x1p20 } },
	{ "gigabytes", { "GB", 0x1p30 } },
	{ NULL, { "TB", 0x1p40 } },
	{ NULL, { "PB", 0x1p50 } },
	{ NULL, { NULL, 0 } },
};

static const struct unit *find_unit(const struct unit *family, const char *name)
{
	for (const struct unit *u = family; u->printed.unit; u++)
		if ((u->value_unit && !strcmp(u->value_unit, name)) ||
		    !strcmp(u->printed.unit, name))
			return u;
	return NULL;
}

struct measure measure_for(int64_t value, const char *unit)
{
	const struct unit *const families[] = { time_units, byte_units };
	double size = fabs((double)value);

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		const struct unit *u = find_unit(families[i], unit), *best = families[i];
		double base;

		if (!u)
			continue;
		base = u->printed.size;
		for (u = families[i]; u->printed.unit; u++)
			if (size * base >= u->printed.size)
				best = u;
		return (struct measure){ best->printed.unit, best->printed.size / base };
	}
	if (!strcmp(unit, "count") || !strcmp(unit, "samples"))
		unit = "";
	return (struct measure){ unit, 1 };
}

struct measure measure_range(int64_t smallest, int64_t largest, const char *unit)
{
	int64_t hundredfold;

	if (__builtin_mul_overflow(smallest, 100, &hundredfold))
		return measure_for(largest, unit);
	return measure_for(MIN(hundredfold, largest), unit);
}

const char *measure_value(struct measure m, int64_t value, char *buf)
{
	char number[MEASURE_LEN];
	size_t len;

	if (m.size == 1) {
		snprintf(number, sizeof(number), "%lld", (long long)value);
	} else {
		snprintf(number, sizeof(number), "%.2f", (double)value / m.size);
		len = strlen(number);
		if (len > 3 && !strcmp(number + len - 3, ".00"))
			number[len - 3] = '\0';
	}
	if (!strcmp(number, "0") || !strcmp(number, "-0"))
		m.unit = "";
	snprintf(buf, MEASURE_LEN, "%.25s%.14s", !strcmp(number, "-0") ? "0" : number, m.unit);
	return buf;
}

const char *measure_percent(double part, double whole, char *buf)
{
	double percent = whole ? 100 * part / whole : 0;

	if (fabs(percent) >= 99.95 && fabs(percent) <= 100.05)
		snprintf(buf, MEASURE_LEN, "100%%");
	else if (fabs(percent) >= 1 || percent == 0)
		snprintf(buf, MEASURE_LEN, percent == 0 ? "0%%" : "%.2f%%", percent);
	else if (percent > 0 && percent < 0.01)
		snprintf(buf, MEASURE_LEN, "<0.01%%"); /* where pprof has an exponent */
	else
		snprintf(buf, MEASURE_LEN, "%.2g%%", percent);
	return buf;
}
