/* SPDX-License-Identifier: MIT */
/*
 * Allocates so many blocks of such sizes in such functions and threads, and tells how many it really
 * did: after a round, a line for each thread, function and size
 *
 *	expect THREAD FUNCTION SIZE ALLOCATIONS FREES
 *
 * and "done". Numbers are prime or a prime and the thread's number, so that none can be mistaken for
 * another or for a share of it.
 *
 *	heap_known SECONDS THREADS ROUNDS	so many rounds, then exit
 *	heap_known SECONDS THREADS 0		a word a line on stdin: round, mallinfo, exit
 *
 * mallinfo answers "uordblks N spare M": mallinfo2's, and how many of these bytes are in kept blocks
 * beyond what their size needs: glibc gives a block 16 bytes more rather than leave a rest too small
 * for a chunk. Nothing else is allocated between rounds.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>

#include "workload.h"

#define MAX_THREADS 16
#define HANDED	    503

#define MAX_ROWS    24

struct row {
	const char *function;
	size_t size;
	long allocs, frees;
};

struct kept {
	struct kept *next;
	char rest[56];
};

struct worker {
	pthread_t thread;
	int number;
	struct row rows[MAX_ROWS];
	struct kept *kept;
	void *handed[HANDED + MAX_THREADS];
};

static struct worker workers[MAX_THREADS];
static int nr_workers, rounds;
static pthread_barrier_t start, middle, end;
static __thread void *volatile block; /* so that no call is optimised away */
static volatile size_t too_much = SIZE_MAX / 2;

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

/* The row of the thread's table, made at its first use. */
static struct row *row(struct worker *w, const char *function, size_t size)
{
	for (int i = 0; i < MAX_ROWS; i++) {
		struct row *r = &w->rows[i];

		if (!r->function)
			*r = (struct row){ function, size, 0, 0 };
		if (!strcmp(r->function, function) && r->size == size)
			return r;
	}
	_exit(1);
}

#define ROW(size) row(w, __func__, size)

static void took(struct row *r, void *p)
{
	block = p;
	if (p)
		r->allocs++;
}

static void gave(struct row *r, void *p)
{
	free(p);
	r->frees++;
}

FRAME void alloc_free(struct worker *w)
{
	struct row *r = ROW(100);

	for (int i = 0; i < 10007 + w->number; i++) {
		took(r, malloc(100));
		gave(r, block);
	}
}

FRAME void alloc_keep(struct worker *w)
{
	struct row *r = ROW(64);

	for (int i = 0; i < 211 + w->number; i++) {
		struct kept *k = malloc(64);

		took(r, k);
		k->next = w->kept;
		w->kept = k;
	}
}

FRAME void zeroed(struct worker *w)
{
	struct row *r = ROW(91);

	for (int i = 0; i < 1009 + w->number; i++) {
		took(r, calloc(7, 13));
		gave(r, block);
	}
}

FRAME void grown(struct worker *w)
{
	static const size_t sizes[] = { 24, 72, 5000, 200000 };

	for (int i = 0; i < 101 + w->number; i++) {
		void *p = NULL;

		for (int j = 0; j < 4; j++) {
			p = realloc(p, sizes[j]);
			took(ROW(sizes[j]), p);
			if (j)
				ROW(sizes[j - 1])->frees++;
		}
		gave(ROW(sizes[3]), p);
	}
}

FRAME void aligned(struct worker *w)
{
	for (int i = 0; i < 97 + w->number; i++) {
		void *p = NULL;

		if (posix_memalign(&p, 64, 200))
			_exit(1);
		took(ROW(200), p);
		gave(ROW(200), p);
		took(ROW(512), aligned_alloc(256, 512));
		gave(ROW(512), block);
		took(ROW(77), memalign(32, 77));
		gave(ROW(77), block);
		/* With glibc this is a call of malloc inside. */
		took(ROW(45), memalign(8, 45));
		gave(ROW(45), block);
		took(ROW(33), valloc(33));
		gave(ROW(33), block);
	}
}

FRAME void failing(struct worker *w)
{
	struct row *r = ROW(48);

	for (int i = 0; i < 13 + w->number; i++) {
		void *p, *same = malloc(48);

		took(r, same);
		p = malloc(too_much);
		if (p || calloc(too_much, 16))
			_exit(1);
		p = realloc(same, too_much);
		if (p)
			_exit(1);
		gave(r, same);
	}
}

