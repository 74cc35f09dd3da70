/* SPDX-License-Identifier: MIT */
/* A probe_list in words, and as JSON. */
#include "probe_list.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "util.h"

#define NAME_COLUMNS 40 /* a longer name moves the rest of its line */

/* ---------------------------------------------------------------- text ---- */

static void put_plural(struct strbuf *b, size_t n, const char *what)
{
	strbuf_printf(b, "%zu %s%s", n, what, n == 1 ? "" : "s");
}

static void put_padded(struct strbuf *b, const char *name, size_t columns)
{
	size_t before = b->len;

	strbuf_puts_utf8(b, name);
	if (b->len - before < columns)
		strbuf_fill(b, ' ', columns - (b->len - before));
}

static size_t widest(size_t now, const char *name)
{
	return MAX(now, MIN(strlen(name), (size_t)NAME_COLUMNS));
}

static void text_arguments(struct strbuf *b, const struct usdt_probe *p)
{
	if (!p->spec.nr)
		return;
	strbuf_puts(b, "      ");
	for (size_t i = 0; i < p->spec.nr; i++) {
		strbuf_printf(b, "%sarg%zu ", i ? ", " : "", i + 1);
		usdt_put_type(b, &p->spec.args[i]);
		strbuf_puts(b, p->spec.args[i].kind == USDT_REG || p->spec.args[i].kind == USDT_MEM
				       ? " in "
				       : " ");
		usdt_put_place(b, p, i);
	}
	strbuf_putc(b, '\n');
}

static void text_usdt(struct strbuf *b, const struct usdt_list *l)
{
	size_t columns = 0;

	for (size_t i = 0; i < l->nr; i++)
		columns = MAX(columns, strlen(l->items[i].provider) + 1 + strlen(l->items[i].name));
	columns = MIN(columns, (size_t)NAME_COLUMNS);
	for (size_t i = 0; i < l->nr; i++) {
		const struct usdt_probe *p = &l->items[i];
		char name[2 * NAME_COLUMNS + 2];

		snprintf(name, sizeof(name), "%s:%s", p->provider, p->name);
		strbuf_puts(b, "  ");
		put_padded(b, name, columns);
		strbuf_printf(b, "  0x%-8" PRIx64 "  ", p->vaddr);
		if (p->site_err)
			strbuf_printf(b, "no: %s", probe_site_error(p->site_err));
		else
			strbuf_puts(b, probe_class_name(p->site.class));
		if (p->semaphore)
			strbuf_printf(b, ", semaphore at 0x%" PRIx64, p->semaphore);
		strbuf_putc(b, '\n');
		text_arguments(b, p);
	}
}

static void text_function(struct strbuf *b, const struct function *f,
			  const struct probe_list_site *s, size_t columns)
{
	strbuf_puts(b, "  ");
	put_padded(b, f->name, columns);
	strbuf_printf(b, "  0x%-8" PRIx64 "  ", f->vaddr);
	if (s->err) {
		strbuf_printf(b, "no: %s\n", probe_site_error(s->err));
		return;
	}
	strbuf_printf(b, "+%-4" PRIu64 " %-14s  ", s->site.vaddr - f->vaddr,
		      probe_class_name(s->site.class));
	if (s->returns == PROBE_RETURN_OK)
		strbuf_puts(b, "returns");
	else
		strbuf_printf(b, "no returns: %s", probe_return_text(s->returns));
	if (s->site.repeats)
		strbuf_puts(b, "; a call may hit it several times");
	if (f->ifunc)
		strbuf_puts(b,
			    "; only chooses the function that is called (IFUNC): probe that one");
	strbuf_putc(b, '\n');
}

static void text_functions(struct strbuf *b, const struct probe_list_object *o)
{
	size_t columns = 0;

	for (size_t i = 0; i < o->functions.nr; i++)
		columns = widest(columns, o->functions.items[i].name);
	for (size_t i = 0; i < o->functions.nr; i++)
		text_function(b, &o->functions.items[i], &o->sites[i], columns);
}

