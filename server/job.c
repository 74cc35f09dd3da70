/* SPDX-License-Identifier: MIT */
#include "job.h"

#include <errno.h>

#include "compiler.h"
#include "http.h"
#include "probes.h"

static void on_messages(h2o_multithread_receiver_t *receiver, h2o_linklist_t *messages)
{
	struct mailbox *mailbox = container_of(receiver, struct mailbox, receiver);

	while (!h2o_linklist_is_empty(messages)) {
		struct job *job = container_of(messages->next, struct job, message.link);
		struct request *request = job->request;

		h2o_linklist_unlink(&job->message.link);
		mailbox->pending--;
		probe_run(request->id, &request->account);
		job->done(job);
		job_pause(request);
		http_put(request);
	}
}

void mailbox_init(struct mailbox *mailbox, h2o_multithread_queue_t *queue)
{
	mailbox->pending = 0;
	mailbox->outgoing = NULL;
	h2o_multithread_register_receiver(queue, &mailbox->receiver, on_messages);
}

void mailbox_release(struct mailbox *mailbox)
{
	h2o_multithread_unregister_receiver(mailbox->receiver.queue, &mailbox->receiver);
}

void job_queue_init(struct job_queue *queue, enum job_queue_id id, unsigned int limit)
{
	queue->id = id;
	pthread_mutex_init(&queue->lock, NULL);
	pthread_cond_init(&queue->filled, NULL);
	queue->head = NULL;
	queue->tail = &queue->head;
	queue->depth = 0;
	queue->limit = limit;
	queue->closed = false;
}

void job_queue_release(struct job_queue *queue)
{
	pthread_cond_destroy(&queue->filled);
	pthread_mutex_destroy(&queue->lock);
}

int job_submit(struct job_queue *queue, struct request *request, struct job *job)
{
	unsigned int depth;
	bool full;

	pthread_mutex_lock(&queue->lock);
	full = queue->depth >= queue->limit || queue->closed;
	depth = full ? 0 : ++queue->depth;
	pthread_mutex_unlock(&queue->lock);
	if (full)
		return -EAGAIN;
	job->message.link = (h2o_linklist_t){ NULL, NULL };
	job->next = NULL;
	job->queue = queue;
	job->from = request->mailbox;
	job->request = http_hold(request);
	job->request_id = request->id;
	job->account = &request->account;
	job->queued_at = job->taken_at = 0;
	request->mailbox->pending++;
	request->mailbox->outgoing = job;
	PROBE(job__enqueue, request->id, queue->id, depth);
	return 0;
}

static void release_job(struct job *job)
{
	struct job_queue *queue = job->queue;

	job->queued_at = PROBE_TIME(job__dequeue);
	pthread_mutex_lock(&queue->lock);
	/* the thread takes all there is, so only the first job has somebody to wake */
	if (queue->head == NULL)
		pthread_cond_signal(&queue->filled);
	*queue->tail = job;
	queue->tail = &job->next;
	pthread_mutex_unlock(&queue->lock);
}

void job_pause(struct request *request)
{
	struct job *job = request->mailbox->outgoing;

	request->mailbox->outgoing = NULL;
	if (job == NULL) {
		probe_pause(request->id);
		return;
	}
	probe_leave(request->id);
	release_job(job);
}

/* Tells the probes which jobs were taken. */
static void note_taken(struct job *jobs)
{
	if (!PROBE_ENABLED(job__dequeue) && !PROBE_ENABLED(job__reply))
		return;
	for (struct job *job = jobs; job != NULL; job = job->next) {
		job->taken_at = clock_ns();
		PROBE(job__dequeue, job->request_id, job->queue->id,
		      job->queued_at != 0 ? job->taken_at - job->queued_at : 0);
	}
}

struct job *job_take(struct job_queue *queue, unsigned int max)
{
	struct job *first, *last;
	unsigned int n = 1;

	pthread_mutex_lock(&queue->lock);
	while (queue->head == NULL && !queue->closed)
		pthread_cond_wait(&queue->filled, &queue->lock);
	first = last = queue->head;
	if (first != NULL) {
		while (n < max && last->next != NULL) {
			last = last->next;
			n++;
		}
		queue->head = last->next;
		if (queue->head == NULL)
			queue->tail = &queue->head;
		queue->depth -= n;
		last->next = NULL;
	}
	pthread_mutex_unlock(&queue->lock);
	note_taken(first);
	return first;
}

void job_reply(struct job *job, int result)
{
	PROBE(job__reply, job->request_id, job->queue->id, result, probe_since(job->taken_at));
	job->result = result;
	h2o_multithread_send_message(&job->from->receiver, &job->message);
}

void job_queue_close(struct job_queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	queue->closed = true;
	pthread_cond_signal(&queue->filled);
	pthread_mutex_unlock(&queue->lock);
}
