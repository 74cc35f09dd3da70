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
	{ "request__start", ROLE_REQUEST_START, "", 4 },
	{ "request__run", ROLE_REQUEST_RUN, "", 0 },
	{ "request__pause", ROLE_REQUEST_PAUSE, "", 0 },
	{ "request__done", ROLE_REQUEST_DONE, "", 0 },
	{ "response__start", ROLE_RESPONSE_START, "send", 0 },
	{ "handler__entry", ROLE_HANDLER_ENTRY, "", 3 },
	{ "handler__return", ROLE_HANDLER_RETURN, "", 0 },
	{ "auth__start", ROLE_PHASE_BEGIN, "auth", 0 },
	{ "auth__done", ROLE_PHASE_END, "auth", 0 },
	{ "pwhash__start", ROLE_PHASE_BEGIN, "hash", 0 },
	{ "pwhash__done", ROLE_PHASE_END, "hash", 0 },
	{ "json__parse__start", ROLE_PHASE_BEGIN, "json", 0 },
	{ "json__parse__done", ROLE_PHASE_END, "json", 0 },
	{ "json__dump__start", ROLE_PHASE_BEGIN, "json", 0 },
	{ "json__dump__done", ROLE_PHASE_END, "json", 0 },
	{ "db__stmt__start", ROLE_STMT_START, "sql", 3 },
	{ "db__stmt__done", ROLE_STMT_DONE, "sql", 0 },
	{ "db__txn__begin", ROLE_TXN_BEGIN, "", 0 },
	{ "db__txn__commit", ROLE_TXN_COMMIT, "", 0 },
	{ "job__enqueue", ROLE_ENQUEUE, "", 0 },
	{ "job__dequeue", ROLE_DEQUEUE, "", 0 },
	{ "job__reply", ROLE_REPLY, "", 0 },
	{ "trace__request", ROLE_INSTANT, "trace request", 2 },
};

static const struct {
	const char *ending;
	enum timeline_role role;
} pairs[] = {
	{ "__start", ROLE_BEGIN }, { "__begin", ROLE_BEGIN }, { "__entry", ROLE_BEGIN },
	{ "__done", ROLE_END },	   { "__end", ROLE_END },     { "__return", ROLE_END },
	{ "__commit", ROLE_END },  { "__abort", ROLE_END },
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
			*ret = (struct timeline_role_info){ ROLE_INSTANT, name, len, 0 };
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		end = strlen(pairs[i].ending);
		if (len <= end || strcmp(name + len - end, pairs[i].ending))
			continue;
		*ret = (struct timeline_role_info){ pairs[i].role, name, len - end, 0 };
		return;
	}
	*ret = (struct timeline_role_info){ ROLE_INSTANT, name, len, 0 };
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
