/* SPDX-License-Identifier: MIT */
/* periscope timeline --flight: the last seconds in memory, dumped when something happens. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd_timeline.h"
#include "lib/cli_result.h"
#include "lib/flight.h"
#include "lib/flight_control.h"
#include "lib/util.h"

#define TICK_NS 50000000ULL

/* A dump that another process asked for is written within this time, or he is told that it is not. */
#define SAY_MS 30000

struct recorder {
	struct timeline_options *o;
	struct capture_timeline *capture;
	struct triggers *triggers;
	struct flight *flight;
	struct flight_control control;
	uint64_t waits_for; /* the number of the dump that the control's client waits for */
};

static volatile sig_atomic_t asked;

static void on_usr2(int signal)
{
	(void)signal;
	asked = 1;
}

static uint64_t realtime_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * UINT64_C(1000000000) + t.tv_nsec;
}

/* ---------------------------------------------------------------- options ---- */

int timeline_parse_flight(const char *option, const char *text, size_t *ret_bytes, uint64_t *ret_ns)
{
	char size[32];
	const char *comma = strchr(text, ',');
	uint64_t bytes, ns;

	if (!comma || (size_t)(comma - text) >= sizeof(size))
		return cli_usage("%s wants a size and a time, as 64MB,30s, not '%s'", option, text);
	memcpy(size, text, comma - text);
	size[comma - text] = '\0';
	if (parse_size(size, &bytes) || bytes < 1 << 20 || bytes > UINT64_C(64) << 30)
		return cli_usage("%s wants from 1MB to 64GB, not '%s'", option, size);
	if (parse_duration(comma + 1, &ns))
		return cli_usage("%s wants a time behind the comma, as 30s, not '%s'", option,
				 comma + 1);
	*ret_bytes = bytes;
	*ret_ns = ns;
	return 0;
}

int timeline_parse_triggers(struct timeline_options *o)
{
	/* One more: the server's own way of asking. */
	size_t n = o->trigger_texts.nr + 1;
	const char *why;

	if (n > TRIGGERS_MAX)
		return cli_usage("at most %u --trigger", TRIGGERS_MAX - 1);
	o->triggers = calloc(n, sizeof(*o->triggers));
	o->wishes = calloc(n, sizeof(*o->wishes));
	if (!o->triggers || !o->wishes)
		return cli_fail("out of memory");
	for (size_t i = 0; i < o->trigger_texts.nr; i++) {
		int err = trigger_parse(o->trigger_texts.items[i], &o->triggers[i], &why);

		if (err == -ENOMEM)
			return cli_fail("out of memory");
		if (err)
			return cli_usage("--trigger '%s' %s", o->trigger_texts.items[i], why);
		o->nr_triggers++;
	}
	if (trigger_parse("coworking:trace__request", &o->triggers[o->nr_triggers], &why))
		return cli_fail("out of memory");
	o->triggers[o->nr_triggers++].text = "GET /trace";
	for (size_t i = 0; i < n; i++)
		if (o->triggers[i].kind == TRIGGER_PROBE)
			o->wishes[o->nr_wishes++] = (struct timeline_wish){
				.pattern = o->triggers[i].probe,
				.usdt = o->triggers[i].usdt,
				.optional = i == n - 1,
				.when = o->triggers[i].when,
			};
	return 0;
}

/* ---------------------------------------------------------------- recording ---- */

static bool on_hit(void *arg, const struct trigger_hit *hit)
{
	struct recorder *r = arg;

	return flight_hit(r->flight, hit);
}

static void report(struct recorder *r, const struct flight_dump *d)
{
	bool answer = d->asked && d->asked == r->waits_for;

	if (d->err)
		fprintf(stderr, "%s: cannot write '%s': %s\n", d->why, d->path ? d->path : "?",
			strerror(-d->err));
	else
		fprintf(stderr, "%s: %s (%.1f MB)\n", d->why, d->path, d->bytes / 1048576.0);
	if (!answer)
		return;
	if (d->err)
		flight_control_answer(&r->control, "error cannot write '%s': %s",
				      d->path ? d->path : "?", strerror(-d->err));
	else
		flight_control_answer(&r->control, "ok %s", d->path);
	r->waits_for = 0;
}

