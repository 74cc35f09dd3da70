/* SPDX-License-Identifier: MIT */
/*
 * The one thread that changes the database. SQLite has one writer at a time anyway; having only
 * one means that no loop ever waits for the lock or the disk, and that the writes which queued up
 * during one commit share the next one (group commit).
 *
 * Promises: a write is answered only after the commit that holds it; a write that fails undoes
 * itself and nothing else; writes are applied in the order they were submitted.
 */
#ifndef COWORKING_DB_WRITER_H
#define COWORKING_DB_WRITER_H

#include <pthread.h>

#include "db.h"
#include "job.h"

struct db_write {
	struct job job;
	/* Does the change, by one statement; in the writer's thread and transaction. 0 or -errno. */
	int (*apply)(struct db *db, struct db_write *write);
};

struct db_writer {
	struct job_queue queue;
	struct db *db;
	pthread_t thread;
};

/*
 * Starts the thread on a DB_WRITER connection, which is the thread's until db_writer_stop().
 * 0 or a negative errno.
 */
int db_writer_start(struct db_writer *writer, struct db *db);

/* Ends the thread after the last queued write. All loops must have stopped submitting. */
void db_writer_stop(struct db_writer *writer);

/* Submits a write with apply and job.done set; see job_submit(). */
int db_writer_submit(struct db_writer *writer, struct request *request, struct db_write *write);

#endif
