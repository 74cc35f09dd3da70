/* SPDX-License-Identifier: MIT */
#include "cli_options.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libbpf_log.h"
#include "output.h"
#include "util.h"

#define MAX_OPTIONS 64
/* What getopt returns for the row i of the table, whether its letter or its name was written. */
#define FIRST_LONG 256

struct parser {
	const struct cli_spec *spec;
	struct cli_option rows[MAX_OPTIONS];
	size_t nr;
	char letters[2 + 2 * MAX_OPTIONS];
	struct option names[MAX_OPTIONS + 1];
	bool version, help; /* asked for: nothing after them is read */
};

static bool takes_value(enum cli_kind kind)
{
	return kind != CLI_FLAG && kind != CLI_CLEAR;
}

/* ---------------------------------------------------------------- the table ---- */

static bool has_row(const struct parser *p, const struct cli_option *o)
{
	for (size_t i = 0; i < p->nr; i++)
		if ((o->letter && p->rows[i].letter == o->letter) ||
		    (o->name && p->rows[i].name && !strcmp(p->rows[i].name, o->name)))
			return true;
	return false;
}

static void add_row(struct parser *p, const struct cli_option *o)
{
	if (p->nr < MAX_OPTIONS && !has_row(p, o))
		p->rows[p->nr++] = *o;
}

static int call_ids(void *ids, const char *option, const char *value)
{
	return cli_ids_parse(ids, option, value);
}

static int call_output(void *outputs, const char *option, const char *value)
{
	(void)option;
	return cli_outputs_add(outputs, value);
}

static void add_groups(struct parser *p)
{
	struct cli_common *c = p->spec->common;
	const struct {
		unsigned int group;
		struct cli_option row;
	} rows[] = {
		{ CLI_TARGET,
		  { 'p', NULL, CLI_CALL, .object = &c->target.pids, .call = call_ids } },
		{ CLI_TARGET, { 'n', NULL, CLI_STRING, .string = &c->target.name } },
		{ CLI_TARGET, { 0, "tid", CLI_CALL, .object = &c->target.tids, .call = call_ids } },
		{ CLI_TARGET, { 0, "children", CLI_FLAG, .flag = &c->target.children } },
		{ CLI_STACKS, { 'U', NULL, CLI_FLAG, .flag = &c->user_only } },
		{ CLI_STACKS, { 'K', NULL, CLI_FLAG, .flag = &c->kernel_only } },
		{ CLI_OUTPUT, { 'o', NULL, CLI_CALL, .object = &c->outputs, .call = call_output } },
		{ CLI_OUTPUT, { 0, "format", CLI_STRING, .string = &c->format } },
		{ CLI_FOLDED, { 'f', NULL, CLI_FLAG, .flag = &c->folded } },
		{ CLI_TOP,
		  { 0, "top", CLI_NUMBER, .number = &c->top, .min = 1, .max = 100000,
		    .wants = "a number of rows" } },
		{ CLI_INTERVAL,
		  { 'i', NULL, CLI_TIME, .number = &c->interval_ns, .min = 10000000,
		    .wants = "a time of 10ms or more (1, 500ms, 2m)" } },
		{ CLI_STATS, { 0, "stats", CLI_STRING, .string = &c->stats } },
		{ CLI_VERBOSE, { 'v', NULL, CLI_FLAG, .flag = &c->verbose } },
		{ ~0U, { 'V', "version", CLI_FLAG, .flag = &p->version } },
		{ ~0U, { 'h', "help", CLI_FLAG, .flag = &p->help } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].group == ~0U || (p->spec->groups & rows[i].group))
			add_row(p, &rows[i].row);
}

static void build(struct parser *p)
{
	char *letter = p->letters;
	size_t n = 0;

	for (size_t i = 0; i < p->spec->nr_options; i++)
		add_row(p, &p->spec->options[i]);
	add_groups(p);
	*letter++ = ':'; /* a missing value is told apart from an unknown option */
	for (size_t i = 0; i < p->nr; i++) {
		const struct cli_option *o = &p->rows[i];

		if (o->letter) {
			*letter++ = o->letter;
			if (takes_value(o->kind))
				*letter++ = ':';
		}
		if (o->name)
			p->names[n++] = (struct option){
				.name = o->name,
				.has_arg = takes_value(o->kind) ? required_argument : no_argument,
				.val = FIRST_LONG + (int)i,
			};
	}
}