static void text_cost(struct strbuf *b, const struct probe_list_source *from)
{
	if (from->cost)
		strbuf_printf(b,
			      "A hit costs, measured now: emulated %" PRIu64
			      " ns, single-stepped %" PRIu64
			      " ns; emulated entry and return %" PRIu64 " ns.\n",
			      from->cost->emulated_ns, from->cost->stepped_ns,
			      from->cost->returning_ns);
	else
		strbuf_puts(b,
			    "A hit is cheap where the kernel emulates the instruction, and costs "
			    "many times as much\nwhere it single-steps it: --measure says how much "
			    "here.\n");
}

void probe_list_text(const struct probe_list *l, const struct probe_list_source *from,
		     struct strbuf *b)
{
	for (size_t i = 0; i < l->nr; i++) {
		const struct probe_list_object *o = &l->objects[i];

		strbuf_puts_utf8(b, o->image->path);
		strbuf_puts(b, ": ");
		if (o->usdt.nr)
			put_plural(b, o->usdt.nr, "USDT probe");
		if (o->functions.nr) {
			strbuf_puts(b, o->usdt.nr ? ", " : "");
			put_plural(b, o->functions.nr, "function");
		}
		if (o->err)
			strbuf_printf(b, "%scannot be looked at: %s", o->usdt.nr ? "; " : "",
				      probe_site_error(o->err));
		strbuf_putc(b, '\n');
		text_usdt(b, &o->usdt);
		text_functions(b, o);
		strbuf_putc(b, '\n');
	}
	if (l->nr_usdt || l->nr_functions)
		text_cost(b, from);
	else
		strbuf_puts(b, "No USDT probes. Functions are listed by name: give a GLOB.\n");
	if (l->nr_functions && !from->pid)
		strbuf_puts(b, "Whether returns can be probed also depends on the process: give -p "
			       "PID for one.\n");
}

/* ---------------------------------------------------------------- JSON ---- */

static void json_string(struct strbuf *b, const char *key, const char *value)
{
	strbuf_printf(b, "\"%s\":", key);
	if (value)
		json_put_string(b, value);
	else
		strbuf_puts(b, "null");
}

static void json_bool(struct strbuf *b, const char *key, bool value)
{
	strbuf_printf(b, ",\"%s\":%s", key, value ? "true" : "false");
}

static void json_u64(struct strbuf *b, const char *key, uint64_t value)
{
	strbuf_printf(b, ",\"%s\":%" PRIu64, key, value);
}

static void json_argument(struct strbuf *b, const struct usdt_probe *p, size_t i)
{
	struct strbuf words;

	strbuf_init(&words);
	usdt_put_type(&words, &p->spec.args[i]);
	strbuf_puts(b, i ? ",{" : "{");
	json_string(b, "type", strbuf_str(&words));
	strbuf_reset(&words);
	usdt_put_place(&words, p, i);
	strbuf_putc(b, ',');
	json_string(b, "place", strbuf_str(&words));
	json_bool(b, "readable", p->spec.args[i].kind != USDT_NONE);
	strbuf_putc(b, '}');
	strbuf_release(&words);
}

static void json_usdt(struct strbuf *b, const struct usdt_probe *p)
{
	strbuf_putc(b, '{');
	json_string(b, "provider", p->provider);
	strbuf_putc(b, ',');
	json_string(b, "name", p->name);
	json_u64(b, "address", p->vaddr);
	strbuf_puts(b, ",\"offset\":");
	if (p->site_err)
		strbuf_puts(b, "null,\"class\":null,\"size\":null");
	else
		strbuf_printf(b, "%" PRIu64 ",\"class\":\"%s\",\"size\":%u", p->site.offset,
			      probe_class_name(p->site.class), p->site.size);
	strbuf_putc(b, ',');
	json_string(b, "error", p->site_err ? probe_site_error(p->site_err) : NULL);
	if (p->semaphore)
		strbuf_printf(b, ",\"semaphore\":{\"address\":%" PRIu64 ",\"offset\":%" PRIu64 "}",
			      p->semaphore, p->semaphore_offset);
	else
		strbuf_puts(b, ",\"semaphore\":null");
	strbuf_putc(b, ',');
	json_string(b, "operands", p->operands);
	strbuf_puts(b, ",\"arguments\":[");
	for (size_t i = 0; i < p->spec.nr; i++)
		json_argument(b, p, i);
	strbuf_puts(b, "]}");
}

