/* SPDX-License-Identifier: MIT */
#include "probe_cost.h"

#include <errno.h>

#ifdef __x86_64__

#include <bpf/bpf.h>
#include <fcntl.h>
#include <stddef.h>
#include <unistd.h>

#include "attach.h"
#include "elf.h"
#include "mapping.h"
#include "util.h"

#define BURSTS 20
#define CALLS  500 /* of a burst: 0.5 to 5 ms */

void probe_cost_emulated(void);
void probe_cost_stepped(void);

/* The first instruction of each is what is probed. */
__asm__(".pushsection .text\n"
	".globl probe_cost_emulated\n"
	".hidden probe_cost_emulated\n"
	".type probe_cost_emulated, @function\n"
	"probe_cost_emulated:\n"
	"	nop\n"
	"	ret\n"
	".size probe_cost_emulated, . - probe_cost_emulated\n"
	".globl probe_cost_stepped\n"
	".hidden probe_cost_stepped\n"
	".type probe_cost_stepped, @function\n"
	"probe_cost_stepped:\n"
	"	test %rdi, %rdi\n"
	"	ret\n"
	".size probe_cost_stepped, . - probe_cost_stepped\n"
	".popsection\n");

typedef void (*subject_fn)(void);

static uint64_t burst_ns(subject_fn f)
{
	uint64_t best = UINT64_MAX, began, took;

	for (int i = 0; i < BURSTS; i++) {
		began = now_ns();
		for (int j = 0; j < CALLS; j++)
			f();
		took = now_ns() - began;
		best = MIN(best, took);
	}
	return best;
}

/* The object that we run from, and where in it a function of ours is. */
static int locate(subject_fn f, struct elf_file **ret_elf, uint64_t *ret_offset)
{
	uint64_t addr = (uintptr_t)f;
	struct mapping *maps;
	size_t n;
	int fd, err;

	err = mappings_read(getpid(), &maps, &n);
	if (err)
		return err;
	err = -ENOENT;
	for (size_t i = 0; i < n && err; i++) {
		if (addr < maps[i].start || addr >= maps[i].end)
			continue;
		fd = mapping_open(getpid(), &maps[i]);
		err = fd < 0 ? fd : 0;
		*ret_elf = err ? NULL : elf_open_fd(fd);
		if (!err && !*ret_elf)
			err = -errno;
		*ret_offset = maps[i].offset + (addr - maps[i].start);
		if (err)
			break;
	}
	mappings_free(maps, n);
	return err;
}

/* A program that does nothing. Returns its descriptor or a negative errno. */
static int load_nothing(void)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = attach_type());
	int fd;

	fd = bpf_prog_load(BPF_PROG_TYPE_KPROBE, "nothing", "GPL", insns, ARRAY_SIZE(insns), &opts);
	return fd < 0 ? -errno : fd;
}

static int measure(subject_fn f, int prog_fd, bool returns, uint64_t *ret_ns)
{
	struct attach_to to = { .prog_fd = prog_fd, .pid = getpid() };
	struct attach_site site = { 0 };
	struct attach a = { 0 };
	uint64_t bare = burst_ns(f), probed;
	int err;

	err = locate(f, &to.elf, &site.offset);
	if (err)
		return err;
	err = attach_sites(&a, &to, &site, 1);
	to.returns = true;
	if (err == 1 && returns)
		err = attach_sites(&a, &to, &site, 1);
	if (err == 1) {
		probed = burst_ns(f);
		*ret_ns = probed > bare ? (probed - bare) / CALLS : 0;
		err = 0;
	} else if (!err) {
		err = site.err;
	}
	attach_release(&a);
	elf_close(to.elf);
	return err;
}

int probe_cost_measure(struct probe_cost *ret)
{
	struct probe_cost cost;
	int prog, err;

	prog = load_nothing();
	if (prog < 0)
		return prog;
	err = measure(probe_cost_emulated, prog, false, &cost.emulated_ns);
	if (!err)
		err = measure(probe_cost_stepped, prog, false, &cost.stepped_ns);
	if (!err)
		err = measure(probe_cost_emulated, prog, true, &cost.returning_ns);
	close(prog);
	if (!err)
		*ret = cost;
	return err;
}

#else

int probe_cost_measure(struct probe_cost *ret)
{
	(void)ret;
	return -ENOTSUP;
}

#endif
