/* SPDX-License-Identifier: MIT */
/*
 * Probes functions of an object and tells what came of it, for tests of tools/lib/probe_site.h and
 * attach.h:
 *
 *	probe_events [-p PID] [-P] [-r] [-n] [-c] [-a OFFSET] OBJECT FUNCTION...
 *
 *	-p PID     this process only; without it, all
 *	-P         perf uprobes, also where the kernel has uprobe_multi
 *	-r         return probes at the same sites, too
 *	-n         sites may skip NULL
 *	-c         a second probe at the entry: arguments and CFA at the site are held against what
 *	           they were there (single-stepped: use it on few calls)
 *	-a OFFSET  one more site, at this offset of the file, whatever is there
 *
 * Prints "ready" once attached, waits for SIGINT, detaches, and prints a line for each function. Every hit goes through a ring buffer, so that what is lost is known. The program is
 * in instructions and not compiled, to need nothing of the tools but what is tested.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach.h"
#include "elf.h"
#include "probe_site.h"
#include "sym_table.h"
#include "util.h"

#define RING_SIZE (64 << 20)
#define MAX_TIDS  64

/* What the program sends: pushed onto its stack in this order, lowest address first. */
struct hit {
	uint64_t cookie, pid_tgid, regs[21];
};

enum { ON_SITE, ON_ENTRY, ON_RETURN, NR_PLACES };

struct probed {
	const char *name;
	uint64_t vaddr;
	struct probe_site site, entry;
	int err, entry_err;
	uint64_t hits[NR_PLACES];
	uint64_t wrong_args, wrong_cfa; /* differences between entry, site and return */
	uint64_t tgids[MAX_TIDS], nr_tgids;
	struct {
		uint64_t tid;
		uint64_t args[PROBE_NR_ARGS], cfa;
	} entered[MAX_TIDS];
};

struct state {
	struct probed *items;
	size_t nr;
	uint64_t unknown; /* hits of a function that is not among them */
	struct attach attach;
	int prog, ring, lost;
};

/* ---------------------------------------------------------------- the program ---- */

#define INSN(c, d, s, o, i) \
	((struct bpf_insn){ .code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) })
#define MOV_REG(d, s)  INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define MOV_IMM(d, i)  INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define ADD_IMM(d, i)  INSN(BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, i)
#define STORE(d, o, s) INSN(BPF_STX | BPF_MEM | BPF_DW, d, s, o, 0)
#define CALL(f)	       INSN(BPF_JMP | BPF_CALL, 0, 0, 0, f)
#define MAP_FD(d, fd) \
	INSN(BPF_LD | BPF_DW | BPF_IMM, d, BPF_PSEUDO_MAP_FD, 0, fd), INSN(0, 0, 0, 0, 0)
#define MAP_VALUE(d, fd) \
	INSN(BPF_LD | BPF_DW | BPF_IMM, d, BPF_PSEUDO_MAP_VALUE, 0, fd), INSN(0, 0, 0, 0, 0)
#define JUMP_IF_ZERO(r, o) INSN(BPF_JMP | BPF_JEQ | BPF_K, r, 0, o, 0)

static int load_program(struct state *s)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = attach_type());
	static char log[65536];
	const int base = -(int)sizeof(struct hit);
	struct bpf_insn insns[] = {
		MOV_REG(6, 1),		CALL(BPF_FUNC_get_attach_cookie),
		STORE(10, base, 0),	CALL(BPF_FUNC_get_current_pid_tgid),
		STORE(10, base + 8, 0), MOV_REG(1, 10),
		ADD_IMM(1, base + 16),	MOV_IMM(2, sizeof(((struct hit *)0)->regs)),
		MOV_REG(3, 6),		CALL(BPF_FUNC_probe_read_kernel),
		MAP_FD(1, s->ring),	MOV_REG(2, 10),
		ADD_IMM(2, base),	MOV_IMM(3, sizeof(struct hit)),
		MOV_IMM(4, 0),		CALL(BPF_FUNC_ringbuf_output),
		JUMP_IF_ZERO(0, 4),	MOV_IMM(1, 1),
		MAP_VALUE(2, s->lost),	INSN(BPF_STX | BPF_ATOMIC | BPF_DW, 2, 1, 0, BPF_ADD),
		MOV_IMM(0, 0),		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};

	opts.log_buf = log;
	opts.log_size = sizeof(log);
	s->ring = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "hits", 0, 0, RING_SIZE, NULL);
	s->lost = bpf_map_create(BPF_MAP_TYPE_ARRAY, "lost", 4, 8, 1, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(insns); i++) {
		if (insns[i].src_reg == BPF_PSEUDO_MAP_FD && insns[i].code == 0x18)
			insns[i].imm = s->ring;
		if (insns[i].src_reg == BPF_PSEUDO_MAP_VALUE && insns[i].code == 0x18)
			insns[i].imm = s->lost;
	}
	s->prog = bpf_prog_load(BPF_PROG_TYPE_KPROBE, "probe_events", "GPL", insns,
				ARRAY_SIZE(insns), &opts);
	if (s->prog < 0)
		fprintf(stderr, "load: %s\n%s", strerror(errno), log);
	return s->prog < 0 ? -errno : 0;
}

