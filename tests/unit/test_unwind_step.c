/* SPDX-License-Identifier: MIT */
/*
 * The walk's step on real stacks: walks its own process by the tables of its own objects, with the
 * code that the BPF programs run, and must see what libgcc's unwinder sees.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <alloca.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ucontext.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#include "mapping.h"
#include "unwind_table.h"
#include "util.h"

#define MAX_DEPTH 512

/* The tables of this process. */
static struct module {
	struct mapping map;
	struct elf_file *elf;
	struct unwind_table table;
	uint64_t bias;
	bool has_table;
} modules[64];
static size_t nr_modules;

static int load_modules(void **state)
{
	struct mapping *maps;
	size_t n;

	(void)state;
	assert_int_equal(mappings_read(getpid(), &maps, &n), 0);
	for (size_t i = 0; i < n; i++) {
		struct module *m = &modules[nr_modules];
		uint64_t vaddr;

		if (!maps[i].inode || nr_modules == ARRAY_SIZE(modules))
			continue;
		m->map = maps[i];
		m->elf = elf_open_fd(mapping_open(getpid(), &maps[i]));
		assert_non_null(m->elf);
		assert_int_equal(elf_offset_to_vaddr(m->elf, maps[i].offset, &vaddr), 0);
		m->bias = maps[i].start - vaddr;
		m->has_table = !unwind_table_init(&m->table, m->elf);
		nr_modules++;
	}
	mappings_free(maps, n);
	return 0;
}

static int unload_modules(void **state)
{
	(void)state;
	for (size_t i = 0; i < nr_modules; i++) {
		if (modules[i].has_table)
			unwind_table_release(&modules[i].table);
		elf_close(modules[i].elf);
	}
	return 0;
}

static struct module *find_module(uint64_t addr)
{
	for (size_t i = 0; i < nr_modules; i++)
		if (addr >= modules[i].map.start && addr < modules[i].map.end)
			return &modules[i];
	return NULL;
}

__attribute__((no_sanitize("address"))) static int read_self(void *cookie, __u64 addr, __u64 *ret)
{
	(void)cookie;
	*ret = *(volatile __u64 *)addr;
	return 0;
}

/* Walk from s; pcs as _Unwind_Backtrace gives them. Returns how the walk ended. */
static int walk(struct unwind_state *s, void **pcs, size_t *n)
{
	struct module *leaf = find_module(unwind_lookup_pc(s));
	int end = UNWIND_MORE;

	for (*n = 0; *n < MAX_DEPTH && !end; ++*n) {
		struct module *m = find_module(unwind_lookup_pc(s));
		const struct unwind_row *row;

		pcs[*n] = (void *)s->pc;
		if (!m || !m->has_table)
			return UNWIND_NO_MAPPING;
		if (!s->is_return)
			leaf = m;
		else if (m != leaf)
			unwind_leave_object(s);
		row = unwind_table_row(&m->table, unwind_lookup_pc(s) - m->bias);
		if (!row)
			return UNWIND_HOLE;
		end = unwind_step(s, row, unwind_table_rule(&m->table, row), read_self, NULL);
	}
	return end;
}

static void from_context(struct unwind_state *s, const ucontext_t *uc)
{
	static const struct {
		int dwarf, greg;
	} map[] = {
		{ UNWIND_RAX, REG_RAX }, { UNWIND_RDX, REG_RDX }, { UNWIND_RCX, REG_RCX },
		{ UNWIND_RBX, REG_RBX }, { UNWIND_RSI, REG_RSI }, { UNWIND_RDI, REG_RDI },
		{ UNWIND_RBP, REG_RBP }, { UNWIND_RSP, REG_RSP }, { UNWIND_R8, REG_R8 },
		{ UNWIND_R9, REG_R9 },	 { UNWIND_R10, REG_R10 }, { UNWIND_R11, REG_R11 },
		{ UNWIND_R12, REG_R12 }, { UNWIND_R13, REG_R13 }, { UNWIND_R14, REG_R14 },
		{ UNWIND_R15, REG_R15 },
	};

	*s = (struct unwind_state){ .pc = uc->uc_mcontext.gregs[REG_RIP],
				    .known = UNWIND_KNOW_ALL };
	for (size_t i = 0; i < ARRAY_SIZE(map); i++)
		s->regs[map[i].dwarf] = uc->uc_mcontext.gregs[map[i].greg];
}

/* libgcc's walk. The sanitizers put a frame of theirs into backtrace(3), but not into this. */
struct their_walk {
	void *pcs[MAX_DEPTH];
	size_t n;
};

static _Unwind_Reason_Code their_frame(struct _Unwind_Context *context, void *arg)
{
	struct their_walk *w = arg;

	/* It ends with an address of 0, the caller that the outermost frame does not have. */
	if (w->n < MAX_DEPTH && _Unwind_GetIP(context))
		w->pcs[w->n++] = (void *)_Unwind_GetIP(context);
	return _URC_NO_REASON;
}

static size_t deepest;

/*
 * Compare from here. The first address differs (each walk starts at a call of its own); all that
 * follow must not.
 */
__attribute__((noinline)) static void compare_here(void)
{
	struct their_walk theirs = { .n = 0 };
	void *ours[MAX_DEPTH];
	struct unwind_state s;
	ucontext_t uc;
	size_t n;
	int end;

	getcontext(&uc);
	from_context(&s, &uc);
	_Unwind_Backtrace(their_frame, &theirs);
	end = walk(&s, ours, &n);
	assert_int_equal(end, UNWIND_COMPLETE);
	assert_int_equal(n, theirs.n);
	for (size_t i = 1; i < n; i++)
		assert_ptr_equal(ours[i], theirs.pcs[i]);
	deepest = MAX(deepest, n);
}

