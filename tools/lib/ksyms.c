/* SPDX-License-Identifier: MIT */
/*
 * Kernel functions by address. kallsyms has no sizes: a function reaches to the next symbol of any
 * kind, and no further than a bound, since beyond the last symbol of a module nothing says where it
 * ends.
 */
#include "ksyms.h"

#include "util.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define MAX_REACH \
	(16 << 20) /* the largest text without a symbol inside; kernels have none near it */
#define MAX_BYTES ((size_t)1 << 30)
#define NO_MODULE UINT32_MAX

struct ksym {
	uint64_t addr;
	uint32_t name;	 /* in strings */
	uint32_t module; /* likewise, or NO_MODULE */
	uint8_t rank;	 /* among symbols at one address, the lowest is kept */
	bool text;
};

struct ksyms {
	struct ksym *items;
	size_t n, cap;
	char *strings;
	size_t len, cap_strings;
	uint32_t module; /* the one added last: modules' symbols come together */
};

static int add_string(struct ksyms *k, const char *s, size_t len, uint32_t *ret)
{
	size_t cap = k->cap_strings ? k->cap_strings : 65536;
	char *p;

	while (k->len + len + 1 > cap)
		cap *= 2;
	if (cap > MAX_BYTES)
		return -EFBIG;
	if (cap != k->cap_strings) {
		p = realloc(k->strings, cap);
		if (!p)
			return -ENOMEM;
		k->strings = p;
		k->cap_strings = cap;
	}
	memcpy(k->strings + k->len, s, len);
	k->strings[k->len + len] = '\0';
	*ret = k->len;
	k->len += len + 1;
	return 0;
}

static int add_module(struct ksyms *k, const char *name, size_t len, uint32_t *ret)
{
	int err;

	if (k->module == NO_MODULE || strncmp(k->strings + k->module, name, len) ||
	    k->strings[k->module + len]) {
		err = add_string(k, name, len, &k->module);
		if (err)
			return err;
	}
	*ret = k->module;
	return 0;
}

/* Does a linker script define it to mark a section's bounds (`_stext`, `__entry_text_start`)? */
static bool is_marker(const char *name, size_t len)
{
	static const char *const ends[] = { "text", "_start", "_end", "_begin" };

	for (size_t i = 0; name[0] == '_' && i < ARRAY_SIZE(ends); i++) {
		size_t n = strlen(ends[i]);

		if (len > n && !strcmp(name + len - n, ends[i]))
			return true;
	}
	return false;
}

/*
 * Lower is better: functions before markers, exported before local, then by leading underscores
 * (see sym_table.h).
 */
static uint8_t rank_of(char type, const char *name)
{
	size_t underscores = MIN(strspn(name, "_"), (size_t)15);
	bool weak = type == 'w' || type == 'W';

	return (is_marker(name, strlen(name)) ? 64 : 0) + (type == 't' ? 32 : 0) + underscores * 2 +
	       weak;
}

/* `ADDRESS TYPE NAME` and, for modules, a tab and `[MODULE]` (kernel/kallsyms.c, s_show()). */
static int add_line(struct ksyms *k, char *line)
{
	struct ksym sym = { .module = NO_MODULE };
	char *end, *name, *bracket, type;
	int err = 0;

	sym.addr = strtoull(line, &end, 16);
	if (end == line || end[0] != ' ' || !end[1] || end[2] != ' ')
		return 0;
	type = end[1];
	name = end + 3;
	end = name + strcspn(name, "\t \n");
	if (end == name || type == 'a' || type == 'A' || type == 'U')
		return 0;
	sym.text = strchr("tTwW", type);
	bracket = *end ? strchr(end, '[') : NULL;
	*end = '\0';
	sym.rank = rank_of(type, name);
	if (bracket && sym.text)
		err = add_module(k, bracket + 1, strcspn(bracket + 1, "]\n"), &sym.module);
	if (!err && sym.text)
		err = add_string(k, name, end - name, &sym.name);
	if (!err)
		err = array_grow((void **)&k->items, k->n, &k->cap, sizeof(*k->items));
	if (!err)
		k->items[k->n++] = sym;
	return err;
}

