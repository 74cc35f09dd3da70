/* SPDX-License-Identifier: MIT */
/*
 * perf script's text (perf-script(1), and tools/perf/builtin-script.c of Linux 6.1 for its shape):
 * a line for the event, `comm pid/tid [cpu] time: period event:`, of which comm may hold spaces and
 * all but comm, a number and the event may be missing; then a line for each frame, the innermost
 * first: address, symbol+offset, (file). An inlined function has "(inlined)" for its file and stands
 * before the function that it is in. An empty line ends the event.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "read.h"
#include "util.h"

#define KERNEL_HALF (UINT64_C(1) << 63)

struct perf_reader {
	struct profile *p;
	struct read_error *error;
	size_t line;
	/* The event in the making. */
	bool open;
	struct profile_sample_key key;
	struct profile_label tid;
	int64_t values[2];
	char event[80]; /* the first of the file: only its periods are summed */
	uint32_t *locations;
	size_t cap_locations;
	struct profile_line lines[64]; /* inlined functions that wait for theirs */
	size_t nr_lines;
};

static int end_event(struct perf_reader *r)
{
	if (!r->open)
		return 0;
	r->open = false;
	r->key.locations = r->locations;
	return profile_add(r->p, &r->key, r->values);
}

/* Where the numbers begin: before a number, or two with a slash, that a time or [cpu] follows. */
static char *find_pid(char *line)
{
	for (char *at = strpbrk(line, " \t"); at; at = strpbrk(at, " \t")) {
		char *digits = at += strspn(at, " \t"), *end;

		if (!isdigit((unsigned char)*digits))
			continue;
		end = digits + strspn(digits, "0123456789/");
		if (*end != ' ' && *end != '\t')
			continue;
		end += strspn(end, " \t");
		if (*end == '[' || (isdigit((unsigned char)*end) && strchr(end, ':')))
			return digits;
	}
	return NULL;
}

/* After the time: "10101010 cpu-clock:ppp:" or the event alone. */
static int take_period(struct perf_reader *r, char *rest)
{
	char *number, *event, *save = NULL;
	uint64_t period;
	uint32_t type;
	int err = 0;

	rest = strchr(rest, ':');
	number = rest ? strtok_r(rest + 1, " \t", &save) : NULL;
	event = number ? strtok_r(NULL, " \t", &save) : NULL;
	if (!event || parse_u64(number, 0, INT64_MAX, &period))
		return 0;
	event[strcspn(event, ":")] = '\0';
	if (!*r->event) {
		bool clock = strstr(event, "clock");

		snprintf(r->event, sizeof(r->event), "%s", event);
		err = profile_type(r->p, clock ? "cpu" : r->event, clock ? "nanoseconds" : "count",
				   &type);
		r->p->default_type = type;
	}
	if (!strcmp(r->event, event))
		r->values[1] = (int64_t)period;
	return err;
}

static int begin_event(struct perf_reader *r, char *line)
{
	char *pid = find_pid(line), *end, *slash;
	uint64_t tid;
	int err = end_event(r);

	if (err)
		return err;
	if (!pid)
		return read_fail(r->error, "line %zu: no event of perf script", r->line);
	end = pid + strcspn(pid, " \t");
	if (*end)
		*end++ = '\0';
	slash = strchr(pid, '/');
	if (parse_u64(slash ? slash + 1 : pid, 0, UINT32_MAX, &tid))
		return read_fail(r->error, "line %zu: no thread number", r->line);
	for (char *comm = pid; comm > line && isspace((unsigned char)comm[-1]);)
		*--comm = '\0';
	r->open = true;
	r->nr_lines = 0;
	r->tid.num = (int64_t)tid;
	r->key = (struct profile_sample_key){ .labels = &r->tid, .nr_labels = 1 };
	r->values[0] = 1;
	r->values[1] = 0;
	err = profile_string(r->p, line, &r->key.comm);
	return err ? err : take_period(r, end);
}