static void answer_targets(struct recorder *r)
{
	const struct target *t = capture_timeline_target(r->capture);
	char text[1024] = "";
	size_t len = 0;

	for (size_t i = 0; i < t->nr_procs && len < sizeof(text); i++)
		len += snprintf(text + len, sizeof(text) - len, " %d", t->procs[i]->pid);
	flight_control_answer(&r->control, "ok%s", text);
}

static void listen_to(struct recorder *r, uint64_t now)
{
	char text[FLIGHT_MESSAGE];
	uint64_t bytes, ns;

	if (!flight_control_poll(&r->control, text, sizeof(text)))
		return;
	if (!strcmp(text, "target")) {
		answer_targets(r);
	} else if (!strcmp(text, "dump")) {
		r->waits_for = flight_ask(r->flight, "asked", now);
	} else if (sscanf(text, "limits %" SCNu64 " %" SCNu64, &bytes, &ns) == 2) {
		trace_ring_limit(flight_ring(r->flight), bytes, ns);
		flight_control_answer(&r->control, "ok");
	} else {
		flight_control_answer(&r->control, "error what?");
	}
}

/* Each time that it is looked at: what is asked, what is due, what is done. */
static int tick(struct recorder *r, bool last)
{
	uint64_t now = now_ns();
	struct flight_dump d;
	bool due;

	if (asked) {
		asked = 0;
		flight_ask(r->flight, "SIGUSR2", now);
	}
	/* Of a target that has ended the last seconds are those before its end. */
	if (!last)
		trace_ring_time(flight_ring(r->flight), now);
	listen_to(r, now);
	do {
		if (flight_done(r->flight, last, &d))
			report(r, &d);
		due = flight_due(r->flight, now, last);
		if (due && !last && capture_timeline_flush(r->capture))
			return cli_fail("%s", capture_timeline_ops.error(r->capture));
		if (due)
			flight_write(r->flight, now, realtime_ns());
	} while (due && last);
	return 0;
}

static int on_tick(void *arg, uint64_t past_ns)
{
	(void)past_ns;
	return tick(arg, false);
}

static void fly_summary(struct recorder *r, struct cli_result *res)
{
	struct flight_stats st;

	flight_stats(r->flight, &st);
	summary_u64(&res->summary, "dumps", st.dumps);
	summary_u64(&res->summary, "failed", st.failed);
	summary_u64(&res->summary, "suppressed", st.suppressed);
	summary_u64(&res->summary, "removed", st.removed);
	summary_u64(&res->summary, "dumped-bytes", st.bytes);
	timeline_summary(res, r->capture, r->o);
}

static int record(struct recorder *r)
{
	struct cli_result res = { 0 };
	struct sigaction usr2 = { .sa_handler = on_usr2 }, before;
	int status;

	sigaction(SIGUSR2, &usr2, &before);
	res.run.on_interval = on_tick;
	res.run.interval_arg = r;
	r->o->common.interval_ns = TICK_NS;
	status = cli_result_capture(&res, &r->o->common, &capture_timeline_ops, r->capture);
	/* What led to the end is dumped at the end. */
	if (!status)
		status = tick(r, true);
	sigaction(SIGUSR2, &before, NULL);
	fly_summary(r, &res);
	status = cli_result_end(&res, status);
	cli_result_release(&res);
	return status;
}

static const char *dump_dir(const struct timeline_options *o)
{
	return o->outputs.nr ? o->outputs.items[0] : ".";
}

