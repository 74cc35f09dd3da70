/* SPDX-License-Identifier: MIT */
#include "usdt.h"

#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

#define NOTE_TYPE    3 /* NT_STAPSDT of sys/sdt.h */
#define NOTE_OWNER   "stapsdt"
#define NAME_MAX_LEN 256 /* a longer pattern matches nothing */
#define ADDRESSES    3	 /* pc, base, semaphore: 8 bytes each */

/* ---------------------------------------------------------------- notes ---- */

struct note {
	uint64_t pc, base, semaphore;
	const char *provider, *name, *operands;
};

/* Three NUL-terminated strings after the addresses. */
static bool parse_note(const char *desc, size_t size, struct note *ret)
{
	const char *strings[3], *p, *end = desc + size;
	uint64_t addresses[ADDRESSES];

	if (size < sizeof(addresses))
		return false;
	memcpy(addresses, desc, sizeof(addresses));
	p = desc + sizeof(addresses);
	for (size_t i = 0; i < ARRAY_SIZE(strings); i++) {
		const char *nul = memchr(p, '\0', end - p);

		if (!nul)
			return false;
		strings[i] = p;
		p = nul + 1;
	}
	if (!*strings[0] || !*strings[1])
		return false;
	*ret = (struct note){ addresses[0], addresses[1], addresses[2],
			      strings[0],   strings[1],	  strings[2] };
	return true;
}

struct reader {
	struct usdt_list *list;
	size_t cap;
	struct elf_file *elf;
	struct probe_code *code;
	bool force;
	uint64_t base; /* where .stapsdt.base is now; 0: there is none */
};

static int add_probe(struct reader *r, const struct note *n)
{
	/* A file may have been moved after the note was written (prelink): so was the section. */
	uint64_t moved = r->base && n->base ? r->base - n->base : 0;
	struct usdt_probe p = {
		.provider = n->provider,
		.name = n->name,
		.operands = n->operands,
		.vaddr = n->pc + moved,
		.semaphore = n->semaphore ? n->semaphore + moved : 0,
		.machine = r->elf->machine,
	};
	int err;

	err = usdt_parse(r->elf, p.vaddr, p.operands, &p.spec);
	if (err == -E2BIG) {
		r->list->nr_bad++;
		return 0;
	}
	if (err < 0)
		return err;
	p.site_err = r->code ? probe_site_at(r->code, p.vaddr, r->force, &p.site) : -ENOSYS;
	if (p.site_err == -ENOMEM)
		return -ENOMEM;
	if (p.semaphore && elf_vaddr_to_offset(r->elf, p.semaphore, &p.semaphore_offset) &&
	    !p.site_err)
		p.site_err = -EBADMSG; /* nobody could ever raise it */
	err = array_grow((void **)&r->list->items, r->list->nr, &r->cap, sizeof(p));
	if (!err)
		r->list->items[r->list->nr++] = p;
	return err;
}

/* Notes are `namesz, descsz, type, name, desc`, each padded to 4 bytes (gABI, "Note Section"). */
static int read_notes(struct reader *r, const char *p, size_t size)
{
	uint32_t header[3];
	struct note note;
	int err = 0;

	while (!err && size >= sizeof(header)) {
		size_t name, desc;

		memcpy(header, p, sizeof(header));
		p += sizeof(header);
		size -= sizeof(header);
		name = ((size_t)header[0] + 3) & ~(size_t)3;
		desc = ((size_t)header[1] + 3) & ~(size_t)3;
		/* The last one may end without its padding. */
		if (name > size || header[1] > size - name) {
			r->list->nr_bad++;
			return 0;
		}
		if (header[2] == NOTE_TYPE && header[0] == sizeof(NOTE_OWNER) &&
		    !memcmp(p, NOTE_OWNER, sizeof(NOTE_OWNER))) {
			if (parse_note(p + name, header[1], &note))
				err = add_probe(r, &note);
			else
				r->list->nr_bad++;
		}
		desc = MIN(desc, size - name);
		p += name + desc;
		size -= name + desc;
	}
	return err;
}

static int compare_probes(const void *x, const void *y)
{
	const struct usdt_probe *a = x, *b = y;
	int order = strcmp(a->provider, b->provider);

	if (!order)
		order = strcmp(a->name, b->name);
	return order ? order : (a->vaddr > b->vaddr) - (a->vaddr < b->vaddr);
}

