/* SPDX-License-Identifier: MIT */
/*
 * Requests of known kinds, told by USDT probes of its own, provider `work`:
 *
 *	begin(id, name, number)  end(id, status)  run(id)  pause(id)
 *
 * It measures itself, between its own probes, and says at the end what it found: "sum KEY VALUE" and
 * "latency ID NS". Arguments: SECONDS KIND N; SIGUSR1 begins unless SECONDS is 0 (then it begins at
 * once, and exits when it is done).
 *
 *   waits N       each sleeps, spins, waits for a lock, a pipe and a socket, 20 ms each
 *   latencies N   each spins, between 0.2 and 20 ms
 *   interleave N  200 at a time in one thread, each in 5 pieces of 0.2 ms
 *   move N        each passes through three threads, 2 ms of CPU in each
 *   allocs N      each allocates 4 times, 1421 bytes in all, and as much outside of a request
 *   ids N         ids that begin again, that never end, that end only
 */
#include "workload.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <semaphore.h>
#include <stdint.h>
#include <sys/sdt.h>
#include <sys/socket.h>
#include <time.h>

#define MS 1000000ULL

static uint64_t clock_of(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static uint64_t now(void)
{
	return clock_of(CLOCK_MONOTONIC);
}

static uint64_t cpu(void)
{
	return clock_of(CLOCK_THREAD_CPUTIME_ID);
}

/* Returns the thread's CPU time that it took. */
FRAME static uint64_t spin(uint64_t ns)
{
	uint64_t begin = cpu(), used;

	do {
		for (int i = 0; i < 200; i++)
			sink++;
		used = cpu() - begin;
	} while (used < ns);
	return used;
}

FRAME static void sleep_ns(uint64_t ns)
{
	struct timespec t = { ns / 1000000000ULL, ns % 1000000000ULL };

	while (nanosleep(&t, &t) && errno == EINTR)
		;
	STAY();
}

/* Probes in functions of their own: one site each, arguments in registers. */
FRAME void work_begin(uint64_t id, const char *name, int number)
{
	DTRACE_PROBE3(work, begin, id, name, number);
}

FRAME void work_end(uint64_t id, int status)
{
	DTRACE_PROBE2(work, end, id, status);
}

FRAME void work_run(uint64_t id)
{
	DTRACE_PROBE1(work, run, id);
}

FRAME void work_pause(uint64_t id)
{
	DTRACE_PROBE1(work, pause, id);
}

static void say(const char *key, uint64_t value)
{
	printf("sum %s %llu\n", key, (unsigned long long)value);
}

/* ---- waits ---- */

#define WAIT_NS (20 * MS)

/* Holds the lock, or a byte back, for as long as the request is to wait. */
static struct {
	sem_t ask, held;
	pthread_mutex_t lock;
	int pipe[2], sockets[2];
	int what; /* 0 lock, 1 pipe, 2 socket */
	int stat; /* of the request's thread: /proc/PID/stat */
} helper = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* The request's thread may be kept from its CPU before it waits. */
static void let_it_wait(void)
{
	char text[256], *name_end;
	ssize_t n;

	sem_post(&helper.held);
	do {
		usleep(100);
		n = pread(helper.stat, text, sizeof(text) - 1, 0);
		if (n <= 0)
			_exit(1);
		text[n] = '\0';
		name_end = strrchr(text, ')');
	} while (!name_end || name_end[2] != 'S');
	sleep_ns(WAIT_NS);
}

static void *help(void *arg)
{
	(void)arg;
	for (;;) {
		while (sem_wait(&helper.ask))
			;
		if (helper.what == 0) {
			pthread_mutex_lock(&helper.lock);
			let_it_wait();
			pthread_mutex_unlock(&helper.lock);
			continue;
		}
		let_it_wait();
		if (write(helper.what == 1 ? helper.pipe[1] : helper.sockets[1], "x", 1) != 1)
			_exit(1);
	}
	return NULL;
}

static void ask(int what)
{
	helper.what = what;
	sem_post(&helper.ask);
	while (sem_wait(&helper.held))
		;
}

FRAME static void wait_lock(void)
{
	pthread_mutex_lock(&helper.lock);
	STAY();
	pthread_mutex_unlock(&helper.lock);
}

FRAME static void wait_pipe(void)
{
	char c;

	if (read(helper.pipe[0], &c, 1) != 1)
		_exit(1);
	STAY();
}

FRAME static void wait_socket(void)
{
	char c;

	if (recv(helper.sockets[0], &c, 1, 0) != 1)
		_exit(1);
	STAY();
}

FRAME static void waits(unsigned long n)
{
	uint64_t sleeping = 0, used = 0, locks = 0, pipes = 0, sockets = 0, latency = 0;
	uint64_t t, began, began_cpu;
	pthread_t thread;

	helper.stat = open("/proc/thread-self/stat", O_RDONLY | O_CLOEXEC);
	if (helper.stat < 0)
		_exit(1);
	sem_init(&helper.ask, 0, 0);
	sem_init(&helper.held, 0, 0);
	if (pipe(helper.pipe) || socketpair(AF_UNIX, SOCK_STREAM, 0, helper.sockets) ||
	    pthread_create(&thread, NULL, help, NULL))
		_exit(1);
	for (unsigned long i = 1; i <= n; i++) {
		static void (*const wait[])(void) = { wait_lock, wait_pipe, wait_socket };
		uint64_t *sums[] = { &locks, &pipes, &sockets };

		work_begin(i, i % 3 ? "plain" : "third", 3);
		began = t = now();
		began_cpu = cpu();
		sleep_ns(WAIT_NS);
		sleeping += now() - t;
		spin(WAIT_NS);
		for (int k = 0; k < 3; k++) {
			t = now();
			ask(k);
			locks += now() - t;
			t = now();
			wait[k]();
			*sums[k] += now() - t;
		}
		used += cpu() - began_cpu;
		latency += now() - began;
		work_end(i, i % 3 ? 200 : 500);
	}
	say("sleep", sleeping);
	say("cpu", used);
	say("latency", latency);
	say("lock", locks);
	say("pipe", pipes);
	say("socket", sockets);
}

/* ---- latencies ---- */

static unsigned int next_random(void)
{
	static unsigned int state = 2463534242u;

	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

FRAME static void latencies(unsigned long n)
{
	uint64_t *took = calloc(n + 1, sizeof(*took));

	if (!took)
		_exit(1);
	for (unsigned long i = 1; i <= n; i++) {
		/* 0.2 ms times 1 to 100, in steps as fine as those of the histogram */
		uint64_t ns = 200000, t;

		for (unsigned int k = next_random() % 460; k; k--)
			ns += ns / 99;
		work_begin(i, "latency", 0);
		t = now();
		spin(ns);
		took[i] = now() - t;
		work_end(i, 200);
	}
	for (unsigned long i = 1; i <= n; i++)
		printf("latency %lu %llu\n", i, (unsigned long long)took[i]);
	free(took);
}

/* ---- interleave ---- */

#define AT_ONCE	 200
#define PIECES	 5
#define PIECE_NS (MS / 5)

FRAME static void interleave(unsigned long n)
{
	static uint64_t began[AT_ONCE], used[AT_ONCE];
	uint64_t id = 0, latency = 0, all = 0;

	while (id < n) {
		for (int i = 0; i < AT_ONCE; i++) {
			work_begin(id + i, "interleaved", 0);
			began[i] = now();
			used[i] = spin(PIECE_NS);
			work_pause(id + i);
		}
		for (int piece = 1; piece < PIECES; piece++) {
			for (int i = 0; i < AT_ONCE; i++) {
				work_run(id + i);
				used[i] += spin(PIECE_NS);
				if (piece == PIECES - 1)
					latency += now() - began[i];
				if (piece == PIECES - 1)
					work_end(id + i, 200);
				else
					work_pause(id + i);
			}
		}
		for (int i = 0; i < AT_ONCE; i++)
			all += used[i];
		id += AT_ONCE;
	}
	say("requests", id);
	say("cpu", all);
	say("latency", latency);
}

/* ---- move ---- */

static struct station {
	sem_t full, empty;
	uint64_t id, cpu;
} stations[3];

/* The third one ends the request; ids from 1, 0 ends the thread. */
static void *stand(void *arg)
{
	struct station *s = arg;
	uint64_t id;

	do {
		while (sem_wait(&s->full))
			;
		id = s->id;
		if (id) {
			if (s != stations)
				work_run(id);
			else
				work_begin(id, "moved", 0);
			s->cpu += spin(2 * MS);
			if (s == &stations[2])
				work_end(id, 200);
			else
				work_pause(id);
		}
		if (s != &stations[2]) {
			while (sem_wait(&s[1].empty))
				;
			s[1].id = id;
			sem_post(&s[1].full);
		}
		sem_post(&s->empty);
	} while (id);
	return NULL;
}

FRAME static void move(unsigned long n)
{
	pthread_t threads[3];
	uint64_t all = 0;

	for (int i = 0; i < 3; i++) {
		sem_init(&stations[i].full, 0, 0);
		sem_init(&stations[i].empty, 0, 1);
		if (pthread_create(&threads[i], NULL, stand, &stations[i]))
			_exit(1);
	}
	for (unsigned long i = 1; i <= n + 1; i++) {
		while (sem_wait(&stations[0].empty))
			;
		stations[0].id = i <= n ? i : 0;
		sem_post(&stations[0].full);
	}
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		all += stations[i].cpu;
	}
	say("cpu", all);
}

/* ---- allocs ---- */

/* Four allocations, of 100, 300, 21 and 1000 bytes. */
FRAME void allocates(void)
{
	void *volatile p = malloc(100);
	void *q = realloc(p, 300);

	free(q);
	p = calloc(3, 7);
	free(p);
	if (posix_memalign(&q, 64, 1000))
		_exit(1);
	p = q;
	free(p);
	STAY();
}

FRAME static void allocs(unsigned long n)
{
	for (unsigned long i = 1; i <= n; i++) {
		work_begin(i, "allocates", 0);
		allocates();
		work_pause(i);
		allocates();
		work_run(i);
		work_end(i, 200);
	}
}

/* ---- ids ---- */

FRAME static void ids(unsigned long n)
{
	for (unsigned long i = 0; i < n; i++) {
		work_begin(7, "begun again", 0); /* never ended but by the next one's beginning */
		work_pause(7);
		work_begin(1000 + i, "ended", 0);
		work_end(1000 + i, 200);
		work_end(500000 + i, 200); /* nobody began it */
	}
	work_begin(8, "never ends", 0);
	work_pause(8);
	work_end(7, 200);
}

/* ---- the beginning ---- */

static volatile int go;

static void on_go(int sig)
{
	(void)sig;
	go = 1;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(unsigned long n);
	} kinds[] = { { "waits", waits },
		      { "latencies", latencies },
		      { "interleave", interleave },
		      { "move", move },
		      { "ids", ids },
		      { "allocs", allocs } };
	bool at_once = argc > 1 && !strcmp(argv[1], "0");

	if (argc != 4)
		return 2;
	signal(SIGUSR1, on_go);
	workload_start(argc, argv);
	workload_ready();
	while (!at_once && !go)
		usleep(1000);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strcmp(argv[2], kinds[i].name))
			kinds[i].run(strtoul(argv[3], NULL, 10));
	puts("done");
	fflush(stdout);
	while (!at_once)
		pause();
	return 0;
}