static void json_site(struct strbuf *b, const struct probe_site *s)
{
	strbuf_printf(b,
		      "{\"address\":%" PRIu64 ",\"offset\":%" PRIu64
		      ",\"class\":\"%s\",\"size\":%u,\"stack\":%u,\"arguments\":[",
		      s->vaddr, s->offset, probe_class_name(s->class), s->size, s->stack);
	for (size_t i = 0; i < PROBE_NR_ARGS; i++)
		if (s->args[i] == PROBE_ARG_LOST)
			strbuf_printf(b, "%snull", i ? "," : "");
		else
			strbuf_printf(b, "%s\"%s\"", i ? "," : "", probe_reg_name(s->args[i]));
	strbuf_putc(b, ']');
	json_bool(b, "repeats", s->repeats);
	json_bool(b, "leaf", s->leaf);
	strbuf_putc(b, '}');
}

static void json_function(struct strbuf *b, const struct function *f,
			  const struct probe_list_site *s)
{
	bool returns = !s->err && s->returns == PROBE_RETURN_OK;

	strbuf_putc(b, '{');
	json_string(b, "name", f->name);
	strbuf_putc(b, ',');
	json_string(b, "linkage", f->linkage);
	json_u64(b, "address", f->vaddr);
	json_u64(b, "size", f->size);
	json_bool(b, "ifunc", f->ifunc);
	strbuf_putc(b, ',');
	json_string(b, "error", s->err ? probe_site_error(s->err) : NULL);
	strbuf_puts(b, ",\"site\":");
	if (s->err)
		strbuf_puts(b, "null");
	else
		json_site(b, &s->site);
	json_bool(b, "returns", returns);
	strbuf_putc(b, ',');
	json_string(b, "no_returns",
		    returns  ? NULL
		    : s->err ? probe_site_error(s->err)
			     : probe_return_text(s->returns));
	strbuf_putc(b, '}');
}

static void json_object(struct strbuf *b, const struct probe_list_object *o)
{
	strbuf_putc(b, '{');
	json_string(b, "path", o->image->path);
	strbuf_putc(b, ',');
	json_string(b, "error", o->err ? probe_site_error(o->err) : NULL);
	strbuf_puts(b, ",\"usdt\":[");
	for (size_t i = 0; i < o->usdt.nr; i++) {
		strbuf_puts(b, i ? ",\n" : "\n");
		json_usdt(b, &o->usdt.items[i]);
	}
	strbuf_puts(b, "],\"functions\":[");
	for (size_t i = 0; i < o->functions.nr; i++) {
		strbuf_puts(b, i ? ",\n" : "\n");
		json_function(b, &o->functions.items[i], &o->sites[i]);
	}
	strbuf_puts(b, "]}");
}

void probe_list_json(const struct probe_list *l, const struct probe_list_source *from,
		     struct strbuf *b)
{
	const struct probe_cost *cost = from->cost;

	if (from->pid)
		strbuf_printf(b, "{\"pid\":%d,", from->pid);
	else
		strbuf_puts(b, "{\"pid\":null,");
	json_string(b, "file", from->pid ? NULL : from->name);
	strbuf_puts(b, ",\"cost\":");
	if (cost)
		strbuf_printf(b,
			      "{\"emulated_ns\":%" PRIu64 ",\"stepped_ns\":%" PRIu64
			      ",\"returning_ns\":%" PRIu64 "}",
			      cost->emulated_ns, cost->stepped_ns, cost->returning_ns);
	else
		strbuf_puts(b, "null");
	strbuf_puts(b, ",\"objects\":[");
	for (size_t i = 0; i < l->nr; i++) {
		strbuf_puts(b, i ? ",\n" : "\n");
		json_object(b, &l->objects[i]);
	}
	strbuf_puts(b, "]}\n");
}
