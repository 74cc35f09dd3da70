/* SPDX-License-Identifier: MIT */
/*
 * Blocks of which it is known where they are freed. Tells for each function that allocates how many
 * ended how, "verdict FUNCTION VERDICT BLOCKS SIZE", once for each line "go" on its input.
 *
 * A request begins with request_begin(ID), and is over with request_end(ID); in between it is worked
 * on from request_run(ID) to request_pause(ID).
 */
#include "workload.h"

#include <pthread.h>

static void *volatile blocks[1024];
static void *volatile last;

static void tell(const char *function, const char *verdict, int n, int size)
{
	printf("verdict %s %s %d %d\n", function, verdict, n, size);
}

/* ---- in its frame ---- */

FRAME static void in_frame(void)
{
	void *volatile p = malloc(48);

	free(p);
	STAY();
}

/* The compiler makes a jump of the last call. */
FRAME static void in_frame_by_jump(void)
{
	void *volatile *p = &last;

	*p = malloc(56);
	free(*p);
}

FRAME static void free_it(void *p)
{
	free(p);
	STAY();
}

/* By a function that it calls. */
FRAME static void in_frame_by_callee(void)
{
	void *volatile p = malloc(64);

	free_it(p);
	STAY();
}

/* Each call frees what the one before it has left, from the same place of the stack. */
FRAME static void of_last_call(void)
{
	free(last);
	last = malloc(72);
	STAY();
}

/* ---- further up ---- */

FRAME static void *given_up(void)
{
	void *p = malloc(80);

	STAY();
	return p;
}

FRAME static void *given_up_again(void)
{
	void *p = given_up();

	STAY();
	return p;
}

FRAME static void takes_one(void)
{
	free_it(given_up());
	STAY();
}

FRAME static void *given_far_up(void)
{
	void *p = malloc(88);

	STAY();
	return p;
}

FRAME static void *passes_on(void)
{
	void *p = given_far_up();

	STAY();
	return p;
}

FRAME static void *passes_on_again(void)
{
	void *p = passes_on();

	STAY();
	return p;
}

FRAME static void takes_from_far(void)
{
	void *volatile p = passes_on_again();

	free(p);
	STAY();
}

/* One in three is freed at once. */
FRAME static void *mixed(int i)
{
	void *p = malloc(104);

	if (i % 3 == 0) {
		free_it(p);
		p = NULL;
	}
	STAY();
	return p;
}

FRAME static void takes_mixed(int i)
{
	free(mixed(i));
	STAY();
}

/* ---- elsewhere ---- */

FRAME static void kept(void)
{
	blocks[0] = malloc(112);
	STAY();
}

FRAME static void resized(void)
{
	void *p = malloc(120);

	for (int i = 1; i <= 3; i++)
		p = realloc(p, 4000 * i);
	free(p);
	STAY();
}

FRAME static void handed_over(int i)
{
	blocks[i] = malloc(128);
	STAY();
}

FRAME static void *takes_over(void *arg)
{
	(void)arg;
	for (int i = 0; i < 601; i++) {
		free(blocks[i]);
		STAY();
	}
	return NULL;
}

static void by_thread(void)
{
	pthread_t thread;

	for (int i = 0; i < 601; i++)
		handed_over(i);
	if (pthread_create(&thread, NULL, takes_over, NULL))
		_exit(1);
	pthread_join(thread, NULL);
}

/* ---- requests ---- */

/* Volatile asm: they must stay calls, and be long enough to be probed. */
#define REQUEST_POINT(name)                       \
	FRAME void name(unsigned long id)         \
	{                                         \
		__asm__ volatile("" : : "r"(id)); \
		STAY();                           \
	}

REQUEST_POINT(request_begin)
REQUEST_POINT(request_run)
REQUEST_POINT(request_pause)
REQUEST_POINT(request_end)

FRAME static void for_request(int i)
{
	blocks[i] = malloc(136);
	STAY();
}

FRAME static void for_request_tidied(int i)
{
	blocks[512 + i] = malloc(144);
	STAY();
}

FRAME static void outlives_request(void)
{
	last = malloc(152);
	STAY();
}

FRAME static void within_handler(void)
{
	void *volatile p = given_up_again();

	free(p);
	STAY();
}

/* Two at a time, each in two pieces: the first allocates, the second frees. */
FRAME static void first_piece(int i)
{
	request_begin(1000 + i);
	for_request(i);
	for_request_tidied(i);
	within_handler();
	if (i == 0)
		outlives_request();
	request_pause(1000 + i);
	STAY();
}

FRAME static void second_piece(int i)
{
	request_run(1000 + i);
	free(blocks[i]);
	request_pause(1000 + i);
	request_end(1000 + i);
	STAY();
}

FRAME static void tidy(int i)
{
	free(blocks[512 + i]);
	STAY();
}

FRAME static void serve(void)
{
	for (int i = 0; i < 398; i += 2) {
		first_piece(i);
		first_piece(i + 1);
		second_piece(i);
		tidy(i);
		second_piece(i + 1);
		tidy(i + 1);
		if (i == 100)
			free(last);
	}
	STAY();
}

/* ---- all ---- */

#define TIMES(n, call)                  \
	for (int i = 0; i < (n); i++) { \
		call;                   \
	}

FRAME static void run_all(void)
{
	TIMES(1009, in_frame())
	TIMES(1013, in_frame_by_jump())
	TIMES(503, in_frame_by_callee())
	last = NULL;
	TIMES(401, of_last_call())
	TIMES(307, takes_one())
	TIMES(211, takes_from_far())
	TIMES(303, takes_mixed(i))
	TIMES(223, kept())
	TIMES(101, resized())
	by_thread();
	serve();
}

static void tell_all(void)
{
	tell("in_frame", "own_frame", 1009, 48);
	tell("in_frame_by_jump", "own_frame", 1013, 56);
	tell("in_frame_by_callee", "own_frame", 503, 64);
	tell("of_last_call", "up", 400, 72);
	tell("of_last_call", "kept", 1, 72);
	tell("given_up", "up", 307 + 398, 80);
	tell("given_far_up", "up", 211, 88);
	tell("mixed", "own_frame", 101, 104);
	tell("mixed", "up", 202, 104);
	tell("kept", "kept", 223, 112);
	tell("resized", "resized", 3 * 101, 0);
	tell("resized", "own_frame", 101, 0);
	tell("handed_over", "other_thread", 601, 128);
	tell("for_request", "request", 398, 136);
	tell("for_request_tidied", "request", 398, 144);
	tell("outlives_request", "up", 1, 152);
}

int main(int argc, char **argv)
{
	char line[64];

	workload_start(argc, argv);
	setvbuf(stdout, NULL, _IONBF, 0);
	setvbuf(stdin, NULL, _IONBF, 0);
	workload_ready();
	while (fgets(line, sizeof(line), stdin)) {
		run_all();
		tell_all();
		printf("done\n");
	}
	return 0;
}
