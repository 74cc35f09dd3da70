/* SPDX-License-Identifier: MIT */
#include "memory_cgroup.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

#define MAX_TEXT  65536
#define UNLIMITED (UINT64_C(1) << 62) /* version 1 has a number near 2^63 for no limit */

/* One hierarchy: the limit of one of its groups is in mounted/dir/GROUP/file. */
struct hierarchy {
	const char *mounted, *dir, *file;
};

struct tightest {
	uint64_t limit; /* 0: none */
	char *path;
	size_t size;
};

static uint64_t read_limit(const struct hierarchy *h, const char *group)
{
	uint64_t limit = 0;
	char *path, *text;

	if (asprintf(&path, "%s%s%s/%s", h->mounted, h->dir, group, h->file) < 0)
		return 0;
	text = read_file_at(AT_FDCWD, path, MAX_TEXT, NULL);
	/* Version 2 says "max". */
	if (text)
		limit = strtoull(text, NULL, 10);
	free(text);
	free(path);
	return limit < UNLIMITED ? limit : 0;
}

/* The group's and of all that it is in. Takes group's text apart. */
static void look_upwards(const struct hierarchy *h, char *group, struct tightest *t)
{
	for (;;) {
		uint64_t limit = read_limit(h, group);
		char *slash = strrchr(group, '/');

		if (limit && (!t->limit || limit < t->limit)) {
			t->limit = limit;
			snprintf(t->path, t->size, "%s", *group ? group : "/");
		}
		if (!slash)
			return;
		*slash = '\0';
	}
}

static bool has_word(const char *list, size_t len, const char *word)
{
	size_t n = strlen(word);

	for (const char *s = list; s + n <= list + len; s++)
		if ((s == list || s[-1] == ',') && !memcmp(s, word, n) &&
		    (s + n == list + len || s[n] == ','))
			return true;
	return false;
}

/* A line: number, controllers with commas in between, the group's path. Version 2 names none. */
static void look_at(const char *mounted, char *line, struct tightest *t)
{
	const struct hierarchy v2[] = { { mounted, "", "memory.max" },
					{ mounted, "/unified", "memory.max" } };
	const struct hierarchy v1 = { mounted, "/memory", "memory.limit_in_bytes" };
	char *controllers = strchr(line, ':'), *group;

	group = controllers ? strchr(++controllers, ':') : NULL;
	if (!group)
		return;
	if (has_word(controllers, (size_t)(group - controllers), "memory")) {
		look_upwards(&v1, group + 1, t);
		return;
	}
	for (size_t i = 0; group == controllers && i < ARRAY_SIZE(v2); i++) {
		char *copy = strdup(group + 1);

		if (copy)
			look_upwards(&v2[i], copy, t);
		free(copy);
	}
}

uint64_t memory_cgroup_limit(const char *proc, const char *mounted, char *ret_path, size_t size)
{
	struct tightest t = { .path = ret_path, .size = size };
	char *text = read_file_at(AT_FDCWD, proc, MAX_TEXT, NULL), *save = NULL;

	if (!text)
		return 0;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		look_at(mounted, line, &t);
	free(text);
	return t.limit;
}