int timeline_fly(struct timeline_options *o)
{
	struct recorder r = { .o = o, .control = { .fd = -1, .client = -1 } };
	struct flight_options fo = {
		.max_bytes = o->flight_bytes,
		.max_ns = o->flight_ns,
		.before_ns = o->before_ns,
		.after_ns = o->after_ns,
		.cooldown_ns = o->cooldown_ns,
		.keep = o->keep,
		.max_disk = o->disk,
		.dir = dump_dir(o),
		.pid = o->common.target.pids.nr ? o->common.target.pids.items[0] : getpid(),
	};
	struct capture_timeline_options co;
	int status = 1, err;

	if (access(fo.dir, W_OK | X_OK))
		return cli_fail("cannot write dumps to '%s': %s", fo.dir, strerror(errno));
	r.flight = flight_new(&fo);
	r.triggers = triggers_new(o->triggers, o->nr_triggers);
	if (!r.flight || !r.triggers) {
		cli_fail("out of memory");
		goto out;
	}
	timeline_engine_options(o, &co);
	/* Each chunk begins with every thread's state: whichever is a dump's first, all is known. */
	co.key_ns = 1;
	co.triggers = r.triggers;
	co.on_hit = on_hit;
	co.hit_arg = &r;
	err = flight_control_init(&r.control);
	if (err)
		fprintf(stderr, "no socket for --dump: %s\n", strerror(-err));
	r.capture = capture_timeline_new(&co);
	if (r.capture &&
	    !capture_timeline_open(r.capture, trace_ring_chunks(flight_ring(r.flight)))) {
		timeline_infos(r.capture, o);
		status = record(&r);
	} else {
		status = cli_fail("%s", capture_timeline_ops.error(r.capture));
	}
out:
	flight_control_release(&r.control);
	capture_timeline_free(r.capture);
	triggers_free(r.triggers);
	flight_free(r.flight);
	return status;
}

/* ---------------------------------------------------------------- speaking ---- */

/* Has the recorder one of the wanted processes? */
static bool records(pid_t recorder, const struct cli_ids *wanted)
{
	char answer[FLIGHT_MESSAGE], *at;

	if (flight_say(recorder, "target", answer, sizeof(answer), 2000) ||
	    strncmp(answer, "ok", 2))
		return false;
	if (!wanted->nr)
		return true;
	for (at = answer + 2; *at;) {
		pid_t pid = strtol(at, &at, 10);

		for (size_t i = 0; i < wanted->nr; i++)
			if (pid == wanted->items[i])
				return true;
		while (*at == ' ')
			at++;
		if (!pid)
			break;
	}
	return false;
}

static int say(pid_t recorder, const char *message)
{
	char answer[FLIGHT_MESSAGE];
	int err = flight_say(recorder, message, answer, sizeof(answer), SAY_MS);

	if (err)
		return cli_fail("recorder %d does not answer: %s", recorder, strerror(-err));
	if (!strncmp(answer, "error ", 6))
		return cli_fail("recorder %d: %s", recorder, answer + 6);
	if (!strncmp(answer, "ok ", 3))
		puts(answer + 3);
	return 0;
}

int timeline_speak(const struct timeline_options *o)
{
	const struct cli_ids *wanted = &o->common.target.pids;
	char message[128] = "dump";
	size_t bytes = 0, n = 0, spoken = 0;
	pid_t *list = NULL;
	uint64_t ns = 0;
	int status = 0, err;

	if (o->limits) {
		status = timeline_parse_flight("--limits", o->limits, &bytes, &ns);
		if (status)
			return status;
		snprintf(message, sizeof(message), "limits %zu %" PRIu64, bytes, ns);
	}
	err = flight_recorders(&list, &n);
	if (err)
		return cli_fail("cannot look for recorders: %s", strerror(-err));
	for (size_t i = 0; i < n; i++) {
		if (!records(list[i], wanted))
			continue;
		spoken++;
		status |= say(list[i], message);
	}
	free(list);
	if (!spoken)
		return cli_fail("no flight recorder runs%s: start one by periscope timeline -p PID "
				"--flight 64MB,30s",
				wanted->nr ? " on this process" : "");
	return status;
}
