/* SPDX-License-Identifier: MIT */
#include "request_spec.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/usdt.h"
#include "util.h"

#define NO REQUEST_NO_ARG

/* Every argument absent. */
static struct request_probe probe_of(enum request_role role)
{
	return (struct request_probe){
		.role = role,
		.key = NO,
		.name = NO,
		.route = NO,
		.method = NO,
		.status = NO,
		.flags = NO,
		.value = NO,
		.text = NO,
		.rows = NO,
		.steps = NO,
		.time = NO,
		.account = NO,
	};
}

void request_point_release(struct request_point *p)
{
	free(p->pattern);
	*p = (struct request_point){ 0 };
}

/* ---------------------------------------------------------------- parsing ---- */

/* The parenthesis that begins the arguments; NULL: the text has none. C++ names have others. */
static const char *find_arguments(const char *text)
{
	const char *open = strrchr(text, '(');
	size_t len = strlen(text);

	if (!open || text[len - 1] != ')' || strncmp(open + 1 + strspn(open + 1, " "), "arg", 3))
		return NULL;
	return open;
}

static bool is_word(const char *text, size_t len, const char *word)
{
	return strlen(word) == len && !memcmp(text, word, len);
}

static int take_use(struct request_probe *p, unsigned int arg, const char *use, size_t len,
		    const char **why)
{
	__u8 *place = &p->key;

	if (is_word(use, len, "str") || is_word(use, len, "int") || is_word(use, len, "name")) {
		place = &p->name;
		p->name_kind = *use == 's'   ? NAME_TEXT
			       : *use == 'i' ? NAME_NUMBER
					     : NAME_TEXT_OR_NUMBER;
	} else if (is_word(use, len, "status")) {
		place = &p->status;
	} else if (len && !is_word(use, len, "key")) {
		*why = "says of an argument what is not key, str, int, name or status";
		return -EINVAL;
	}
	if (*place != NO) {
		*why = place == &p->key ? "has two ids" : "has two arguments of one use";
		return -EINVAL;
	}
	*place = arg;
	return 0;
}

/* `arg1`, `arg2:str`, up to a comma or the end. */
static int parse_argument(struct request_probe *p, const char *text, size_t len, const char **why)
{
	unsigned long n = 0;
	size_t i = 3;

	for (; i < len && isdigit((unsigned char)text[i]); i++)
		n = MIN(n * 10 + (text[i] - '0'), 1000UL);
	if (len < 4 || memcmp(text, "arg", 3) || !n || (i < len && text[i] != ':')) {
		*why = "has an argument that is not arg1, arg2, ...";
		return -EINVAL;
	}
	if (n > USDT_MAX_ARGS) {
		*why = "has an argument beyond arg12";
		return -EINVAL;
	}
	return take_use(p, n - 1, text + i + (i < len), len - i - (i < len), why);
}

static int parse_arguments(struct request_probe *p, const char *text, const char **why)
{
	size_t len;
	int err = 0;

	while (!err) {
		text += strspn(text, " ");
		len = strcspn(text, ",)");
		while (len && text[len - 1] == ' ')
			len--;
		err = parse_argument(p, text, len, why);
		text += strcspn(text, ",)");
		if (*text++ != ',')
			break;
	}
	return err;
}

static int check_uses(const struct request_probe *p, const char **why)
{
	if (p->name != NO && p->role != ROLE_BEGIN)
		*why = "has a name, which only the beginning of a request has";
	else if (p->status != NO && p->role != ROLE_END)
		*why = "has a status, which only the end of a request has";
	else
		return 0;
	return -EINVAL;
}

int request_point_parse(struct request_point *ret, enum request_role role, const char *text,
			const char **ret_why)
{
	const char *arguments = find_arguments(text);
	struct request_point p = { .probe = probe_of(role) };
	int err;

	p.returns = !strcmp(text, "return");
	p.null = !strcmp(text, "null");
	if (p.returns || p.null) {
		if (role != ROLE_END) {
			*ret_why = "is not what a request can begin with";
			return -EINVAL;
		}
		*ret = p;
		return 0;
	}
	if (!*text || arguments == text) {
		*ret_why = "names no probe";
		return -EINVAL;
	}
	err = arguments ? parse_arguments(&p.probe, arguments + 1, ret_why) : 0;
	if (!err)
		err = check_uses(&p.probe, ret_why);
	if (err)
		return err;
	p.pattern = arguments ? strndup(text, arguments - text) : strdup(text);
	if (!p.pattern)
		return -ENOMEM;
	*ret = p;
	return 0;
}

/* ---------------------------------------------------------------- lists ---- */

int request_points_add(struct request_points *l, struct request_point *p)
{
	if (array_grow((void **)&l->items, l->nr, &l->cap, sizeof(*l->items))) {
		request_point_release(p);
		return -ENOMEM;
	}
	if (p->probe.role == ROLE_RUN || p->probe.role == ROLE_PAUSE)
		l->has_pieces = true;
	l->items[l->nr++] = *p;
	return 0;
}

void request_points_release(struct request_points *l)
{
	for (size_t i = 0; i < l->nr; i++)
		request_point_release(&l->items[i]);
	free(l->items);
	*l = (struct request_points){ 0 };
}

static struct request_point *find_role(struct request_points *l, enum request_role role)
{
	for (size_t i = 0; i < l->nr; i++)
		if (l->items[i].probe.role == role)
			return &l->items[i];
	return NULL;
}

/* What a thread tells that it works on, and when that is executed. */
static const char *check_status(struct request_point *begin, const struct request_point *end,
				const struct request_point *execute)
{
	if (!end->null)
		return execute ? "--execute goes with --request BEGIN null" : NULL;
	if (begin->probe.key != NO && begin->probe.name != NO)
		return "before null there is no id: it is a thread that tells what it works on";
	if (begin->probe.key == NO && begin->probe.name == NO)
		return "before null there is a name: (arg1:str) behind the probe";
	if (execute && execute->probe.key != NO)
		return "--execute has no argument: the thread executes what it told";
	begin->probe.role = ROLE_STATUS;
	begin->probe.pending = execute != NULL;
	return NULL;
}

int request_points_check(struct request_points *l, const char **ret_why)
{
	struct request_point *begin = find_role(l, ROLE_BEGIN), *end = find_role(l, ROLE_END);
	struct request_point *run = find_role(l, ROLE_RUN), *pause = find_role(l, ROLE_PAUSE);

	*ret_why = check_status(begin, end, find_role(l, ROLE_EXECUTE));
	if (*ret_why)
		return -EINVAL;
	if (end->returns) {
		begin->probe.nests = end->probe.nests = 1;
		begin->probe.is_function = end->probe.is_function = 1;
	}
	if (end->probe.key == NO && begin->probe.key != NO) {
		if (begin->probe.name == NO) {
			begin->probe.name = begin->probe.key;
			begin->probe.name_kind = NAME_TEXT_OR_NUMBER;
		}
		begin->probe.key = NO;
	}
	if (begin->probe.key == NO && end->probe.key != NO)
		*ret_why = "the end has an id and the beginning has none";
	else if ((run || pause) && begin->probe.key == NO)
		*ret_why = "--run and --pause need requests with an id: (arg1) behind both probes";
	else if (run && run->probe.key == NO)
		*ret_why = "--run needs the request's id: (arg1) behind the probe";
	else if (!run != !pause)
		*ret_why = "--run and --pause go together";
	return *ret_why ? -EINVAL : 0;
}
