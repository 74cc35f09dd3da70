/* SPDX-License-Identifier: MIT */
/* Programs whose probes we know. Arguments are counted from 1 here, as their documents do. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "request_spec.h"
#include "util.h"

struct request_preset_row {
	const char *name;
	enum request_role role;
	enum requests_phase phase;
	enum { ALWAYS, ONLY_PHASES, NO_ACCOUNT, ONLY_ACCOUNT } when; /* of enum request_probing */
	/* Arguments, 0 for none. */
	__u8 key, name_arg, route, method, status, flags, value, text, rows, steps, time, account;
	bool pending;
};

/* coworkingd: server/probes.h */
static const struct request_preset_row coworking[] = {
	{ "request__start", ROLE_BEGIN, .key = 1, .method = 3, .name_arg = 4, .route = 5 },
	{ "request__run", ROLE_RUN, .key = 1 },
	{ "request__pause", ROLE_PAUSE, .when = NO_ACCOUNT, .key = 1 },
	{ "request__leave", ROLE_PAUSE, .when = ONLY_ACCOUNT, .key = 1 },
	{ "request__done", ROLE_END, .when = NO_ACCOUNT, .key = 1, .status = 3, .flags = 6 },
	{ "request__account", ROLE_END, .when = ONLY_ACCOUNT, .key = 1, .status = 3, .flags = 5,
	  .account = 6 },
	{ "job__enqueue", ROLE_ENQUEUE, .key = 1, .value = 2 },
	{ "job__dequeue", ROLE_DEQUEUE, .key = 1, .value = 2 },
	{ "job__reply", ROLE_REPLY, .key = 1, .value = 2 },
	{ "db__stmt__start", ROLE_STMT_BEGIN, .when = NO_ACCOUNT, .key = 1, .value = 2, .text = 3 },
	{ "db__stmt__done", ROLE_STMT_END, .when = NO_ACCOUNT, .key = 1, .value = 2, .rows = 4,
	  .steps = 5 },
	{ "db__own__done", ROLE_STMT_OWN, .when = ONLY_ACCOUNT, .value = 1, .text = 2, .rows = 4,
	  .steps = 5, .time = 6 },
	{ "db__txn__commit", ROLE_COMMIT, .value = 2 },
	{ "auth__start", ROLE_PHASE_BEGIN, PHASE_AUTH, ONLY_PHASES, .key = 1 },
	{ "auth__done", ROLE_PHASE_END, PHASE_AUTH, ONLY_PHASES, .key = 1 },
	{ "json__parse__start", ROLE_PHASE_BEGIN, PHASE_PARSE, ONLY_PHASES, .key = 1 },
	{ "json__parse__done", ROLE_PHASE_END, PHASE_PARSE, ONLY_PHASES, .key = 1 },
	{ "json__dump__start", ROLE_PHASE_BEGIN, PHASE_JSON, ONLY_PHASES, .key = 1 },
	{ "json__dump__done", ROLE_PHASE_END, PHASE_JSON, ONLY_PHASES, .key = 1 },
	{ "response__start", ROLE_PHASE_SWITCH, PHASE_SEND, ONLY_PHASES, .key = 1 },
};

/*
 * PostgreSQL's manual, "Dynamic Tracing": a backend is one thread. It tells its statement's text
 * (pg_stat_activity's) when it is given one, with NULL when it waits for the next. By the simple
 * protocol that is a query, which query__start says, whether or not it fails; by the extended one the
 * text is told at each message, Parse, Bind and Execute, and the last alone runs a portal. A pipeline
 * has no NULL between its statements.
 */
static const struct request_preset_row postgresql[] = {
	{ .name = "statement__status", .role = ROLE_STATUS, .name_arg = 1, .pending = true },
	{ .name = "query__start", .role = ROLE_EXECUTE },
	{ .name = "query__execute__start", .role = ROLE_EXECUTE },
};

/* enum http_method of coworkingd's probes */
static const char *const http_methods[] = { "GET", "HEAD", "POST", "DELETE", "OPTIONS", "OTHER" };

const struct request_preset request_presets[] = {
	{
		.provider = "coworking",
		.begin = "request__start",
		.account = "request__account",
		.rows = coworking,
		.nr_rows = ARRAY_SIZE(coworking),
		.has_phases = true,
		.has_routes = true,
		.sends_after = true,
		.methods = http_methods,
		.nr_methods = ARRAY_SIZE(http_methods),
	},
	{
		.provider = "postgresql",
		.begin = "statement__status",
		.rows = postgresql,
		.nr_rows = ARRAY_SIZE(postgresql),
	},
};
const size_t nr_request_presets = ARRAY_SIZE(request_presets);

static __u8 from_zero(__u8 arg)
{
	return arg ? arg - 1 : REQUEST_NO_ARG;
}

static int add_row(struct request_points *l, const char *provider,
		   const struct request_preset_row *row)
{
	struct request_point p = {
		.optional = row->role != ROLE_BEGIN && row->role != ROLE_END &&
			    row->role != ROLE_STATUS,
		.probe = {
			.role = row->role,
			.phase = row->phase,
			.name_kind = NAME_TEXT,
			.key = from_zero(row->key),
			.name = from_zero(row->name_arg),
			.route = from_zero(row->route),
			.method = from_zero(row->method),
			.status = from_zero(row->status),
			.flags = from_zero(row->flags),
			.value = from_zero(row->value),
			.text = from_zero(row->text),
			.rows = from_zero(row->rows),
			.steps = from_zero(row->steps),
			.time = from_zero(row->time),
			.account = from_zero(row->account),
			.pending = row->pending,
		},
	};

	if (asprintf(&p.pattern, "%s:%s", provider, row->name) < 0)
		return -ENOMEM;
	return request_points_add(l, &p);
}

static bool is_wanted(const struct request_preset_row *row, enum request_probing probing)
{
	switch (row->when) {
	case ONLY_PHASES:
		return probing == REQUEST_WITH_PHASES;
	case NO_ACCOUNT:
		return probing != REQUEST_BY_ACCOUNT;
	case ONLY_ACCOUNT:
		return probing == REQUEST_BY_ACCOUNT;
	default:
		return true;
	}
}

int request_preset_points(struct request_points *l, const struct request_preset *p,
			  enum request_probing probing)
{
	int err = 0;

	if (probing == REQUEST_BY_ACCOUNT && !p->account)
		probing = REQUEST_AS_IT_HAPPENS;
	for (size_t i = 0; i < p->nr_rows && !err; i++)
		if (is_wanted(&p->rows[i], probing))
			err = add_row(l, p->provider, &p->rows[i]);
	l->by_account = probing == REQUEST_BY_ACCOUNT;
	l->has_phases = p->has_phases;
	l->has_routes = p->has_routes;
	l->sends_after = p->sends_after;
	l->methods = p->methods;
	l->nr_methods = p->nr_methods;
	return err;
}
