/* SPDX-License-Identifier: MIT */
#include "db_writer.h"

#include <errno.h>

#include "faults.h"
#include "http.h"
#include "probes.h"

/* Writes that may wait. At a few thousand a second this is well under a second. */
#define QUEUE_LIMIT 1024

/* Writes that share a commit: enough to pay for the sync, few enough to keep latency down. */
#define BATCH_MAX 128

/* Whether a full disk or the like has already rolled back the whole transaction. */
static bool transaction_lost(const struct db *db)
{
	return sqlite3_get_autocommit(db->handle) != 0;
}

/*
 * Applies a batch in one transaction, leaving each write's own result in its job. A statement that
 * fails undoes itself alone (ABORT, sqlite.org/lang_conflict.html), and each write is only one.
 */
STEP int db_writer_commit(struct db *db, struct job *batch)
{
	bool own;
	int err;

	err = db_run(db, STMT_BEGIN);
	if (err != 0)
		return err;
	for (struct job *job = batch; job != NULL; job = job->next) {
		struct db_write *write = container_of(job, struct db_write, job);

		/* the loop itself, under FAULT_BLOCKING_WRITES, is at work on it already */
		own = probe_request != job->request_id;
		if (own)
			probe_run(job->request_id, job->account);
		job->result = write->apply(db, write);
		if (own)
			probe_leave(job->request_id);
		if (job->result == -EIO || transaction_lost(db)) {
			err = job->result != 0 ? job->result : -EIO;
			goto rollback;
		}
	}
	err = db_run(db, STMT_COMMIT);
	if (err == 0)
		return 0;

rollback:
	if (!transaction_lost(db))
		db_run(db, STMT_ROLLBACK);
	return err;
}

static unsigned int count(const struct job *batch)
{
	unsigned int n = 0;

	for (; batch != NULL; batch = batch->next)
		n++;
	return n;
}

static void *writer_main(void *arg)
{
	struct db_writer *writer = arg;
	struct job *batch, *next;
	uint64_t txn_id = 0, begin;
	int err;

	pthread_setname_np(pthread_self(), "cw-writer");
	while ((batch = job_take(&writer->queue, BATCH_MAX)) != NULL) {
		begin = PROBE_TIME(db__txn__commit);
		txn_id++;
		PROBE(db__txn__begin, txn_id);
		err = db_writer_commit(writer->db, batch);
		PROBE(db__txn__commit, txn_id, count(batch), probe_since(begin), err);
		for (; batch != NULL; batch = next) {
			next = batch->next;
			job_reply(batch, err != 0 ? err : batch->result);
		}
	}
	return NULL;
}

int db_writer_start(struct db_writer *writer, struct db *db)
{
	int err;

	writer->db = db;
	job_queue_init(&writer->queue, QUEUE_WRITER, QUEUE_LIMIT);
	err = pthread_create(&writer->thread, NULL, writer_main, writer);
	if (err != 0)
		job_queue_release(&writer->queue);
	return -err;
}

void db_writer_stop(struct db_writer *writer)
{
	job_queue_close(&writer->queue);
	pthread_join(writer->thread, NULL);
	job_queue_release(&writer->queue);
}

/* FAULT_BLOCKING_WRITES: the loop writes and waits for the disk, all its clients with it. */
STEP void db_writer_block(struct request *request, struct db_write *write)
{
	struct job *job = &write->job;
	int err;

	job->next = NULL;
	job->request = request;
	job->request_id = request->id;
	job->account = &request->account;
	err = db_writer_commit(request->db, job);
	job->result = err != 0 ? err : job->result;
	job->done(job);
}

int db_writer_submit(struct db_writer *writer, struct request *request, struct db_write *write)
{
	if (fault_on(FAULT_BLOCKING_WRITES)) {
		db_writer_block(request, write);
		return 0;
	}
	return job_submit(&writer->queue, request, &write->job);
}
