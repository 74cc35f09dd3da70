/* SPDX-License-Identifier: MIT */
#include "summary.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "output.h"
#include "strbuf.h"
#include "util.h"

static struct summary_item *add(struct summary *s, const char *key)
{
	struct summary_item *item;

	if (array_grow((void **)&s->items, s->nr, &s->cap, sizeof(*s->items))) {
		s->failed = true;
		return NULL;
	}
	item = &s->items[s->nr++];
	*item = (struct summary_item){ .key = key };
	return item;
}

void summary_u64(struct summary *s, const char *key, uint64_t value)
{
	struct summary_item *item = add(s, key);

	if (item)
		snprintf(item->value, sizeof(item->value), "%" PRIu64, value);
}

void summary_seconds(struct summary *s, const char *key, uint64_t ns)
{
	struct summary_item *item = add(s, key);

	if (item)
		snprintf(item->value, sizeof(item->value), "%.3f", ns / 1e9);
}

void summary_text(struct summary *s, const char *key, const char *value)
{
	struct summary_item *item = add(s, key);

	if (!item)
		return;
	item->text = true;
	snprintf(item->value, sizeof(item->value), "%s", value);
}

void summary_print(const struct summary *s, FILE *out)
{
	for (size_t i = 0; i < s->nr; i++)
		fprintf(out, "%s%s=%s", i ? " " : "", s->items[i].key, s->items[i].value);
	fputc('\n', out);
}

int summary_write_json(const struct summary *s, const char *path)
{
	struct output *o;
	char line[160];
	int err = output_open(path, &o);

	if (err)
		return cli_fail("cannot write '%s': %s", path, strerror(-err));
	/* Keys and texts are our own words: nothing in them needs escaping. */
	sink_puts(output_sink(o), "{\n");
	for (size_t i = 0; i < s->nr; i++) {
		const char *quote = s->items[i].text ? "\"" : "";

		snprintf(line, sizeof(line), "  \"%s\": %s%s%s%s\n", s->items[i].key, quote,
			 s->items[i].value, quote, i + 1 < s->nr ? "," : "");
		sink_puts(output_sink(o), line);
	}
	sink_puts(output_sink(o), "}\n");
	err = output_commit(o);
	output_free(o);
	return err ? cli_fail("cannot write '%s': %s", path, strerror(-err)) : 0;
}

void summary_release(struct summary *s)
{
	free(s->items);
	*s = (struct summary){ 0 };
}
