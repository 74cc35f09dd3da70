/* SPDX-License-Identifier: MIT */
/*
 * Work on a request that an event loop gives to another thread, because it would block the loop:
 * writes to the database and password hashes. A job goes into a bounded queue, is run by the
 * queue's thread, and comes back to the loop that sent it, where its done() runs. Everything that
 * belongs to a request is therefore only ever touched by that request's own loop.
 *
 * Promises: a job that job_submit() took comes back exactly once, and its request stays in memory
 * until then; a loop knows how many it waits for; a full queue refuses at once instead of making
 * anybody wait.
 */
#ifndef COWORKING_JOB_H
#define COWORKING_JOB_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "evloop.h"

struct request;
struct probe_account;

/* The number of a queue, as the probes give it. */
enum job_queue_id {
	QUEUE_WRITER = 1,
	QUEUE_HASHER = 2,
};

/* A loop's receiving end. Except for what job.c sends, it belongs to the loop's thread. */
struct mailbox {
	h2o_multithread_receiver_t receiver;
	unsigned int pending; /* jobs submitted and not yet back */
	struct job *outgoing; /* what the piece of work under way has submitted; NULL for none */
};

/* Embedded as the first thing a kind of job has; the submitter owns the memory. */
struct job {
	h2o_multithread_message_t message;
	struct job *next;
	/*
	 * Whose job it is. Of it nothing may be looked at outside its loop but its id, and by the
	 * thread that works on it its account.
	 */
	struct request *request;
	uint64_t request_id;
	struct probe_account *account;
	struct mailbox *from;
	struct job_queue *queue;
	/* Runs in the submitting loop when the job is back; frees the job. */
	void (*done)(struct job *job);
	int result; /* 0 or a negative errno, set by the thread that ran it */

	/* for the probes, in ns; 0 while nobody listens */
	uint64_t queued_at, taken_at;
};

struct job_queue {
	enum job_queue_id id;
	pthread_mutex_t lock;
	pthread_cond_t filled;
	struct job *head, **tail;
	unsigned int depth, limit; /* depth counts the outgoing ones, too */
	bool closed;
};

/* Ties a mailbox to a loop's message queue; in that loop's thread, as all of these. */
void mailbox_init(struct mailbox *mailbox, h2o_multithread_queue_t *queue);

/* Needs pending to be 0. */
void mailbox_release(struct mailbox *mailbox);

void job_queue_init(struct job_queue *queue, enum job_queue_id id, unsigned int limit);
void job_queue_release(struct job_queue *queue);

/*
 * Submits a job whose done member is set, to come back to the loop of its request, which it keeps in
 * memory until after done(). From then on the job is the queue's until done() runs. -EAGAIN if the
 * queue is full: the job is still the caller's.
 *
 * The job has its place in the queue at once, but no thread gets it before job_pause(): the caller's
 * work on the request is over then, so that never two threads are at work on the same request.
 */
int job_submit(struct job_queue *queue, struct request *request, struct job *job);

/*
 * Ends a loop's piece of work on a request, one handler or done(): tells the probes, and then lets
 * go of the job that was submitted in it, if there is one.
 */
void job_pause(struct request *request);

/*
 * Waits for work and takes up to max jobs, linked by next in the order they came. NULL when the
 * queue is closed and empty.
 */
struct job *job_take(struct job_queue *queue, unsigned int max);

/* Sends a job back to its loop. The job must not be touched afterwards. */
void job_reply(struct job *job, int result);

/* Lets job_take() return NULL after the last job. Nothing may be submitted any more. */
void job_queue_close(struct job_queue *queue);

#endif