static int compare_ksyms(const void *x, const void *y, void *ctx)
{
	const struct ksym *a = x, *b = y;
	const char *strings = ctx;
	const char *na = strings + a->name, *nb = strings + b->name;
	size_t la, lb;

	if (a->addr != b->addr)
		return a->addr < b->addr ? -1 : 1;
	if (a->text != b->text)
		return b->text - a->text;
	if (!a->text)
		return 0;
	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	la = strlen(na);
	lb = strlen(nb);
	if (la != lb)
		return la < lb ? -1 : 1;
	return strcmp(na, nb);
}

/* Sort, keep one symbol an address, and drop data except where it ends a function. */
static void finish(struct ksyms *k)
{
	struct ksym *smaller;
	size_t n = 0;

	if (!k->n)
		return;
	qsort_r(k->items, k->n, sizeof(*k->items), compare_ksyms, k->strings);
	for (size_t i = 0; i < k->n; i++) {
		if (n && k->items[n - 1].addr == k->items[i].addr)
			continue;
		if (!k->items[i].text && (!n || !k->items[n - 1].text))
			continue;
		k->items[n++] = k->items[i];
	}
	k->n = n;
	smaller = realloc(k->items, n * sizeof(*k->items));
	if (smaller)
		k->items = smaller;
}

static int read_all(struct ksyms *k, FILE *f)
{
	bool addresses = false;
	char *line = NULL;
	size_t size = 0;
	int err = 0;

	while (!err && getline(&line, &size, f) > 0)
		err = add_line(k, line);
	if (!err && ferror(f))
		err = -EIO;
	free(line);
	if (err)
		return err;
	if (!k->n)
		return -ENODATA;
	for (size_t i = 0; i < k->n && !addresses; i++)
		addresses = k->items[i].addr;
	return addresses ? 0 : -EACCES;
}

struct ksyms *ksyms_new(const char *path)
{
	struct ksyms *k;
	FILE *f = NULL;
	int err;

	k = calloc(1, sizeof(*k));
	if (!k)
		return NULL;
	k->module = NO_MODULE;
	/* Data symbols have no name here, and compare against this empty one. */
	err = add_string(k, "", 0, &(uint32_t){ 0 });
	if (!err) {
		f = fopen(path ? path : "/proc/kallsyms", "re");
		err = f ? read_all(k, f) : -errno;
	}
	if (f)
		fclose(f);
	if (err) {
		ksyms_free(k);
		errno = -err;
		return NULL;
	}
	finish(k);
	return k;
}

void ksyms_free(struct ksyms *k)
{
	if (!k)
		return;
	free(k->items);
	free(k->strings);
	free(k);
}

const char *ksyms_lookup(const struct ksyms *k, uint64_t addr, const char **ret_module)
{
	size_t lo = 0, hi = k->n;
	const struct ksym *s;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (k->items[mid].addr <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo)
		return NULL;
	s = &k->items[lo - 1];
	if (!s->text || addr - s->addr > MAX_REACH)
		return NULL;
	if (ret_module)
		*ret_module = s->module == NO_MODULE ? NULL : k->strings + s->module;
	return k->strings + s->name;
}

static bool is_named(const char *name, const char *const *names)
{
	for (; *names; names++) {
		size_t len = strlen(*names);
		bool prefix = len && (*names)[len - 1] == '*';

		if (prefix ? !strncmp(name, *names, len - 1) : !strcmp(name, *names))
			return true;
	}
	return false;
}

int ksyms_range(const struct ksyms *k, const char *const *names, uint64_t ret[2])
{
	uint64_t start = UINT64_MAX, end = 0;

	/* The last symbol of all has no end. */
	for (size_t i = 0; i + 1 < k->n; i++) {
		const struct ksym *s = &k->items[i];

		if (!s->text || !is_named(k->strings + s->name, names))
			continue;
		start = MIN(start, s->addr);
		end = s[1].addr;
	}
	if (!end)
		return -ENOENT;
	ret[0] = start;
	ret[1] = end;
	return 0;
}
