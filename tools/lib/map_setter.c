/* SPDX-License-Identifier: MIT */
#include "map_setter.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* More are not worth the threads: a process that maps so fast is told the truth later. */
#define MAX_JOBS 16

/* Between two looks whether the elements are there. */
#define LOOK_NS 50000

struct map_setter_job {
	struct map_setter_job *next;
	pthread_t thread;
	int array_fd;
	uint32_t *ids;
	int *fds;
	size_t n;
	atomic_bool done;
	int err; /* good once done */
};

void map_setter_init(struct map_setter *s, int array_fd)
{
	*s = (struct map_setter){ .array_fd = array_fd };
}

static void job_free(struct map_setter_job *job)
{
	if (!job)
		return;
	free(job->ids);
	free(job->fds);
	free(job);
}

static void set_elements(struct map_setter_job *job)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	uint32_t n = job->n;

	if (bpf_map_update_batch(job->array_fd, job->ids, job->fds, &n, &opts)) {
		/* Kernels before 5.14 have no batch for maps of maps. */
		for (size_t i = 0; i < job->n && !job->err; i++)
			if (bpf_map_update_elem(job->array_fd, &job->ids[i], &job->fds[i], BPF_ANY))
				job->err = -errno;
	}
	for (size_t i = 0; i < job->n; i++)
		close(job->fds[i]);
	atomic_store(&job->done, true);
}

static void *run(void *arg)
{
	set_elements(arg);
	return NULL;
}

static struct map_setter_job *job_new(const struct map_setter *s, const uint32_t *ids,
				      const int *fds, size_t n)
{
	struct map_setter_job *job = calloc(1, sizeof(*job));

	if (job) {
		job->array_fd = s->array_fd;
		job->n = n;
		job->ids = malloc(n * sizeof(*ids));
		job->fds = malloc(n * sizeof(*fds));
	}
	if (!job || !job->ids || !job->fds) {
		job_free(job);
		for (size_t i = 0; i < n; i++)
			close(fds[i]);
		return NULL;
	}
	memcpy(job->ids, ids, n * sizeof(*ids));
	memcpy(job->fds, fds, n * sizeof(*fds));
	return job;
}

/* Join those that are done; all: wait for the others, too. */
static void reap(struct map_setter *s, bool all)
{
	struct map_setter_job **at = &s->jobs, *job;

	while ((job = *at)) {
		if (!all && !atomic_load(&job->done)) {
			at = &job->next;
			continue;
		}
		pthread_join(job->thread, NULL);
		*at = job->next;
		s->nr_jobs--;
		job_free(job);
	}
}

void map_setter_release(struct map_setter *s)
{
	reap(s, true);
}

/* Signals are the main thread's. */
static int start(struct map_setter_job *job)
{
	sigset_t all, old;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&job->thread, NULL, run, job);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -err;
}

static bool is_set(const struct map_setter_job *job, size_t i)
{
	uint32_t map_id;

	return !bpf_map_lookup_elem(job->array_fd, &job->ids[i], &map_id);
}

int map_setter_set(struct map_setter *s, const uint32_t *ids, const int *fds, size_t n)
{
	const struct timespec pause = { .tv_nsec = LOOK_NS };
	struct map_setter_job *job;
	size_t set = 0;
	int err;

	if (!n)
		return 0;
	reap(s, false);
	job = job_new(s, ids, fds, n);
	if (!job)
		return -ENOMEM;
	if (s->nr_jobs >= MAX_JOBS || start(job)) {
		set_elements(job);
		err = job->err;
		job_free(job);
		return err;
	}
	job->next = s->jobs;
	s->jobs = job;
	s->nr_jobs++;
	while (!atomic_load(&job->done)) {
		while (set < n && is_set(job, set))
			set++;
		if (set == n)
			return 0;
		nanosleep(&pause, NULL);
	}
	return job->err;
}
