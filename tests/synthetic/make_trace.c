/* SPDX-License-Identifier: MIT */
/*
 * make_trace EVENTS OUT.periscope [--loops N] [--seed N] [--lose N]: the trace of a server that never
 * was, of about so many events. On standard output, as JSON, what must be found in it: for tests of
 * readers and pictures, and for benchmarks.
 */
#include "synthetic.h"

#include <getopt.h>

#include "lib/cli.h"
#include "lib/util.h"

static void print_states(const char *key, const uint64_t *ns, unsigned int n,
			 const char *(*name)(unsigned int state))
{
	const char *comma = "";

	printf("\"%s\": {", key);
	for (unsigned int i = 0; i < n; i++) {
		if (!ns[i])
			continue;
		printf("%s\"%s\": %" PRIu64, comma, name(i), ns[i]);
		comma = ", ";
	}
	printf("}");
}

static void print_thread(const struct synthetic_thread *t, const char *name, unsigned int number,
			 const char *comma)
{
	printf("%s\n  {\"name\": \"%s-%u\", \"tid\": %u, \"runs\": %" PRIu64
	       ", \"syscalls\": %" PRIu64 ", \"samples\": %" PRIu64 ", \"wakeups\": %" PRIu64 ", ",
	       comma, name, number, t->tid, t->runs, t->syscalls, t->samples, t->wakeups);
	print_states("states", t->total, THREAD_NR_STATES, thread_state_name);
	printf("}");
}

static void print_route(const struct synthetic_sums *s, unsigned int route)
{
	printf("%s\n  {\"route\": \"%s\", \"count\": %" PRIu64 ", \"latency\": %" PRIu64
	       ", \"syscalls\": %" PRIu64 ", ",
	       route ? "," : "", synthetic_routes[route], s->count, s->latency, s->syscalls);
	print_states("states", s->by_state, REQUEST_NR_STATES, request_state_name);
	printf(", \"phases\": {");
	for (unsigned int i = 0; i < SYNTHETIC_NR_PHASES; i++)
		printf("%s\"%s\": %" PRIu64, i ? ", " : "", synthetic_phases[i], s->by_phase[i]);
	printf("}}");
}

static void print_truth(const struct synthetic *s)
{
	printf("{\"span\": %" PRIu64 ", \"events\": %" PRIu64 ", \"lost\": %" PRIu64
	       ", \"requests\": %" PRIu64 ", \"slowest\": %" PRIu64 ",\n \"threads\": [",
	       s->end - SYNTHETIC_START, s->emitted, s->lost, s->requests, s->slowest);
	for (unsigned int i = 0; i < s->o.loops; i++) {
		print_thread(&s->loops[i], "loop", i, i ? "," : "");
		print_thread(&s->writers[i], "writer", i, ",");
	}
	printf("],\n \"routes\": [");
	for (unsigned int i = 0; i < SYNTHETIC_NR_ROUTES; i++)
		print_route(&s->routes[i], i);
	printf("]}\n");
}

static int usage(void)
{
	fprintf(stderr,
		"usage: make_trace EVENTS OUT.periscope [--loops 1-%d] [--seed N] [--lose N]\n",
		SYNTHETIC_LOOPS);
	return CLI_USAGE;
}

static int parse(struct synthetic_options *o, int argc, char **argv)
{
	static const struct option options[] = {
		{ "loops", required_argument, NULL, 'l' },
		{ "seed", required_argument, NULL, 's' },
		{ "lose", required_argument, NULL, 'x' },
		{ 0 },
	};
	uint64_t loops = o->loops;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		uint64_t *to = opt == 'l' ? &loops : opt == 's' ? &o->seed : &o->lose;

		if (opt == '?' || parse_u64(optarg, opt == 'l', UINT64_MAX, to))
			return usage();
	}
	if (argc - optind != 2 || loops > SYNTHETIC_LOOPS ||
	    parse_u64(argv[optind], 1, UINT64_MAX, &o->events))
		return usage();
	o->loops = (unsigned int)loops;
	return 0;
}

int main(int argc, char **argv)
{
	struct synthetic_options o = { .loops = 2, .seed = 1 };
	struct trace_writer_options w = { .start = SYNTHETIC_START };
	static struct synthetic s;
	struct trace_chunks *file;
	struct trace_writer *writer;
	int err = parse(&o, argc, argv);

	if (err)
		return err;
	err = trace_file_create(argv[optind + 1], SYNTHETIC_START, 1700000000000000000, &file);
	if (err) {
		fprintf(stderr, "make_trace: cannot write '%s': %s\n", argv[optind + 1],
			strerror(-err));
		return CLI_FAILED;
	}
	err = trace_writer_new(file, &w, &writer);
	if (!err) {
		err = synthetic_make(&s, &o, writer);
		if (!err)
			err = trace_writer_finish(writer, s.end);
		trace_writer_free(writer);
	}
	if (trace_file_close(file) || err) {
		fprintf(stderr, "make_trace: cannot write '%s'\n", argv[optind + 1]);
		return CLI_FAILED;
	}
	print_truth(&s);
	return CLI_OK;
}
