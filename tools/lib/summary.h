/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_SUMMARY_H
#define PERISCOPE_SUMMARY_H

/* The figures that a command ends with: `key=value` on its last line of stderr, or JSON. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct summary_item {
	const char *key; /* borrowed */
	char value[48];
	bool text; /* a JSON string, not a number */
};

struct summary {
	struct summary_item *items;
	size_t nr, cap;
	bool failed; /* out of memory: something is missing */
};

/* Adders; keys must outlive the summary. Lack of memory is remembered, not returned. */
void summary_u64(struct summary *s, const char *key, uint64_t value);
void summary_seconds(struct summary *s, const char *key, uint64_t ns);
void summary_text(struct summary *s, const char *key, const char *value);

void summary_print(const struct summary *s, FILE *out);
/* Write to a file by lib/output, then commit. Returns an exit status after the message. */
int summary_write_json(const struct summary *s, const char *path);
void summary_release(struct summary *s);

#endif
