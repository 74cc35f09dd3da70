/* SPDX-License-Identifier: MIT */
/*
 * Attaches to the USDT probes of an object and prints what they are hit with, for tests of
 * tools/lib/usdt.h and bpf/usdt.bpf.h:
 *
 *	usdt_values [-P] -p PID OBJECT PATTERN COUNT
 *
 * Prints COUNT lines, one a hit, "provider:name VALUE...", values as signed or unsigned integers by
 * their type and "error" for what could not be read. -P: by perf uprobes.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach.h"
#include "elf.h"
#include "probe_site.h"
#include "usdt.h"
#include "util.h"

struct usdt_hit {
	uint32_t spec, nr;
	int64_t errors[USDT_MAX_ARGS];
	uint64_t values[USDT_MAX_ARGS];
};

struct state {
	struct usdt_list list;
	uint64_t left;
};

static int on_hit(void *arg, void *data, size_t size)
{
	const struct usdt_hit *h = data;
	const struct usdt_probe *p;
	struct state *s = arg;

	if (size < sizeof(*h) || h->spec >= s->list.nr || !s->left)
		return 0;
	s->left--;
	p = &s->list.items[h->spec];
	printf("%s:%s", p->provider, p->name);
	for (uint32_t i = 0; i < h->nr; i++)
		if (h->errors[i])
			printf(" error");
		else if (p->spec.args[i].is_signed)
			printf(" %" PRId64, (int64_t)h->values[i]);
		else
			printf(" %" PRIu64, h->values[i]);
	putchar('\n');
	return 0;
}

static int attach_all(struct state *s, struct attach *a, struct attach_to *to, int specs)
{
	struct attach_site *sites = calloc(s->list.nr, sizeof(*sites));
	int done;

	if (!sites)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->list.nr; i++) {
		const struct usdt_probe *p = &s->list.items[i];

		if (bpf_map_update_elem(specs, &i, &p->spec, BPF_ANY))
			fprintf(stderr, "spec %u: %s\n", i, strerror(errno));
		sites[i] = (struct attach_site){
			.offset = p->site.offset,
			.semaphore = p->semaphore_offset,
			.cookie = probe_site_cookie(&p->site, i),
		};
	}
	done = attach_sites(a, to, sites, s->list.nr);
	for (size_t i = 0; i < s->list.nr; i++)
		if (sites[i].err)
			fprintf(stderr, "%s: %s\n", s->list.items[i].name,
				attach_error(sites[i].err));
	free(sites);
	return done;
}

static struct bpf_object *load(const char *argv0, size_t nr_specs)
{
	char path[4096];
	struct bpf_object *obj;
	struct bpf_program *prog;

	snprintf(path, sizeof(path), "%s.bpf.o", argv0);
	obj = bpf_object__open(path);
	prog = obj ? bpf_object__find_program_by_name(obj, "usdt_hit") : NULL;
	if (!prog || attach_prepare(prog) ||
	    bpf_map__set_max_entries(bpf_object__find_map_by_name(obj, "usdt_specs"), nr_specs) ||
	    bpf_object__load(obj)) {
		bpf_object__close(obj);
		return NULL;
	}
	return obj;
}

static void keep_matching(struct usdt_list *l, const char *pattern)
{
	size_t n = 0;

	for (size_t i = 0; i < l->nr; i++)
		if (usdt_matches(&l->items[i], pattern) && !l->items[i].site_err)
			l->items[n++] = l->items[i];
	l->nr = n;
}

static int run(struct state *s, struct elf_file *elf, pid_t pid, const char *argv0)
{
	struct bpf_object *obj = load(argv0, s->list.nr);
	struct attach_to to = { .elf = elf, .pid = pid };
	struct ring_buffer *ring;
	struct attach a = { 0 };

	if (!obj)
		return 1;
	to.prog_fd = bpf_program__fd(bpf_object__find_program_by_name(obj, "usdt_hit"));
	ring = ring_buffer__new(bpf_object__find_map_fd_by_name(obj, "hits"), on_hit, s, NULL);
	if (ring && attach_all(s, &a, &to, bpf_object__find_map_fd_by_name(obj, "usdt_specs")) > 0)
		while (s->left && ring_buffer__poll(ring, 1000) >= 0)
			;
	attach_release(&a);
	ring_buffer__free(ring);
	bpf_object__close(obj);
	return s->left ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct probe_code *code;
	struct state s = { 0 };
	struct elf_file *elf;
	pid_t pid = -1;
	int opt, status = 1;

	while ((opt = getopt(argc, argv, "p:P")) != -1) {
		if (opt == 'p')
			pid = atoi(optarg);
		else if (opt == 'P')
			attach_force_perf();
		else
			return 2;
	}
	if (argc - optind != 3)
		return 2;
	elf = elf_open_fd(open(argv[optind], O_RDONLY | O_CLOEXEC));
	code = elf ? probe_code_new(elf) : NULL;
	if (code && !usdt_list_init(&s.list, elf, code, false)) {
		keep_matching(&s.list, argv[optind + 1]);
		s.left = strtoull(argv[optind + 2], NULL, 10);
		status = s.list.nr ? run(&s, elf, pid, argv[0]) : 1;
	}
	usdt_list_release(&s.list);
	probe_code_free(code);
	elf_close(elf);
	return status;
}
