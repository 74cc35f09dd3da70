/* SPDX-License-Identifier: MIT */
/*
 * Generates a function at run time, tells its name as JITs do, in /tmp/perf-PID.map, and spins in
 * it. At the end the file is taken away, as tidy programs do.
 *
 * case early: early
 * stack: %main;run;generated code \(1\)
 * stack: %main;run;generated code \(1\);%signal(;.*){0,5}
 *
 * case late: late
 * stack: %main;run;generated code \(1\)
 * stack: %main;run;generated code \(1\);%signal(;.*){0,5}
 *
 * early: the name is there before the code; late: half a second later, with more code.
 */
#include <stdbool.h>
#include <sys/mman.h>
#include <time.h>

#include "workload.h"

/* push %rbp; mov %rsp,%rbp; 1: decl (%rdi); jmp 1b; a frame record is all there is to unwind by */
static const unsigned char code[] = { 0x55, 0x48, 0x89, 0xe5, 0xff, 0x0f, 0xeb, 0xfc };
static char path[64], later[72];

static void leave(int sig)
{
	(void)sig;
	unlink(later);
	unlink(path);
	_exit(0);
}

static void *generate(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		exit(1);
	memcpy(p, code, sizeof(code));
	if (mprotect(p, 4096, PROT_READ | PROT_EXEC))
		exit(1);
	return p;
}

static void tell(void *p, const char *where)
{
	FILE *f = fopen(where, "w");

	if (!f || fprintf(f, "%lx 1000 generated code (1)\n", (unsigned long)p) < 0 || fclose(f))
		exit(1);
}

FRAME static void run(void (*f)(volatile unsigned int *))
{
	static volatile unsigned int n;

	f(&n);
	STAY();
}

/* What a signal's handler may call. */
static void tell_late(int sig)
{
	(void)sig;
	if (rename(later, path))
		_exit(1);
	generate();
}

int main(int argc, char **argv)
{
	struct itimerspec after = { .it_value = { .tv_nsec = 500000000 } };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	bool late = !strcmp(workload_arg(argc, argv, "early"), "late");
	timer_t timer;
	void *p;

	snprintf(path, sizeof(path), "/tmp/perf-%d.map", getpid());
	snprintf(later, sizeof(later), "%s.later", path);
	workload_start(argc, argv);
	signal(SIGTERM, leave);
	signal(SIGALRM, leave);
	p = generate();
	if (late) {
		tell(p, later);
		signal(SIGUSR1, tell_late);
		if (timer_create(CLOCK_MONOTONIC, &event, &timer) ||
		    timer_settime(timer, 0, &after, NULL))
			return 1;
	} else {
		tell(p, path);
	}
	workload_ready();
	run((void (*)(volatile unsigned int *))p);
	return 0;
}
