/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_SUGGEST_H
#define PERISCOPE_SUGGEST_H

/* The names that somebody may have meant who mistyped one: those nearest by edit distance. */

#include <stddef.h>

#include "strbuf.h"

#define SUGGEST_MAX 5

struct suggest_item {
	char *name;
	size_t distance;
};

struct suggest {
	const char *mistyped;			/* borrowed */
	struct suggest_item items[SUGGEST_MAX]; /* nearest first */
	size_t nr;
};

void suggest_init(struct suggest *s, const char *mistyped);
void suggest_release(struct suggest *s);

/*
 * A name that there is. Kept if it is among the nearest so far and differs in at most a third of
 * the mistyped one's characters; each name once. (One for which memory lacks is not suggested.)
 */
void suggest_add(struct suggest *s, const char *name);

/* Append what was kept, nearest first, separated by ", ". Returns how many. */
size_t suggest_put(const struct suggest *s, struct strbuf *b);

#endif