/* The row that getopt's answer means, or NULL; and how it is written. */
static const struct cli_option *find_row(const struct parser *p, int answer, char written[64])
{
	for (size_t i = 0; i < p->nr; i++) {
		const struct cli_option *o = &p->rows[i];

		if (answer == FIRST_LONG + (int)i) {
			snprintf(written, 64, "--%s", o->name);
			return o;
		}
		if (answer && answer == o->letter) {
			snprintf(written, 64, "-%c", o->letter);
			return o;
		}
	}
	return NULL;
}

/* ---------------------------------------------------------------- values ---- */

static int parse_percent(const char *text, double *ret)
{
	size_t len = strspn(text, "0123456789."), rest = strlen(text + len);
	char *end;
	double value;

	if (!len || text[0] == '.' || rest > 1 || (rest && text[len] != '%'))
		return -EINVAL;
	value = strtod(text, &end);
	if (end != text + len || text[len - 1] == '.')
		return -EINVAL;
	*ret = value;
	return 0;
}

static int set_number(const struct cli_option *o, const char *text)
{
	uint64_t max = o->max ? o->max : UINT64_MAX, value;
	int err;

	if (o->kind == CLI_NUMBER)
		err = parse_u64(text, o->min, max, &value);
	else if (o->kind == CLI_SIZE)
		err = parse_size(text, &value);
	else
		err = parse_duration(text, &value);
	if (!err && (value < o->min || value > max))
		err = -ERANGE;
	if (!err)
		*o->number = value;
	return err;
}

static int set_percent(const struct cli_option *o, const char *text)
{
	double value;
	int err = parse_percent(text, &value);

	if (!err && (value < (double)o->min || (o->max && value > (double)o->max)))
		err = -ERANGE;
	if (!err)
		*o->percent = value;
	return err;
}

static int refuse(const struct cli_option *o, const char *written, const char *value)
{
	static const char *const by_kind[] = {
		[CLI_NUMBER] = "a number",
		[CLI_SIZE] = "a size in bytes (4096, 64K, 1M)",
		[CLI_TIME] = "a time (10, 10s, 500ms, 2m)",
		[CLI_PERCENT] = "a percentage",
	};
	char limits[80] = "";

	if (o->wants)
		return cli_usage("%s wants %s, not '%s'", written, o->wants, value);
	if ((o->kind == CLI_NUMBER || o->kind == CLI_PERCENT) && o->max)
		snprintf(limits, sizeof(limits), " from %" PRIu64 " to %" PRIu64, o->min, o->max);
	return cli_usage("%s wants %s%s, not '%s'", written, by_kind[o->kind], limits, value);
}

/* "--event is cpu-clock or cycles, not 'x'" */
static int set_choice(const struct cli_option *o, const char *written, const char *value)
{
	char words[256] = "";
	size_t len = 0;

	for (const struct cli_choice *c = o->choices; c->word; c++) {
		const char *between = c == o->choices ? "" : c[1].word ? ", " : " or ";

		if (!strcmp(c->word, value)) {
			*o->choice = c->value;
			return 0;
		}
		if (len < sizeof(words))
			len += (size_t)snprintf(words + len, sizeof(words) - len, "%s%s", between,
						c->word);
	}
	return cli_usage("%s is %s, not '%s'", written, words, value);
}

static int add_string(struct cli_strings *s, const char *value)
{
	if (array_grow((void **)&s->items, s->nr, &s->cap, sizeof(*s->items)))
		return cli_fail("out of memory");
	s->items[s->nr++] = value;
	return 0;
}

static int apply(const struct cli_option *o, const char *written, const char *value)
{
	switch (o->kind) {
	case CLI_FLAG:
	case CLI_CLEAR:
		*o->flag = o->kind == CLI_FLAG;
		return 0;
	case CLI_NUMBER:
	case CLI_SIZE:
	case CLI_TIME:
		return set_number(o, value) ? refuse(o, written, value) : 0;
	case CLI_PERCENT:
		return set_percent(o, value) ? refuse(o, written, value) : 0;
	case CLI_STRING:
		*o->string = value;
		return 0;
	case CLI_STRINGS:
		return add_string(o->strings, value);
	case CLI_CHOICE:
		return set_choice(o, written, value);
	case CLI_CALL:
		return o->call(o->object, written, value);
	}
	return CLI_USAGE;
}

