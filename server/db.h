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

/* The value of a statement's parameter: DB_TEXT(), DB_INT() and DB_REAL() make one. */
struct db_value {
	enum { DB_VALUE_END, DB_VALUE_TEXT, DB_VALUE_INT, DB_VALUE_REAL } type;
	union {
		const char *text;
		int64_t integer;
		double real;
	};
};

#define DB_VALUES_MAX  6 /* of a statement */

#define DB_TEXT(value) ((struct db_value){ DB_VALUE_TEXT, .text = (value) })
#define DB_INT(value)  ((struct db_value){ DB_VALUE_INT, .integer = (value) })
#define DB_REAL(value) ((struct db_value){ DB_VALUE_REAL, .real = (value) })

struct db {
	sqlite3 *handle;
	enum db_role role;
	sqlite3_stmt *stmts[STMT_COUNT];
	/* the statement under way: a connection runs one at a time */
	struct {
		sqlite3_stmt *stmt; /* NULL for none */
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
 * Begins a statement, with a value for each of its parameters in their order:
 *
 *	err = db_begin(db, STMT_ROOM, DB_TEXT(day), DB_TEXT(id));
 *	while (err == 0 && (err = db_step(db)) == 1)
 *		use(db_text(db, 0));
 *	db_end(db);
 *
 * Texts are not copied and must stay where they are until db_end(). Returns 0; -EIO, reported to
 * stderr, if the statement cannot be prepared or takes other values.
 */
#define db_begin(db, id, ...) db_begin_values(db, id, DB_VALUES(__VA_ARGS__))
int db_begin_values(struct db *db, enum db_stmt id, const struct db_value *values);

/* What db_begin() and db_run() pass on: the values, and behind them zeroes, DB_VALUE_END. */
#define DB_VALUES(...) ((const struct db_value[DB_VALUES_MAX + 1]){ __VA_ARGS__ })

/*
 * Runs the statement under way to its next row. 1: there is a row; 0: done; -EEXIST: a unique
 * constraint; -ENOENT: a foreign key names nothing; -EBUSY, -ENOSPC, -EROFS; -EIO for all else,
 * reported to stderr.
 */
STEP int db_step(struct db *db);

/*
 * Ends the statement under way; without one it does nothing. Call it as soon as the rows are read:
 * an open read holds up the WAL.
 */
void db_end(struct db *db);

/*
 * Begins a statement, takes its first step and ends it: for those whose rows do not matter. 1 if
 * there was a row, 0 if there was none, or a negative errno.
 */
#define db_run(db, id, ...) db_run_values(db, id, DB_VALUES(__VA_ARGS__))
int db_run_values(struct db *db, enum db_stmt id, const struct db_value *values);

/*
 * The columns, from 0, of the row that db_step() came to. A text is never NULL, and lasts until the
 * next db_step() or db_end().
 */
const char *db_text(const struct db *db, int column);
int db_int(const struct db *db, int column);
double db_real(const struct db *db, int column);
bool db_is_null(const struct db *db, int column);

/* How many rows the last INSERT, UPDATE or DELETE changed. */
int db_changes(const struct db *db);

#endif