/* ---------------------------------------------------------------- hits ---- */

static int slot_of(struct probed *p, uint64_t tid)
{
	for (int i = 0; i < MAX_TIDS; i++)
		if (!p->entered[i].tid || p->entered[i].tid == tid) {
			p->entered[i].tid = tid;
			return i;
		}
	return 0;
}

static void note_tgid(struct probed *p, uint64_t tgid)
{
	for (size_t i = 0; i < p->nr_tgids; i++)
		if (p->tgids[i] == tgid)
			return;
	if (p->nr_tgids < MAX_TIDS)
		p->tgids[p->nr_tgids++] = tgid;
}

static int on_hit(void *arg, void *data, size_t size)
{
	static const uint8_t regs[] = { PROBE_RDI, PROBE_RSI, PROBE_RDX,
					PROBE_RCX, PROBE_R8,  PROBE_R9 };
	struct state *s = arg;
	const struct hit *h = data;
	uint32_t id = PROBE_COOKIE_ID(h->cookie), place = id % NR_PLACES;
	uint64_t cfa = h->regs[PROBE_SP] + PROBE_COOKIE_STACK(h->cookie);
	struct probed *p;
	int slot;

	if (size < sizeof(*h) || id / NR_PLACES >= s->nr) {
		s->unknown++;
		return 0;
	}
	p = &s->items[id / NR_PLACES];
	p->hits[place]++;
	note_tgid(p, h->pid_tgid >> 32);
	slot = slot_of(p, (uint32_t)h->pid_tgid);
	cfa += place == ON_RETURN ? 0 : 8;
	if (place == ON_ENTRY) {
		for (int i = 0; i < PROBE_NR_ARGS; i++)
			p->entered[slot].args[i] = h->regs[regs[i]];
		p->entered[slot].cfa = cfa;
		return 0;
	}
	if (p->hits[ON_ENTRY] && cfa != p->entered[slot].cfa)
		p->wrong_cfa++;
	if (!p->hits[ON_ENTRY])
		p->entered[slot].cfa = cfa;
	for (int i = 0; i < PROBE_NR_ARGS && place == ON_SITE && p->hits[ON_ENTRY]; i++) {
		uint32_t reg = PROBE_COOKIE_ARG(h->cookie, i);

		p->wrong_args += reg != PROBE_ARG_LOST && h->regs[reg] != p->entered[slot].args[i];
	}
	return 0;
}

/* ---------------------------------------------------------------- probing ---- */

struct options {
	pid_t pid;
	bool returns, skip_null, check;
	uint64_t extra;
	bool has_extra;
};

static int find_sites(struct state *s, struct elf_file *elf, const struct options *o, char **names)
{
	struct probe_site_options wishes = { .returns = o->returns, .skip_null = o->skip_null };
	struct probe_code *code = probe_code_new(elf);
	struct sym_table symbols;

	if (!code || sym_table_init(&symbols, elf->elf, NULL))
		return -errno;
	for (size_t i = 0; i < s->nr; i++) {
		struct probed *p = &s->items[i];
		char name[256];

		p->name = names[i];
		p->err = -ENOENT;
		for (size_t j = 0; j < symbols.n && p->err == -ENOENT; j++) {
			const struct sym_entry *e = &symbols.entries[j];

			if (e->plt ||
			    strcmp(sym_table_name(&symbols, e, name, sizeof(name)), names[i]) != 0)
				continue;
			p->vaddr = e->addr;
			p->err = probe_site_find(code, e->addr, e->size, &wishes, &p->site);
			p->entry_err = probe_site_at(code, e->addr, false, &p->entry);
		}
	}
	sym_table_release(&symbols);
	probe_code_free(code);
	return 0;
}

