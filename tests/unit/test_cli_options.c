/* SPDX-License-Identifier: MIT */
/* The option table: what reaches the destinations, and the one line for what does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cli_options.h"
#include "lib/util.h"

#define MAX_WORDS 32

struct options {
	struct cli_common common;
	uint64_t number, size, time;
	double percent;
	const char *string;
	struct cli_strings strings;
	unsigned int choice;
	bool flag, cleared;
	int runs;
	char called[64];
	char seen[256]; /* of the arguments, while they were there */
};

static struct options o;
static char said[512]; /* on stderr */

static int call(void *object, const char *option, const char *value)
{
	snprintf(object, sizeof(o.called), "%s=%s", option, value);
	return strcmp(value, "bad") ? 0 : cli_usage("no good");
}

static int run(void *arg)
{
	struct options *opt = arg;
	size_t len = 0;

	opt->runs++;
	for (int i = 0; i < opt->common.nr_args; i++)
		len += (size_t)snprintf(opt->seen + len, sizeof(opt->seen) - len, "%s,",
					opt->common.args[i]);
	return 0;
}

/* The words of a line, as main() gets them, with stderr caught. Returns the exit status. */
static int parse(unsigned int groups, const char *line)
{
	static const struct cli_choice choices[] = {
		{ "red", 7 }, { "green", 8 }, { "blue", 9 }, { 0 }
	};
	static char copy[256];
	const struct cli_option rows[] = {
		{ 'N', "number", CLI_NUMBER, .number = &o.number, .min = 2, .max = 99 },
		{ 0, "size", CLI_SIZE, .number = &o.size, .min = 1, .max = 1 << 20 },
		{ 't', NULL, CLI_TIME, .number = &o.time, .min = 1000000 },
		{ 0, "duty", CLI_PERCENT, .percent = &o.percent, .min = 1, .max = 50 },
		{ 0, "string", CLI_STRING, .string = &o.string },
		{ 's', NULL, CLI_STRINGS, .strings = &o.strings },
		{ 0, "colour", CLI_CHOICE, .choice = &o.choice, .choices = choices },
		{ 'x', "extra", CLI_FLAG, .flag = &o.flag },
		{ 0, "no-idle", CLI_CLEAR, .flag = &o.cleared },
		{ 'c', "call", CLI_CALL, .object = o.called, .call = call },
	};
	const struct cli_spec spec = {
		.usage = "usage: test\n",
		.groups = groups,
		.options = rows,
		.nr_options = ARRAY_SIZE(rows),
		.common = &o.common,
		.run = run,
		.arg = &o,
	};
	char *argv[MAX_WORDS] = { "test" };
	int argc = 1, status, saved = dup(STDERR_FILENO);
	FILE *file = tmpfile();

	free(o.strings.items);
	o = (struct options){ .cleared = true };
	snprintf(copy, sizeof(copy), "%s", line);
	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	assert_non_null(file);
	dup2(fileno(file), STDERR_FILENO);
	status = cli_main(&spec, argc, argv);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	rewind(file);
	said[fread(said, 1, sizeof(said) - 1, file)] = '\0';
	fclose(file);
	return status;
}

static void test_values(void **state)
{
	(void)state;
	assert_int_equal(parse(0, "-N 12 --size 64K -t 5ms --duty 2.5% --string a -s b -s c "
				  "--colour green -x --no-idle d e"),
			 0);
	assert_string_equal(said, "");
	assert_int_equal(o.runs, 1);
	assert_int_equal(o.number, 12);
	assert_int_equal(o.size, 65536);
	assert_int_equal(o.time, 5000000);
	assert_true(o.percent == 2.5);
	assert_string_equal(o.string, "a");
	assert_int_equal(o.strings.nr, 2);
	assert_string_equal(o.strings.items[1], "c");
	assert_int_equal(o.choice, 8);
	assert_true(o.flag);
	assert_false(o.cleared);
	assert_string_equal(o.seen, "d,e,");
}

static void test_spellings(void **state)
{
	(void)state;
	assert_int_equal(parse(0, "--number=12 -xcy"), 0);
	assert_int_equal(o.number, 12);
	assert_true(o.flag);
	assert_string_equal(o.called, "-c=y");
	assert_int_equal(parse(0, "--call y --num 3"), 0);
	assert_string_equal(o.called, "--call=y");
	assert_int_equal(o.number, 3);
	/* Defaults stay. */
	assert_true(o.cleared);
	assert_int_equal(o.size, 0);
}

