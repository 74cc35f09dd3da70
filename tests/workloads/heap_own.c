/* SPDX-License-Identifier: MIT */
/* build: -fno-builtin */
/*
 * A program with an allocator of its own, which does what others do and hardly ever show: functions
 * that call and jump to each other, a malloc that is left by longjmp, memory that goes back by a way
 * that nobody knows. After "ready" come the "expect" lines of heap_known.c and
 *
 *	counts missed N unseen N nested N
 *
 *	heap_own SECONDS [ROUNDS]	at once; or, with no ROUNDS, when a line comes on stdin
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include "workload.h"

#define LEAVES	  13 /* malloc of this size is left */
#define MAX_DEPTH 100
#define JUMPS	  103
#define UNSEEN	  107
#define MOVED	  109
#define ZEROED	  113
#define ALIGNED	  127
#define DEEP	  131
#define KEPT	  137

struct free_block {
	struct free_block *next;
};

/* Blocks of 16 << i bytes and a header of 16. */
static char arena[64 << 20] __attribute__((aligned(16)));
static size_t arena_used;
static struct free_block *free_blocks[24];
static jmp_buf out;

static int class_of(size_t size)
{
	int class = 0;

	while ((size_t)16 << class < size)
		class ++;
	return class;
}

FRAME void *malloc(size_t size)
{
	int class = class_of(size);
	struct free_block *b = free_blocks[class];
	size_t *header;

	if (size == LEAVES)
		longjmp(out, 1);
	if (b) {
		free_blocks[class] = b->next;
		return b;
	}
	header = (size_t *)(arena + arena_used);
	arena_used += 16 + ((size_t)16 << class);
	if (arena_used > sizeof(arena))
		_exit(1);
	*header = class;
	return header + 2;
}

FRAME void put_back(void *p)
{
	size_t class = ((size_t *)p)[-2];
	struct free_block *b = p;

	b->next = free_blocks[class];
	free_blocks[class] = b;
}

FRAME void free(void *p)
{
	if (p)
		put_back(p);
	STAY();
}

FRAME void *calloc(size_t n, size_t size)
{
	char *p = malloc(n * size);

	for (size_t i = 0; i < n * size; i++)
		p[i] = 0;
	return p;
}

FRAME void *realloc(void *old, size_t size)
{
	char *p;

	if (!old)
		return malloc(size); /* a jump */
	p = malloc(size);
	for (size_t i = 0; i < 16 && i < size; i++)
		p[i] = ((char *)old)[i];
	free(old);
	STAY();
	return p;
}

/* Calls itself, and then one of the others. */
FRAME void *memalign(size_t depth, size_t size)
{
	void *p = depth ? memalign(depth - 1, size) : malloc(size);

	STAY();
	return p;
}

/* A jump. */
FRAME void *aligned_alloc(size_t alignment, size_t size)
{
	(void)alignment;
	return malloc(size);
}

FRAME int posix_memalign(void **ret, size_t alignment, size_t size)
{
	(void)alignment;
	*ret = malloc(size);
	return *ret ? 0 : ENOMEM;
}

/* ---------------------------------------------------------------- what it does ---- */

static void *volatile block;
static long missed, unseen, nested;

static void say(const char *format, ...)
{
	char line[256];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	if (write(STDOUT_FILENO, line, n) != n)
		_exit(1);
}

static void expect(const char *function, size_t size, long allocs, long frees)
{
	say("expect heap_own %s %zu %ld %ld\n", function, size, allocs, frees);
}

/* Out of malloc by longjmp, each followed by calls at the same place in the stack and deeper. */
FRAME void jumps_out(void)
{
	for (volatile int i = 0; i < JUMPS; i++) {
		if (!setjmp(out)) {
			block = malloc(LEAVES);
			_exit(1);
		}
		missed++;
		block = malloc(200);
		free(block);
	}
	expect(__func__, 200, JUMPS, JUMPS);
}

FRAME void goes_back_unseen(void)
{
	for (int i = 0; i < UNSEEN; i++) {
		block = malloc(400);
		put_back(block);
		unseen++;
	}
	/* Each address is the same, and is given out once more; then it is freed as it ought to be. */
	block = malloc(400);
	free(block);
	expect(__func__, 400, UNSEEN + 1, UNSEEN + 1);
}

FRAME void moves(void)
{
	for (int i = 0; i < MOVED; i++) {
		block = realloc(NULL, 30);
		block = realloc(block, 800);
		nested += 2; /* the jump; malloc in the second */
		free(block);
	}
	expect(__func__, 30, MOVED, MOVED);
	expect(__func__, 800, MOVED, MOVED);
}

FRAME void zeroes(void)
{
	for (int i = 0; i < ZEROED; i++) {
		block = calloc(3, 700);
		nested++;
		free(block);
	}
	expect(__func__, 2100, ZEROED, ZEROED);
}

FRAME void aligns(void)
{
	void *p;

	for (int i = 0; i < ALIGNED; i++) {
		block = aligned_alloc(16, 1600);
		free(block);
		if (posix_memalign(&p, 16, 1500))
			_exit(1);
		free(p);
		nested += 2;
	}
	expect(__func__, 1600, ALIGNED, ALIGNED);
	expect(__func__, 1500, ALIGNED, ALIGNED);
}

/* More calls inside each other than the kernel remembers. */
FRAME void goes_deep(void)
{
	for (int i = 0; i < DEEP; i++) {
		block = memalign(MAX_DEPTH, 3000);
		free(block);
		nested += MAX_DEPTH + 1;
	}
	expect(__func__, 3000, DEEP, DEEP);
}

FRAME void keeps(void)
{
	for (int i = 0; i < KEPT; i++)
		block = malloc(60);
	expect(__func__, 60, KEPT, 0);
}

static void round_all(void)
{
	missed = unseen = nested = 0;
	jumps_out();
	goes_back_unseen();
	moves();
	zeroes();
	aligns();
	goes_deep();
	keeps();
	say("counts missed %ld unseen %ld nested %ld\ndone\n", missed, unseen, nested);
}

int main(int argc, char **argv)
{
	int rounds = argc > 2 ? atoi(argv[2]) : 0;
	char line[64];

	workload_start(argc, argv);
	workload_ready();
	for (int i = 0; i < rounds; i++)
		round_all();
	while (!rounds && read(STDIN_FILENO, line, sizeof(line)) > 0)
		round_all();
	return 0;
}