static void attach_place(struct state *s, const struct options *o, struct elf_file *elf, int place)
{
	struct attach_site *sites = calloc(s->nr + 1, sizeof(*sites));
	struct attach_to to = {
		.elf = elf,
		.prog_fd = s->prog,
		.pid = o->pid,
		.returns = place == ON_RETURN,
	};
	uint64_t began = now_ns();
	size_t n = 0;
	int done;

	for (size_t i = 0; i < s->nr; i++) {
		const struct probed *p = &s->items[i];
		const struct probe_site *site = place == ON_ENTRY ? &p->entry : &p->site;

		if (p->err || (place == ON_ENTRY && (p->entry_err || p->site.vaddr == p->vaddr)))
			continue;
		sites[n++] = (struct attach_site){
			.offset = site->offset,
			.cookie = probe_site_cookie(site, i * NR_PLACES + place),
		};
	}
	if (place == ON_SITE && o->has_extra)
		sites[n++] = (struct attach_site){ .offset = o->extra, .cookie = PROBE_MAX_ID };
	done = attach_sites(&s->attach, &to, sites, n);
	printf("attached place=%d sites=%d of=%zu kind=%s us=%lu error=%s\n", place, done, n,
	       attach_kind() == ATTACH_MULTI ? "multi" : "perf",
	       (unsigned long)(now_ns() - began) / 1000, done < 0 ? attach_error(done) : "-");
	for (size_t i = 0; i < n && done >= 0; i++)
		if (sites[i].err)
			printf("refused offset=%lx error=%s\n", (unsigned long)sites[i].offset,
			       attach_error(sites[i].err));
	free(sites);
}

static volatile sig_atomic_t ended;

static void on_signal(int sig)
{
	(void)sig;
	ended = 1;
}

static void wait_for_end(struct state *s)
{
	struct ring_buffer *ring = ring_buffer__new(s->ring, on_hit, s, NULL);
	struct sigaction sa = { .sa_handler = on_signal };
	uint64_t began, lost = 0;
	uint32_t zero = 0;

	sigaction(SIGINT, &sa, NULL);
	puts("ready");
	fflush(stdout);
	while (!ended)
		ring_buffer__poll(ring, 20);
	began = now_ns();
	attach_release(&s->attach);
	printf("detached us=%lu\n", (unsigned long)(now_ns() - began) / 1000);
	ring_buffer__consume(ring);
	ring_buffer__free(ring);
	bpf_map_lookup_elem(s->lost, &zero, &lost);
	printf("lost=%lu unknown=%lu\n", (unsigned long)lost, (unsigned long)s->unknown);
}

static void report(const struct state *s)
{
	for (size_t i = 0; i < s->nr; i++) {
		const struct probed *p = &s->items[i];

		printf("function name=%s", p->name);
		if (p->err) {
			printf(" error=%d\n", p->err);
			continue;
		}
		printf(" at=%lu class=%s stack=%u repeats=%d leaf=%d hits=%lu entries=%lu "
		       "returns=%lu wrong_args=%lu wrong_cfa=%lu processes=%lu\n",
		       (unsigned long)(p->site.vaddr - p->vaddr), probe_class_name(p->site.class),
		       p->site.stack, p->site.repeats, p->site.leaf, (unsigned long)p->hits[0],
		       (unsigned long)p->hits[1], (unsigned long)p->hits[2],
		       (unsigned long)p->wrong_args, (unsigned long)p->wrong_cfa,
		       (unsigned long)p->nr_tgids);
	}
}

static void probe(struct state *s, struct elf_file *elf, const struct options *o)
{
	if (o->check)
		attach_place(s, o, elf, ON_ENTRY);
	attach_place(s, o, elf, ON_SITE);
	if (o->returns)
		attach_place(s, o, elf, ON_RETURN);
	wait_for_end(s);
}

int main(int argc, char **argv)
{
	struct options o = { .pid = -1 };
	struct elf_file *elf;
	struct state s = { 0 };
	int opt, err;

	while ((opt = getopt(argc, argv, "p:Prnca:")) != -1) {
		switch (opt) {
		case 'p':
			o.pid = atoi(optarg);
			break;
		case 'P':
			attach_force_perf();
			break;
		case 'r':
			o.returns = true;
			break;
		case 'n':
			o.skip_null = true;
			break;
		case 'c':
			o.check = true;
			break;
		case 'a':
			o.extra = strtoull(optarg, NULL, 0);
			o.has_extra = true;
			break;
		default:
			return 2;
		}
	}
	if (optind + 1 >= argc)
		return 2;
	elf = elf_open_fd(open(argv[optind], O_RDONLY | O_CLOEXEC));
	s.nr = argc - optind - 1;
	s.items = calloc(s.nr, sizeof(*s.items));
	err = elf && s.items ? load_program(&s) : -ENOENT;
	if (!err)
		err = find_sites(&s, elf, &o, argv + optind + 1);
	if (!err) {
		probe(&s, elf, &o);
		report(&s);
	}
	free(s.items);
	elf_close(elf);
	return err ? 1 : 0;
}
