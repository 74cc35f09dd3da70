/* SPDX-License-Identifier: MIT */
#include "job.h"

#include <errno.h>

#include "compiler.h"

static void on_messages(h2o_multithread_receiver_t *receiver, h2o_linklist_t *messages)
{
	struct mailbox *mailbox = container_of(receiver, struct mailbox, receiver);

	while (!h2o_linklist_is_empty(messages)) {
		struct job *job = container_of(messages->next, struct job, message.link);

		h2o_linklist_unlink(&job->message.link);
		mailbox->pending--;
		job->done(job);
	}
}

void mailbox_init(struct mailbox *mailbox, h2o_multithread_queue_t *queue)
{
	mailbox->pending = 0;
	h2o_multithread_register_receiver(queue, &mailbox->receiver, on_messages);
}

void mailbox_release(struct mailbox *mailbox)
{
	h2o_multithread_unregister_receiver(mailbox->receiver.queue, &mailbox->receiver);
}

void job_queue_init(struct job_queue *queue, unsigned int limit)
{
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

int job_submit(struct job_queue *queue, struct mailbox *mailbox, struct job *job)
{
	pthread_mutex_lock(&queue->lock);
	if (queue->depth >= queue->limit || queue->closed) {
		pthread_mutex_unlock(&queue->lock);
		return -EAGAIN;
	}
	job->message.link = (h2o_linklist_t){ NULL, NULL };
	job->next = NULL;
	job->from = mailbox;
	*queue->tail = job;
	queue->tail = &job->next;
	/* the thread takes all there is, so only the first job has somebody to wake */
	if (queue->depth++ == 0)
		pthread_cond_signal(&queue->filled);
	pthread_mutex_unlock(&queue->lock);
	mailbox->pending++;
	return 0;
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
	return first;
}

void job_reply(struct job *job, int result)
{
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