static void test_refused(void **state)
{
	static const char *const lines[][2] = {
		{ "-N 1", "-N wants a number from 2 to 99, not '1'" },
		{ "--number 100", "--number wants a number from 2 to 99, not '100'" },
		{ "-N 5x", "-N wants a number from 2 to 99, not '5x'" },
		{ "--size 1025K", "--size wants a size in bytes (4096, 64K, 1M), not '1025K'" },
		{ "--size 0", "not '0'" },
		{ "-t 1us", "-t wants a time (10, 10s, 500ms, 2m), not '1us'" },
		{ "--duty 51", "--duty wants a percentage from 1 to 50, not '51'" },
		{ "--duty 0.5%", "not '0.5%'" },
		{ "--duty 5%%", "not '5%%'" },
		{ "--duty .5", "not '.5'" },
		{ "--duty 1.2.3", "not '1.2.3'" },
		{ "--duty nan", "not 'nan'" },
		{ "--colour black", "--colour is red, green or blue, not 'black'" },
		{ "-c bad", "no good" },
		{ "--no-such", "unknown option '--no-such'" },
		{ "-xq", "unknown option '-q'" },
		{ "-xN", "-N wants a value" },
		{ "--string", "--string wants a value" },
		{ "--extra=1", "--extra takes no value" },
		{ "-p 1", "unknown option '-p'" }, /* of a group that is not taken */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		assert_int_equal(parse(0, lines[i][0]), CLI_USAGE);
		if (!strstr(said, lines[i][1]))
			fail_msg("%s: %s", lines[i][0], said);
		assert_int_equal(o.runs, 0);
	}
}

static void test_groups(void **state)
{
	(void)state;
	assert_int_equal(parse(CLI_STACKS | CLI_FOLDED | CLI_TOP | CLI_VERBOSE | CLI_STATS,
			       "-U -f --top 7 -v --stats s.json"),
			 0);
	assert_true(o.common.user_only && o.common.folded && o.common.verbose);
	assert_int_equal(o.common.top, 7);
	assert_string_equal(o.common.stats, "s.json");
	assert_int_equal(parse(CLI_STACKS, "-U -K"), CLI_USAGE);
	assert_int_equal(parse(CLI_OUTPUT, "-o x.docx"), CLI_USAGE);
	assert_non_null(strstr(said, "x.docx"));
	assert_int_equal(parse(CLI_DURATION, "250ms"), 0);
	assert_int_equal(o.common.duration_ns, 250000000);
	assert_string_equal(o.seen, "");
	assert_int_equal(parse(CLI_DURATION, "5 6"), CLI_USAGE);
	assert_int_equal(parse(CLI_INTERVAL | CLI_DURATION, "-i 1 5s"), 0);
	assert_int_equal(o.common.interval_ns, 1000000000);
	assert_int_equal(parse(CLI_INTERVAL, "-i 9ms"), CLI_USAGE);
}

static void test_targets(void **state)
{
	char line[64];

	(void)state;
	assert_int_equal(parse(CLI_TARGET, ""), CLI_USAGE);
	assert_int_equal(parse(CLI_TARGET | CLI_MAY_TARGET, ""), 0);
	assert_int_equal(o.runs, 1);
	assert_int_equal(parse(CLI_TARGET | CLI_MAY_TARGET, "-p 1 -n x"), CLI_USAGE);
	snprintf(line, sizeof(line), "-p %d -x", getpid());
	assert_int_equal(parse(CLI_TARGET, line), 0);
	/* What stands behind -- is the command's, whatever it looks like. */
	assert_int_equal(parse(CLI_TARGET | CLI_COMMAND, "-x -- prog -N -p"), 0);
	assert_true(o.flag);
	assert_string_equal(o.common.target.command[2], "-p");
	assert_string_equal(o.seen, "");
	assert_int_equal(parse(CLI_TARGET | CLI_COMMAND, "--"), CLI_USAGE);
}

static void test_version_and_help(void **state)
{
	(void)state;
	/* They are answered whatever else is wrong behind them. */
	assert_int_equal(parse(CLI_TARGET, "-h -N bad"), 0);
	assert_int_equal(o.runs, 0);
	assert_int_equal(parse(CLI_TARGET, "--version"), 0);
	assert_int_equal(o.runs, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),	cmocka_unit_test(test_spellings),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_groups),
		cmocka_unit_test(test_targets), cmocka_unit_test(test_version_and_help),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	free(o.strings.items);
	return failed;
}