FRAME void copied(struct worker *w)
{
	static const char text[] = "of thirty-six bytes with the last 0";
	struct row *r = ROW(sizeof(text));

	for (int i = 0; i < 53 + w->number; i++) {
		took(r, strdup(text));
		gave(r, block);
	}
}

FRAME void sized_zero(struct worker *w)
{
	for (int i = 0; i < 17 + w->number; i++) {
		void *p = malloc(0);

		took(ROW(0), p);
		gave(ROW(0), p);
		p = malloc(40);
		took(ROW(40), p);
		/* With glibc this is a free; others give a block of no size. */
		p = realloc(p, 0);
		ROW(40)->frees++;
		if (p) {
			took(ROW(0), p);
			gave(ROW(0), p);
		}
	}
}

FRAME void nothing(void)
{
	block = NULL;
	for (int i = 0; i < 1000; i++)
		free(block);
}

FRAME void handed(struct worker *w)
{
	struct row *r = ROW(80);

	for (int i = 0; i < HANDED + w->number; i++) {
		w->handed[i] = malloc(80);
		took(r, w->handed[i]);
	}
}

/* The blocks of the next thread. */
FRAME void taken_over(struct worker *w)
{
	struct worker *from = &workers[(w->number + 1) % nr_workers];
	struct row *r = row(from, "handed", 80);

	for (int i = 0; i < HANDED + from->number; i++)
		gave(r, from->handed[i]);
}

FRAME void work(struct worker *w)
{
	alloc_free(w);
	alloc_keep(w);
	zeroed(w);
	grown(w);
	aligned(w);
	failing(w);
	copied(w);
	sized_zero(w);
	nothing();
	handed(w);
	pthread_barrier_wait(&middle);
	taken_over(w);
	STAY();
}

static void *worker(void *arg)
{
	struct worker *w = arg;
	char name[16];

	snprintf(name, sizeof(name), "worker%d", w->number);
	pthread_setname_np(pthread_self(), name);
	for (int i = 0; !rounds || i < rounds; i++) {
		pthread_barrier_wait(&start);
		work(w);
		pthread_barrier_wait(&end);
	}
	return NULL;
}

static void round_all(void)
{
	for (int i = 0; i < nr_workers; i++)
		memset(workers[i].rows, 0, sizeof(workers[i].rows));
	pthread_barrier_wait(&start);
	pthread_barrier_wait(&end);
	for (int i = 0; i < nr_workers; i++)
		for (struct row *r = workers[i].rows; r->function; r++)
			say("expect worker%d %s %zu %ld %ld\n", i, r->function, r->size, r->allocs,
			    r->frees);
	say("done\n");
}

/* In the blocks of alloc_keep, the only ones of ours that outlive a round. */
static size_t spare(void)
{
	size_t sum = 0;

	for (int i = 0; i < nr_workers; i++)
		for (struct kept *k = workers[i].kept; k; k = k->next)
			sum += malloc_usable_size(k) - 72; /* a chunk of 80, 8 of them its header */
	return sum;
}

static void obey(void)
{
	char word[32];
	ssize_t n;

	while ((n = read(STDIN_FILENO, word, sizeof(word) - 1)) > 0) {
		word[n] = '\0';
		if (!strcmp(word, "round\n"))
			round_all();
		else if (!strcmp(word, "mallinfo\n"))
			say("uordblks %zu spare %zu\n", mallinfo2().uordblks, spare());
		else if (!strcmp(word, "exit\n"))
			return;
	}
	pause();
}

int main(int argc, char **argv)
{
	workload_start(argc, argv);
	nr_workers = argc > 2 ? atoi(argv[2]) : 1;
	rounds = argc > 3 ? atoi(argv[3]) : 0;
	if (nr_workers < 1 || nr_workers > MAX_THREADS)
		return 2;
	pthread_barrier_init(&start, NULL, nr_workers + 1);
	pthread_barrier_init(&middle, NULL, nr_workers);
	pthread_barrier_init(&end, NULL, nr_workers + 1);
	for (int i = 0; i < nr_workers; i++) {
		workers[i].number = i;
		if (pthread_create(&workers[i].thread, NULL, worker, &workers[i]))
			return 1;
	}
	workload_ready();
	for (int i = 0; i < rounds; i++)
		round_all();
	if (!rounds)
		obey();
	for (int i = 0; rounds && i < nr_workers; i++)
		pthread_join(workers[i].thread, NULL);
	return 0;
}
