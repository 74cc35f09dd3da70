/* SPDX-License-Identifier: MIT */
/*
 * Threads that wait in known ways, each in a function of its own, and say how long and how often: by
 * the clock less their CPU time, and by the kernel's count of their switches.
 *
 * Run with the names of kinds, it waits for the seconds of its first argument, in which who watches
 * it can get to know it, lets each kind wait so many times, prints a line
 *
 *	did KIND TID ROUNDS NS VOLUNTARY INVOLUNTARY
 *
 * for each, and ends. `asleep`, `crowd` and `handoff` stay.
 *
 * case asleep: asleep
 * stack: %thread;run_asleep;asleep_outer;asleep_timer(;.*){1,6}
 * stack: %thread;run_asleep;asleep_outer;asleep_pipe(;.*){1,6}
 * stack: %thread;run_asleep;asleep_outer;asleep_mutex(;.*){1,6}
 * stack: %thread;run_asleep;asleep_outer;asleep_epoll(;.*){1,6}
 * stack: %main;.*(;.*){0,6}
 *
 * case handoff: handoff
 * stack: %thread;run_handoff;handoff_deeper{9};handoff(;.*){1,4}
 * stack: %main;.*(;.*){0,6}
 *
 * case crowd: crowd
 * stack: %thread;run_member;crowd_member(;.*){1,6}
 * stack: %main;.*(;.*){0,6}
 */
#include "workload.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#define ROUND_NS 10000000
#define PAGE	 4096

#define MUST(what)                     \
	do {                           \
		if (!(what)) {         \
			perror(#what); \
			_exit(1);      \
		}                      \
	} while (0)

static uint64_t now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * UINT64_C(1000000000) + ts.tv_nsec;
}

static void pause_ns(long ns)
{
	struct timespec ts = { ns / 1000000000, ns % 1000000000 };

	nanosleep(&ts, NULL);
}

/* A kind: what a round does, and what another thread does meanwhile to end it. */
struct kind {
	const char *name;
	int rounds;
	void (*setup)(void);
	void (*before)(void); /* each round, not measured */
	void (*round)(void);
	void (*partner)(void); /* each round; NULL: no partner */
};

struct worker {
	const struct kind *kind;
	pthread_t thread, partner;
	atomic_int tid, in_round;
	uint64_t ns;
	long voluntary, involuntary;
};

static void until_asleep(int tid)
{
	char path[64], state = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	while (state != 'S') {
		FILE *f = fopen(path, "r");

		MUST(f && fscanf(f, "%*d %*s %c", &state) == 1);
		fclose(f);
		pause_ns(1000000);
	}
}

/* Whom the calling partner works for. */
static __thread struct worker *partner_of;

/* Once the other one waits in its round, which then lasts so long. */
static void let_it_wait(void)
{
	while (!partner_of->in_round)
		pause_ns(100000);
	until_asleep(partner_of->tid);
	pause_ns(ROUND_NS);
}

/* ---------------------------------------------------------------- kinds ---- */