int usdt_list_init(struct usdt_list *ret, struct elf_file *elf, struct probe_code *code, bool force)
{
	struct usdt_list list = { 0 };
	struct reader r = { .list = &list, .elf = elf, .code = code, .force = force };
	struct elf_slice notes, base;
	int err;

	err = elf_section(elf, ".note.stapsdt", &notes);
	if (err == -ENOENT) {
		*ret = list;
		return 0;
	}
	if (err)
		return err;
	if (!elf_section(elf, ".stapsdt.base", &base))
		r.base = base.vaddr;
	list.strings = malloc(notes.size);
	if (!list.strings)
		return -ENOMEM;
	memcpy(list.strings, notes.data, notes.size);
	err = read_notes(&r, list.strings, notes.size);
	if (err) {
		usdt_list_release(&list);
		return err;
	}
	if (list.nr)
		qsort(list.items, list.nr, sizeof(*list.items), compare_probes);
	*ret = list;
	return 0;
}

void usdt_list_release(struct usdt_list *l)
{
	free(l->items);
	free(l->strings);
	*l = (struct usdt_list){ 0 };
}

/* ---------------------------------------------------------------- names ---- */

/* Write pattern into buf with `__` for each `-`. Returns false when it does not fit. */
static bool underscored(const char *pattern, char *buf, size_t size)
{
	size_t n = 0;

	for (; *pattern; pattern++) {
		if (n + 3 > size)
			return false;
		if (*pattern == '-')
			buf[n++] = '_';
		buf[n++] = *pattern == '-' ? '_' : *pattern;
	}
	buf[n] = '\0';
	return true;
}

bool usdt_matches(const struct usdt_probe *p, const char *pattern)
{
	const char *colon = strchr(pattern, ':');
	char provider[NAME_MAX_LEN], name[NAME_MAX_LEN];

	if (colon) {
		if ((size_t)(colon - pattern) >= sizeof(provider))
			return false;
		memcpy(provider, pattern, colon - pattern);
		provider[colon - pattern] = '\0';
		if (fnmatch(provider, p->provider, 0))
			return false;
		pattern = colon + 1;
	}
	return !fnmatch(pattern, p->name, 0) ||
	       (underscored(pattern, name, sizeof(name)) && !fnmatch(name, p->name, 0));
}

void usdt_suggest(const struct usdt_list *l, struct suggest *s)
{
	bool whole = strchr(s->mistyped, ':');
	char name[2 * NAME_MAX_LEN];

	for (size_t i = 0; i < l->nr; i++) {
		const struct usdt_probe *p = &l->items[i];

		snprintf(name, sizeof(name), "%s:%s", p->provider, p->name);
		suggest_add(s, whole ? name : p->name);
	}
}

/* ---------------------------------------------------------------- words ---- */

void usdt_put_type(struct strbuf *b, const struct usdt_arg *arg)
{
	if (arg->is_float)
		strbuf_puts(b, arg->size == 4 ? "float" : "double");
	else
		strbuf_printf(b, "%sint%u", arg->is_signed ? "" : "u", arg->size * 8);
}

static void put_reg(struct strbuf *b, const struct usdt_probe *p, uint8_t reg)
{
	if (p->machine == EM_X86_64)
		strbuf_puts(b, probe_reg_name(reg));
	else if (reg == 31)
		strbuf_puts(b, "sp");
	else
		strbuf_printf(b, "x%u", reg);
}

static void put_memory(struct strbuf *b, const struct usdt_probe *p, const struct usdt_arg *a)
{
	const int64_t off = a->off;

	strbuf_puts(b, "memory at ");
	if (p->machine == EM_X86_64 && a->reg == PROBE_IP) {
		strbuf_printf(b, "0x%" PRIx64 " of the file", p->vaddr + (uint64_t)off);
		return;
	}
	if (a->reg != USDT_NO_REG)
		put_reg(b, p, a->reg);
	if (a->index != USDT_NO_REG) {
		if (a->reg != USDT_NO_REG)
			strbuf_puts(b, " + ");
		put_reg(b, p, a->index);
		if (a->shift)
			strbuf_printf(b, " * %u", 1U << a->shift);
	}
	if (a->reg == USDT_NO_REG && a->index == USDT_NO_REG)
		strbuf_printf(b, "0x%llx", (unsigned long long)off);
	else if (off)
		strbuf_printf(b, " %c %llu", off < 0 ? '-' : '+',
			      off < 0 ? -(unsigned long long)off : (unsigned long long)off);
}

void usdt_put_place(struct strbuf *b, const struct usdt_probe *p, size_t arg)
{
	const struct usdt_arg *a = &p->spec.args[arg];

	switch (a->kind) {
	case USDT_CONST:
		strbuf_printf(b, a->is_signed ? "constant %lld" : "constant %llu",
			      (long long)a->off);
		break;
	case USDT_REG:
		put_reg(b, p, a->reg);
		if (a->shift)
			strbuf_printf(b, " >> %u", a->shift);
		break;
	case USDT_MEM:
		put_memory(b, p, a);
		break;
	default:
		strbuf_puts(b, "cannot be read");
		break;
	}
}