/* ---------------------------------------------------------------- the line ---- */

static int refuse_option(const struct parser *p, int answer, char **argv)
{
	char written[64];
	const struct cli_option *o = find_row(p, optopt, written);

	if (answer == ':' && o)
		return cli_usage("%s wants a value (see --help)", written);
	if (o)
		return cli_usage("%s takes no value (see --help)", written);
	/* Inside a word of several letters, optind is not yet past it. */
	if (optopt)
		return cli_usage("unknown option '-%c' (see --help)", optopt);
	return cli_usage("unknown option '%s' (see --help)", argv[optind - 1]);
}

/* `--` begins the command; getopt would drop it without a word, so it is looked for first. */
static int split_command(struct parser *p, int argc, char **argv)
{
	for (int i = 1; i < argc && (p->spec->groups & CLI_COMMAND); i++) {
		if (strcmp(argv[i], "--") != 0)
			continue;
		p->spec->common->target.command = argv + i + 1;
		return i;
	}
	return argc;
}

static int parse_options(struct parser *p, int argc, char **argv)
{
	int answer, status = 0;
	char written[64];

	opterr = 0;
	optind = 0; /* GNU: begin anew */
	while (!status && !p->version && !p->help &&
	       (answer = getopt_long(argc, argv, p->letters, p->names, NULL)) != -1) {
		const struct cli_option *o = find_row(p, answer, written);

		if (answer == ':' || answer == '?')
			return refuse_option(p, answer, argv);
		status = o ? apply(o, written, optarg) : CLI_USAGE;
	}
	p->spec->common->nr_args = argc - optind;
	p->spec->common->args = argv + optind;
	return status;
}

/* What the groups have to say together, from what costs nothing to what looks at the system. */
static int check(const struct cli_spec *s)
{
	struct cli_common *c = s->common;
	bool named = c->target.pids.nr || c->target.tids.nr || c->target.name || c->target.command;
	int status = 0;

	if (c->user_only && c->kernel_only)
		return cli_usage("-U and -K exclude each other");
	if (s->check)
		status = s->check(s->arg);
	if (!status && (s->groups & CLI_DURATION)) {
		status = cli_duration(&c->target, c->nr_args, c->args, &c->duration_ns);
		c->nr_args = 0;
	}
	if (!status && s->formats)
		c->outputs.formats = s->formats;
	if (!status)
		status = cli_outputs_choose(&c->outputs, c->format);
	if (!status && (s->groups & CLI_TARGET) && (named || !(s->groups & CLI_MAY_TARGET)))
		status = cli_target_resolve(&c->target);
	return status;
}

/* Returns 0 or an exit status. */
static int parse(struct parser *p, int argc, char **argv)
{
	const struct cli_target *t = &p->spec->common->target;
	int status;

	build(p);
	argc = split_command(p, argc, argv);
	if (t->command && !t->command[0])
		return cli_usage("-- wants a command");
	status = parse_options(p, argc, argv);
	if (status)
		return status;
	if (p->version)
		puts("periscope " PERISCOPE_VERSION);
	else if (p->help)
		fputs(p->spec->usage, stdout);
	else
		return check(p->spec);
	return 0;
}

/* Can --stats be written? Better asked before a capture than after it. */
static int check_stats(const struct cli_common *c)
{
	struct output *out;
	int err = c->stats ? output_open(c->stats, &out) : 0;

	if (err)
		return cli_fail("cannot write '%s': %s", c->stats, strerror(-err));
	if (c->stats)
		output_free(out);
	return 0;
}

int cli_main(const struct cli_spec *s, int argc, char **argv)
{
	struct parser p = { .spec = s };
	struct cli_common *c = s->common;
	int status = parse(&p, argc, argv);

	libbpf_log_init(c->verbose);
	if (!status && !p.version && !p.help) {
		status = cli_outputs_open(&c->outputs);
		if (!status)
			status = check_stats(c);
		if (!status)
			status = s->run(s->arg);
	}
	cli_outputs_release(&c->outputs);
	cli_target_release(&c->target);
	return status;
}