__attribute__((noinline)) static int recurse(int n)
{
	int r;

	if (!n) {
		compare_here();
		return 1;
	}
	r = recurse(n - 1);
	__asm__ volatile("" : "+r"(r)); /* not a tail call */
	return r + 1;
}

static void test_recursion(void **state)
{
	(void)state;
	deepest = 0;
	assert_int_equal(recurse(101), 102);
	assert_true(deepest > 101);
}

static int compare_ints(const void *a, const void *b)
{
	compare_here();
	return *(const int *)a - *(const int *)b;
}

static void test_qsort_callback(void **state)
{
	int numbers[] = { 5, 3, 2, 7 };

	(void)state;
	qsort(numbers, ARRAY_SIZE(numbers), sizeof(*numbers), compare_ints);
	assert_int_equal(numbers[0], 2);
}

__attribute__((noinline)) static void with_alloca(size_t size)
{
	volatile char *p = alloca(size);

	p[0] = p[size - 1] = 1;
	compare_here();
	p[0] = 0;
}

static void test_alloca(void **state)
{
	(void)state;
	with_alloca(100);
	with_alloca(70001);
	with_alloca(1 << 20);
}

__attribute__((noinline)) static void big_frame(void)
{
	volatile char buf[262200];

	buf[0] = buf[sizeof(buf) - 1] = 1;
	compare_here();
	buf[1] = 0;
}

static void test_big_frame(void **state)
{
	(void)state;
	big_frame();
}

/* Over-aligned locals with alloca: the stack is realigned and RBP found by expression. */
__attribute__((noinline)) static void realigned(size_t size)
{
	volatile char aligned[64] __attribute__((aligned(128)));
	volatile char *p = alloca(size);

	aligned[0] = p[0] = 1;
	compare_here();
	p[size - 1] = aligned[0];
}

static void test_realigned(void **state)
{
	(void)state;
	realigned(1000);
}

static volatile sig_atomic_t handled;

static void on_signal(int sig)
{
	(void)sig;
	compare_here();
	handled++;
}

static void test_signal_handler(void **state)
{
	struct sigaction sa = { .sa_handler = on_signal };
	stack_t alt = { .ss_sp = malloc(1 << 18), .ss_size = 1 << 18 };

	(void)state;
	handled = 0;
	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	assert_int_equal(sigaltstack(&alt, NULL), 0);
	sa.sa_flags = SA_ONSTACK;
	sigaction(SIGUSR1, &sa, NULL);
	/* The frames below the handler are above it in memory or below: both must do. */
	raise(SIGUSR1);
	alt.ss_flags = SS_DISABLE;
	sigaltstack(&alt, NULL);
	free(alt.ss_sp);
	assert_int_equal(handled, 2);
}

static void *thread(void *arg)
{
	recurse(7);
	return arg;
}

static void test_thread(void **state)
{
	pthread_t t;

	(void)state;
	assert_int_equal(pthread_create(&t, NULL, thread, NULL), 0);
	pthread_join(t, NULL);
}

/*
 * Every instruction of a stretch of library code: single-stepped by the trap flag; at each, the
 * walk must reach the same callers.
 */
static volatile size_t steps;
static void *base[MAX_DEPTH];
static size_t nr_base;
static volatile bool step_failed;

__attribute__((no_sanitize("address", "undefined"))) static void on_trap(int sig, siginfo_t *info,
									 void *context)
{
	struct unwind_state s;
	void *pcs[MAX_DEPTH];
	size_t n;
	int end;

	(void)sig;
	(void)info;
	from_context(&s, context);
	end = walk(&s, pcs, &n);
	/* All outer frames, main's and those before, are the same at each step. */
	if (end != UNWIND_COMPLETE || n < nr_base ||
	    memcmp(pcs + n - nr_base, base, nr_base * sizeof(*base)))
		step_failed = true;
	steps++;
}

static int by_value(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

__attribute__((noinline, no_sanitize("address", "undefined"))) static void stepped_code(void)
{
	char buf[256];
	int numbers[] = { 9, 4, 1, 3, 8, 2 };

	__asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq" ::: "cc", "memory");
	snprintf(buf, sizeof(buf), "%s %d %f %p", "text", 42, 3.25, (void *)numbers);
	qsort(numbers, 6, sizeof(int), by_value);
	free(strdup(buf));
	__asm__ volatile("pushfq; andq $~0x100, (%%rsp); popfq" ::: "cc", "memory");
}

static void test_every_instruction(void **state)
{
	struct sigaction sa = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO }, old;
	struct unwind_state s;
	ucontext_t uc;
	void *pcs[MAX_DEPTH];
	size_t n;

	(void)state;
	getcontext(&uc);
	from_context(&s, &uc);
	assert_int_equal(walk(&s, pcs, &n), UNWIND_COMPLETE);
	/* This function's own address differs from step to step: its callers do not. */
	nr_base = n - 1;
	memcpy(base, pcs + 1, nr_base * sizeof(*base));
	sigaction(SIGTRAP, &sa, &old);
	steps = 0;
	step_failed = false;
	stepped_code();
	sigaction(SIGTRAP, &old, NULL);
	assert_true(steps > 1000);
	assert_false(step_failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recursion), cmocka_unit_test(test_qsort_callback),
		cmocka_unit_test(test_alloca),	  cmocka_unit_test(test_big_frame),
		cmocka_unit_test(test_realigned), cmocka_unit_test(test_signal_handler),
		cmocka_unit_test(test_thread),	  cmocka_unit_test(test_every_instruction),
	};

	return cmocka_run_group_tests(tests, load_modules, unload_modules);
}
