/* SPDX-License-Identifier: MIT */
/*
 * A connection to the SQLite database: opening and creating it, the schema, and the statements,
 * each prepared once a connection and kept. What the statements mean is in models.h.
 *
 * A connection belongs to one thread at a time. There is one writer in the process; all others
 * are readers and cannot change anything (query_only). The database is in WAL mode, so readers
 * and the writer do not wait for each other.
 */
#ifndef COWORKING_DB_H
#define COWORKING_DB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "compiler.h"

enum db_role {
	DB_READER,
	DB_WRITER,
};

/* Every statement of the server; the text is in db.c. */
enum db_stmt {
	STMT_PING,
	STMT_BEGIN,
	STMT_COMMIT,
	STMT_ROLLBACK,
	STMT_SAVEPOINT,
	STMT_SAVEPOINT_RELEASE,
	STMT_SAVEPOINT_ROLLBACK,
	STMT_ROOMS,
	STMT_ROOM,
	STMT_PHOTOS,
	STMT_CREDENTIALS,
	STMT_USER,
	STMT_TAKEN,
	STMT_BOOKINGS,
	STMT_BOOKING,
	STMT_BOOKING_ADD,
	STMT_BOOKING_DELETE,
	STMT_ALL_BOOKINGS, /* these two for demo faults */
	STMT_EMAIL_SCAN,
	STMT_FILLED,
	STMT_USER_ADD,
	STMT_ROOM_ADD,
	STMT_PHOTO_ADD,
	STMT_COUNT,
};

struct db {
	sqlite3 *handle;
	enum db_role role;
	sqlite3_stmt *stmts[STMT_COUNT];
	/* the statement under way: a connection runs one at a time */
	struct {
		enum db_stmt id;
		bool started;
		int rc; /* SQLite's, of the last step */
		uint64_t rows;
		uint64_t begin; /* for the probes; 0 while nobody listens */
	} run;
	char error[256]; /* why db_init() failed, for the log */
};

/*
 * Opens a connection. The writer creates the file and the schema where they are missing; it must
 * be opened before any reader. On failure returns a negative errno, with the reason in db->error,
 * and nothing to release.
 */
int db_init(struct db *db, const char *path, enum db_role role);

/* Closes the connection and its statements; harmless on a zeroed struct. */
void db_release(struct db *db);

/*
 * The prepared statement, without bindings, ready to bind; NULL if it cannot be prepared. Give it
 * back by db_reset() before asking for another one, and as soon as its rows are read: an open read
 * holds up the WAL.
 */
sqlite3_stmt *db_stmt(struct db *db, enum db_stmt id);

/*
 * Runs a statement to its next row. 1: there is a row; 0: done; -EEXIST: a unique constraint;
 * -ENOENT: a foreign key names nothing; -EBUSY, -ENOSPC, -EROFS; -EIO for all else, reported to
 * stderr.
 */
STEP int db_step(struct db *db, sqlite3_stmt *stmt);

/* Ends a statement and drops its bindings. NULL is fine. */
void db_reset(struct db *db, sqlite3_stmt *stmt);

/* Runs a statement that has no parameters and returns no rows; 0 or as db_step(). */
int db_exec(struct db *db, enum db_stmt id);

/* The text of a column, as long as the statement stays on this row; never NULL. */
const char *db_text(sqlite3_stmt *stmt, int column);

#endif
