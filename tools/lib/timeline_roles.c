/* SPDX-License-Identifier: MIT */
#include "timeline_roles.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "util.h"

static const struct {
	const char *probe;
	enum timeline_role role;
	const char *name;
	uint8_t text;
} coworking[] = {
	{ "request__start", TELLS_REQUEST_START, "", 4 },
	{ "request__run", TELLS_REQUEST_RUN, "", 0 },
	{ "request__pause", TELLS_REQUEST_PAUSE, "", 0 },
	{ "request__done", TELLS_REQUEST_DONE, "", 0 },
	{ "response__start", TELLS_RESPONSE_START, "send", 0 },
	{ "handler__entry", TELLS_HANDLER_ENTRY, "", 3 },
	{ "handler__return", TELLS_HANDLER_RETURN, "", 0 },
	{ "auth__start", TELLS_PHASE_BEGIN, "auth", 0 },
	{ "auth__done", TELLS_PHASE_END, "auth", 0 },
	{ "pwhash__start", TELLS_PHASE_BEGIN, "hash", 0 },
	{ "pwhash__done", TELLS_PHASE_END, "hash", 0 },
	{ "json__parse__start", TELLS_PHASE_BEGIN, "json", 0 },
	{ "json__parse__done", TELLS_PHASE_END, "json", 0 },
	{ "json__dump__start", TELLS_PHASE_BEGIN, "json", 0 },
	{ "json__dump__done", TELLS_PHASE_END, "json", 0 },
	{ "db__stmt__start", TELLS_STMT_START, "sql", 3 },
	{ "db__stmt__done", TELLS_STMT_DONE, "sql", 0 },
	{ "db__txn__begin", TELLS_TXN_BEGIN, "", 0 },
	{ "db__txn__commit", TELLS_TXN_COMMIT, "", 0 },
	{ "job__enqueue", TELLS_ENQUEUE, "", 0 },
	{ "job__dequeue", TELLS_DEQUEUE, "", 0 },
	{ "job__reply", TELLS_REPLY, "", 0 },
	{ "trace__request", TELLS_INSTANT, "trace request", 2 },
};

static const struct {
	const char *ending;
	enum timeline_role role;
} pairs[] = {
	{ "__start", TELLS_BEGIN }, { "__begin", TELLS_BEGIN }, { "__entry", TELLS_BEGIN },
	{ "__done", TELLS_END },    { "__end", TELLS_END },	{ "__return", TELLS_END },
	{ "__commit", TELLS_END },  { "__abort", TELLS_END },
};

static bool known(const char *name, struct timeline_role_info *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(coworking); i++) {
		if (strcmp(coworking[i].probe, name))
			continue;
		*ret = (struct timeline_role_info){ coworking[i].role, coworking[i].name,
						    strlen(coworking[i].name), coworking[i].text };
		return true;
	}
	return false;
}

void timeline_role_of(const char *provider, const char *name, struct timeline_role_info *ret)
{
	size_t len = strlen(name), end;

	if (!strcmp(provider, TIMELINE_PROVIDER)) {
		if (!known(name, ret))
			*ret = (struct timeline_role_info){ TELLS_INSTANT, name, len, 0 };
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		end = strlen(pairs[i].ending);
		if (len <= end || strcmp(name + len - end, pairs[i].ending))
			continue;
		*ret = (struct timeline_role_info){ pairs[i].role, name, len - end, 0 };
		return;
	}
	*ret = (struct timeline_role_info){ TELLS_INSTANT, name, len, 0 };
}

bool timeline_role_of_request(enum timeline_role role)
{
	return role >= TELLS_REQUEST_START && role <= TELLS_REQUEST_DONE;
}

void timeline_route(const char *method, const char *path, char *buf, uint32_t size)
{
	int n = snprintf(buf, size, "%s ", method);
	uint32_t at = n < 0 ? 0 : MIN((uint32_t)n, size - 1), part;
	bool digit;

	while (*path && at + 4 < size) {
		buf[at++] = '/';
		path += *path == '/';
		part = at;
		digit = false;
		while (*path && *path != '/' && at + 4 < size) {
			digit |= isdigit((unsigned char)*path);
			buf[at++] = *path++;
		}
		while (*path && *path != '/')
			path++;
		if (digit) {
			memcpy(buf + part, ":id", 3);
			at = part + 3;
		}
	}
	buf[at] = '\0';
}

const char *timeline_method(uint64_t method)
{
	static const char *const names[] = { "GET", "HEAD", "POST", "DELETE", "OPTIONS" };

	return method < ARRAY_SIZE(names) ? names[method] : "other";
}

const char *timeline_queue(uint64_t queue)
{
	static const char *const names[] = { "queue 0", "writer", "hasher" };

	return queue < ARRAY_SIZE(names) ? names[queue] : "queue";
}