/* Cut "symbol+0x12 (file)" in two. Returns the file, "" without. */
static char *split_file(char *symbol)
{
	char *end = symbol + strlen(symbol), *open = NULL;

	for (char *at = symbol; (at = strstr(at, " (")); at++)
		open = at;
	if (!open || end[-1] != ')')
		return end;
	end[-1] = '\0';
	*open = '\0';
	return open + 2;
}

static void cut_offset(char *symbol)
{
	char *plus = strrchr(symbol, '+');

	if (plus && plus != symbol && !strncmp(plus, "+0x", 3) &&
	    !plus[3 + strspn(plus + 3, "0123456789abcdef")])
		*plus = '\0';
}

static int add_line(struct perf_reader *r, const char *name, bool kernel)
{
	struct profile_function fn = { .kernel = kernel };
	int err = profile_string(r->p, name, &fn.name);

	fn.system_name = fn.name;
	if (r->nr_lines == ARRAY_SIZE(r->lines))
		r->nr_lines--; /* deeper than any compiler goes: the innermost ones stay */
	return err ? err : profile_function(r->p, &fn, &r->lines[r->nr_lines++].function);
}

static int add_frame(struct perf_reader *r, char *line)
{
	char *symbol, *file;
	uint64_t address = strtoull(line, &symbol, 16);
	bool kernel = address >= KERNEL_HALF, named;
	uint32_t mapping = PROFILE_NONE;
	int err = 0;

	if (!r->open)
		return read_fail(r->error, "line %zu: a frame before any event", r->line);
	symbol += strspn(symbol, " \t");
	file = split_file(symbol);
	cut_offset(symbol);
	named = *symbol && strcmp(symbol, "[unknown]") != 0;
	if (named)
		err = add_line(r, symbol, kernel);
	if (err || !strcmp(file, "inlined"))
		return err;
	if (kernel)
		file = "[kernel.kallsyms]";
	if (*file && strcmp(file, "[unknown]") != 0)
		err = profile_mapping(r->p, 0, 0, 0, file, "", &mapping);
	if (!err)
		err = array_grow((void **)&r->locations, r->key.nr_locations, &r->cap_locations,
				 sizeof(*r->locations));
	if (!err)
		err = profile_location(r->p, r->nr_lines ? 0 : address, mapping, r->lines,
				       r->nr_lines, &r->locations[r->key.nr_locations]);
	r->nr_lines = 0;
	if (!err)
		r->key.nr_locations++;
	return err;
}

/* perf indents frames by a tab; who copied the text may have spaces, as short comms have, too. */
static bool is_frame(const char *line, size_t indent)
{
	size_t digits = strspn(line + indent, "0123456789abcdef");

	if (line[0] == '\t')
		return true;
	return indent && digits && line[indent + digits] == ' ' && !find_pid((char *)line + indent);
}

static int take_line(struct perf_reader *r, char *line)
{
	size_t indent = strspn(line, " \t"), len = strlen(line);

	while (len && isspace((unsigned char)line[len - 1]))
		line[--len] = '\0';
	if (!len)
		return end_event(r);
	if (line[0] == '#')
		return 0;
	return is_frame(line, indent) ? add_frame(r, line + indent) : begin_event(r, line + indent);
}

int read_perf_script(struct profile *p, const char *text, size_t len, struct read_error *error)
{
	struct perf_reader r = { .p = p, .error = error };
	const char *end = text + len;
	uint32_t type;
	int err = profile_type(p, "samples", "count", &type);

	if (!err)
		err = profile_string(p, "tid", &r.tid.key);
	while (text < end && !err) {
		const char *next = memchr(text, '\n', (size_t)(end - text));
		char *line = strndup(text, (size_t)((next ? next : end) - text));

		r.line++;
		err = line ? take_line(&r, line) : -ENOMEM;
		free(line);
		text = next ? next + 1 : end;
	}
	if (!err)
		err = end_event(&r);
	free(r.locations);
	return err;
}