FRAME static void wait_sleep(void)
{
	pause_ns(ROUND_NS);
	STAY();
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static sem_t held, taken;

static void setup_mutex(void)
{
	sem_init(&held, 0, 0);
	sem_init(&taken, 0, 0);
}

static void hold_mutex(void)
{
	pthread_mutex_lock(&mutex);
	sem_post(&held);
	let_it_wait();
	pthread_mutex_unlock(&mutex);
	sem_wait(&taken);
}

static void before_mutex(void)
{
	sem_wait(&held);
}

FRAME static void wait_mutex(void)
{
	pthread_mutex_lock(&mutex);
	pthread_mutex_unlock(&mutex);
	sem_post(&taken);
	STAY();
}

static int pipe_fds[2], socket_fds[2], epoll_fd, file_fd, fault_fd;

static void setup_pipe(void)
{
	MUST(!pipe(pipe_fds));
}

static void write_pipe(void)
{
	let_it_wait();
	MUST(write(pipe_fds[1], "x", 1) == 1);
}

FRAME static void wait_pipe(void)
{
	char c;

	MUST(read(pipe_fds[0], &c, 1) == 1);
	STAY();
}

static void setup_socket(void)
{
	MUST(!socketpair(AF_UNIX, SOCK_STREAM, 0, socket_fds));
}

static void write_socket(void)
{
	let_it_wait();
	MUST(write(socket_fds[1], "x", 1) == 1);
}

/* By read(2), so that only the descriptor tells what it is. */
FRAME static void wait_socket(void)
{
	char c;

	MUST(read(socket_fds[0], &c, 1) == 1);
	STAY();
}

static void setup_epoll(void)
{
	epoll_fd = epoll_create1(0);
	MUST(epoll_fd >= 0);
}

FRAME static void wait_epoll(void)
{
	struct epoll_event e;

	MUST(!epoll_wait(epoll_fd, &e, 1, ROUND_NS / 1000000));
	STAY();
}

static void setup_disk(void)
{
	char path[4096];

	workload_sibling(path, sizeof(path), "waits.XXXXXX");
	file_fd = mkstemp(path);
	MUST(file_fd >= 0 && !unlink(path));
}

FRAME static void wait_disk(void)
{
	static char data[64 * 1024];

	data[0]++;
	MUST(pwrite(file_fd, data, sizeof(data), 0) == sizeof(data));
	MUST(!fsync(file_fd));
	STAY();
}

static char *pages;

static void setup_fault(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	fault_fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	MUST(fault_fd >= 0 && !ioctl(fault_fd, UFFDIO_API, &api));
	pages = mmap(NULL, 256 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	reg.range.start = (uintptr_t)pages;
	reg.range.len = 256 * PAGE;
	MUST(pages != MAP_FAILED && !ioctl(fault_fd, UFFDIO_REGISTER, &reg));
}

static void give_page(void)
{
	static char content[PAGE] __attribute__((aligned(PAGE)));
	struct uffdio_copy copy = { .src = (uintptr_t)content, .len = PAGE };
	struct uffd_msg msg;

	MUST(read(fault_fd, &msg, sizeof(msg)) == sizeof(msg));
	pause_ns(ROUND_NS);
	copy.dst = msg.arg.pagefault.address & ~(uint64_t)(PAGE - 1);
	MUST(!ioctl(fault_fd, UFFDIO_COPY, &copy));
}

FRAME static void wait_fault(void)
{
	static int next;

	sink += *(volatile char *)(pages + PAGE * next++);
	STAY();
}

/* Two of these share a CPU: a round is 10 ms of CPU time. */
FRAME static void wait_cpu(void)
{
	uint64_t end = now(CLOCK_THREAD_CPUTIME_ID) + ROUND_NS;

	while (now(CLOCK_THREAD_CPUTIME_ID) < end)
		sink++;
	STAY();
}

static void pin(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	MUST(!sched_setaffinity(0, sizeof(set), &set));
}

/* The numbers of rounds are primes, so that no two can be taken for each other. */
static const struct kind kinds[] = {
	{ .name = "sleep", .rounds = 53, .round = wait_sleep },
	{ "mutex", 47, setup_mutex, before_mutex, wait_mutex, hold_mutex },
	{ "pipe", 43, setup_pipe, NULL, wait_pipe, write_pipe },
	{ "socket", 41, setup_socket, NULL, wait_socket, write_socket },
	{ "epoll", 37, setup_epoll, NULL, wait_epoll, NULL },
	{ "disk", 31, setup_disk, NULL, wait_disk, NULL },
	{ "fault", 29, setup_fault, NULL, wait_fault, give_page },
	{ "cpu", 61, pin, NULL, wait_cpu, NULL },
	{ 0 },
};

/* ---------------------------------------------------------------- rounds ---- */

static void *run_worker(void *arg)
{
	struct worker *w = arg;
	struct rusage before, after;

	w->tid = (pid_t)syscall(SYS_gettid);
	for (int i = 0; i < w->kind->rounds; i++) {
		uint64_t wall, cpu;

		if (w->kind->before)
			w->kind->before();
		getrusage(RUSAGE_THREAD, &before);
		cpu = now(CLOCK_THREAD_CPUTIME_ID);
		wall = now(CLOCK_MONOTONIC);
		w->in_round = 1;
		w->kind->round();
		w->in_round = 0;
		wall = now(CLOCK_MONOTONIC) - wall;
		cpu = now(CLOCK_THREAD_CPUTIME_ID) - cpu;
		getrusage(RUSAGE_THREAD, &after);
		w->ns += wall > cpu ? wall - cpu : 0;
		w->voluntary += after.ru_nvcsw - before.ru_nvcsw;
		w->involuntary += after.ru_nivcsw - before.ru_nivcsw;
	}
	return NULL;
}

static void *run_partner(void *arg)
{
	partner_of = arg;
	for (int i = 0; i < partner_of->kind->rounds; i++)
		partner_of->kind->partner();
	return NULL;
}

static const struct kind *find_kind(const char *name)
{
	for (const struct kind *k = kinds; k->name; k++)
		if (!strcmp(k->name, name))
			return k;
	fprintf(stderr, "waits: no kind %s\n", name);
	exit(2);
}

static int run_kinds(int n, char **names)
{
	struct worker workers[16] = { 0 };

	MUST(n <= 16);
	for (int i = 0; i < n; i++) {
		workers[i].kind = find_kind(names[i]);
		if (workers[i].kind->setup)
			workers[i].kind->setup();
	}
	for (int i = 0; i < n; i++) {
		struct worker *w = &workers[i];

		MUST(!pthread_create(&w->thread, NULL, run_worker, w));
		if (w->kind->partner)
			MUST(!pthread_create(&w->partner, NULL, run_partner, w));
	}
	for (int i = 0; i < n; i++) {
		const struct worker *w = &workers[i];

		pthread_join(w->thread, NULL);
		if (w->kind->partner)
			pthread_join(w->partner, NULL);
		printf("did %s %d %d %llu %ld %ld\n", w->kind->name, w->tid, w->kind->rounds,
		       (unsigned long long)w->ns, w->voluntary, w->involuntary);
	}
	return 0;
}

/* ---------------------------------------------------------------- sleepers ---- */

FRAME static void asleep_timer(void)
{
	for (;;)
		pause_ns(1000000000000);
}

FRAME static void asleep_pipe(void)
{
	char c;

	MUST(read(pipe_fds[0], &c, 1) == 1);
	STAY();
}

FRAME static void asleep_mutex(void)
{
	pthread_mutex_lock(&mutex);
	STAY();
}

FRAME static void asleep_epoll(void)
{
	struct epoll_event e;

	epoll_wait(epoll_fd, &e, 1, -1);
	STAY();
}

static void (*const asleep[])(void) = { asleep_timer, asleep_pipe, asleep_mutex, asleep_epoll };
#define NR_ASLEEP ((int)(sizeof(asleep) / sizeof(*asleep)))

static atomic_int tids[NR_ASLEEP];

FRAME static void asleep_outer(int i)
{
	tids[i] = (int)syscall(SYS_gettid);
	asleep[i]();
	STAY();
}

static void *run_asleep(void *arg)
{
	asleep_outer((int)(intptr_t)arg);
	return NULL;
}

static int run_sleepers(void)
{
	pthread_t t;

	setup_pipe();
	setup_epoll();
	pthread_mutex_lock(&mutex);
	for (int i = 0; i < NR_ASLEEP; i++) {
		MUST(!pthread_create(&t, NULL, run_asleep, (void *)(intptr_t)i));
		while (!tids[i])
			sched_yield();
		until_asleep(tids[i]);
	}
	workload_ready();
	for (;;)
		pause();
}

/* ---------------------------------------------------------------- switches ---- */

static int handoff_fds[2][2];

FRAME static void handoff(int side)
{
	char c = 0;

	for (;;) {
		MUST(write(handoff_fds[side][1], &c, 1) == 1);
		MUST(read(handoff_fds[!side][0], &c, 1) == 1);
	}
}

FRAME static void handoff_deeper(int side, int depth)
{
	if (depth > 1)
		handoff_deeper(side, depth - 1);
	else
		handoff(side);
	STAY();
}

static void *run_handoff(void *arg)
{
	handoff_deeper((int)(intptr_t)arg, 9);
	return NULL;
}

/* Two threads on one CPU, one of which runs while the other waits. */
static int run_handoffs(void)
{
	pthread_t t;

	pin();
	for (int i = 0; i < 2; i++)
		MUST(!pipe(handoff_fds[i]));
	for (intptr_t i = 0; i < 2; i++)
		MUST(!pthread_create(&t, NULL, run_handoff, (void *)i));
	workload_ready();
	for (;;)
		pause();
}

/* ---------------------------------------------------------------- a crowd ---- */

static atomic_int nr_members;

FRAME static void crowd_member(void)
{
	nr_members++;
	for (;;)
		pause_ns(50000000);
}

static void *run_member(void *arg)
{
	(void)arg;
	crowd_member();
	return NULL;
}

static int run_crowd(int n)
{
	pthread_attr_t attr;
	pthread_t t;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * 1024);
	for (int i = 0; i < n; i++)
		MUST(!pthread_create(&t, &attr, run_member, NULL));
	while (nr_members < n)
		pause_ns(1000000);
	workload_ready();
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	const char *what = workload_arg(argc, argv, "asleep");

	if (!strcmp(what, "asleep") || !strcmp(what, "crowd") || !strcmp(what, "handoff"))
		workload_start(argc, argv);
	if (!strcmp(what, "handoff"))
		return run_handoffs();
	if (!strcmp(what, "asleep"))
		return run_sleepers();
	if (!strcmp(what, "crowd"))
		return run_crowd(1000);
	pause_ns(strtol(argv[1], NULL, 10) * 1000000000);
	return run_kinds(argc - 2, argv + 2);
}
