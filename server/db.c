/* SPDX-License-Identifier: MIT */
#include "db.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "faults.h"
#include "probes.h"

/* "CoWk": marks the file as ours, so that no other program's database is ever written to */
#define APPLICATION_ID 0x436f576b
#define SCHEMA_VERSION 1

/* How long the writer waits for another process, in ms. A reader is in an event loop: hardly. */
#define BUSY_WRITER 2000
#define BUSY_READER 50

/* Pages in the WAL before the writer moves them into the database; SQLite's own default. */
#define CHECKPOINT_FRAMES 1000

/*
 * Bookings keep their rowid: it is the order in which they were made, and the index on user_id
 * ends in it, so that a user's bookings come out in that order without sorting.
 */
static const char schema[] = "CREATE TABLE users ("
			     "  id TEXT PRIMARY KEY NOT NULL,"
			     "  email TEXT NOT NULL UNIQUE,"
			     "  username TEXT NOT NULL UNIQUE,"
			     "  password_hash TEXT NOT NULL"
			     ") STRICT;"
			     "CREATE TABLE rooms ("
			     "  id TEXT PRIMARY KEY NOT NULL,"
			     "  name TEXT NOT NULL UNIQUE,"
			     "  category TEXT NOT NULL,"
			     "  cost REAL NOT NULL,"
			     "  number_of_seats INTEGER NOT NULL,"
			     "  main_photo TEXT NOT NULL"
			     ") STRICT;"
			     "CREATE TABLE photos ("
			     "  room_id TEXT NOT NULL REFERENCES rooms(id) ON DELETE CASCADE,"
			     "  position INTEGER NOT NULL,"
			     "  url TEXT NOT NULL,"
			     "  PRIMARY KEY (room_id, position)"
			     ") STRICT, WITHOUT ROWID;"
			     "CREATE TABLE bookings ("
			     "  id TEXT PRIMARY KEY NOT NULL,"
			     "  room_id TEXT NOT NULL REFERENCES rooms(id),"
			     "  user_id TEXT NOT NULL REFERENCES users(id),"
			     "  booked_on TEXT NOT NULL,"
			     "  created_at TEXT NOT NULL,"
			     "  UNIQUE (room_id, booked_on)"
			     ") STRICT;"
			     "CREATE INDEX bookings_user ON bookings(user_id);";

#define ROOM_COLUMNS                                                                           \
	"SELECT r.id, r.name, r.cost, r.number_of_seats, r.category, r.main_photo,"            \
	"  NOT EXISTS (SELECT 1 FROM bookings b WHERE b.room_id = r.id AND b.booked_on = ?1)," \
	"  p.url"                                                                              \
	"  FROM rooms r LEFT JOIN photos p ON p.room_id = r.id "

static const char *const statements[STMT_COUNT] = {
	[STMT_PING] = "SELECT 1",
	/* IMMEDIATE: a deferred transaction that comes to write late fails without waiting */
	[STMT_BEGIN] = "BEGIN IMMEDIATE",
	[STMT_COMMIT] = "COMMIT",
	[STMT_ROLLBACK] = "ROLLBACK",
	/* a row for each photo, those of a room next to each other */
	[STMT_ROOMS] = ROOM_COLUMNS "ORDER BY r.name, p.position",
	[STMT_ROOM] = ROOM_COLUMNS "WHERE r.id = ?2 ORDER BY p.position",
	[STMT_PHOTOS] = "SELECT p.url FROM rooms r LEFT JOIN photos p ON p.room_id = r.id"
			" WHERE r.id = ?1 ORDER BY p.position",
	[STMT_CREDENTIALS] = "SELECT id, password_hash FROM users WHERE username = ?1",
	[STMT_USER] = "SELECT 1 FROM users WHERE id = ?1",
	[STMT_TAKEN] = "SELECT 1 FROM users WHERE email = ?1 OR username = ?2",
	[STMT_BOOKINGS] = "SELECT id, room_id, booked_on, created_at FROM bookings"
			  " WHERE user_id = ?1 ORDER BY rowid LIMIT ?2 OFFSET ?3",
	[STMT_BOOKING] = "SELECT id, room_id, booked_on, created_at FROM bookings"
			 " WHERE id = ?1 AND user_id = ?2",
	[STMT_BOOKING_ADD] = "INSERT INTO bookings (id, room_id, user_id, booked_on, created_at)"
			     " VALUES (?1, ?2, ?3, ?4, ?5)",
	[STMT_BOOKING_DELETE] = "DELETE FROM bookings WHERE id = ?1 AND user_id = ?2",
	[STMT_ALL_BOOKINGS] = "SELECT id, room_id, booked_on, created_at FROM bookings",
	[STMT_EMAIL_SCAN] = "SELECT 1 FROM temp.emails WHERE email = ?1",
	[STMT_FILLED] = "SELECT EXISTS (SELECT 1 FROM users) OR EXISTS (SELECT 1 FROM rooms)",
	[STMT_USER_ADD] = "INSERT INTO users (id, email, username, password_hash)"
			  " VALUES (?1, ?2, ?3, ?4)",
	[STMT_ROOM_ADD] = "INSERT INTO rooms (id, name, category, cost, number_of_seats,"
			  " main_photo) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	[STMT_PHOTO_ADD] = "INSERT INTO photos (room_id, position, url) VALUES (?1, ?2, ?3)",
};

/* FAULT_EMAIL_LOOKUP: the users of a larger business, in a table without an index */
static const char emails[] =
	"CREATE TEMP TABLE emails (email TEXT NOT NULL);"
	"INSERT INTO temp.emails WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL"
	"  SELECT i + 1 FROM n WHERE i < 5000) SELECT 'user' || i || '@example.org' FROM n;";

static int errno_from_sqlite(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
		return 0;
	case SQLITE_CONSTRAINT:
		if (rc == SQLITE_CONSTRAINT_FOREIGNKEY)
			return -ENOENT;
		if (rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY)
			return -EEXIST;
		return -EIO;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_NOMEM:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

/* Keeps the reason of a failed start; the callers' errno. */
static int fail(struct db *db, int rc)
{
	snprintf(db->error, sizeof(db->error), "%s", sqlite3_errmsg(db->handle));
	return errno_from_sqlite(rc);
}

static int refuse(struct db *db, const char *why)
{
	snprintf(db->error, sizeof(db->error), "%s", why);
	return -EINVAL;
}

/* The integer that a query yields in its first column. */
static int query_int(struct db *db, const char *sql, int *ret)
{
	sqlite3_stmt *stmt = NULL;
	int rc;

	rc = sqlite3_prepare_v2(db->handle, sql, -1, &stmt, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW) {
		*ret = sqlite3_column_int(stmt, 0);
		rc = SQLITE_OK;
	}
	if (rc != SQLITE_OK)
		rc = fail(db, rc);
	sqlite3_finalize(stmt);
	return rc;
}

static int run(struct db *db, const char *sql)
{
	int rc = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : fail(db, rc);
}

/* Creates the schema in an empty file; refuses a file that is not ours or not of this version. */
static int setup_schema(struct db *db)
{
	char marks[128];
	int id, version, objects, err;

	err = query_int(db, "PRAGMA application_id", &id);
	if (err == 0)
		err = query_int(db, "PRAGMA user_version", &version);
	if (err == 0)
		err = query_int(db, "SELECT count(*) FROM sqlite_schema", &objects);
	if (err != 0)
		return err;
	if (objects > 0 && id != APPLICATION_ID)
		return refuse(db, "it is the database of another program");
	if (objects > 0 && version != SCHEMA_VERSION)
		return refuse(db, "it was made by another version of coworkingd");
	if (objects > 0)
		return 0;
	snprintf(marks, sizeof(marks), "PRAGMA application_id = %d; PRAGMA user_version = %d;",
		 APPLICATION_ID, SCHEMA_VERSION);
	err = run(db, marks);
	return err != 0 ? err : run(db, schema);
}

static int setup_writer(struct db *db)
{
	int err;

	/* without write permission SQLite opens for reading and says nothing */
	if (sqlite3_db_readonly(db->handle, "main") == 1)
		return refuse(db, "it is not writable");
	/* WAL can only be set outside a transaction; it stays set in the file */
	err = run(db, "PRAGMA journal_mode = WAL");
	if (err == 0)
		err = run(db, "BEGIN IMMEDIATE");
	if (err == 0)
		err = setup_schema(db);
	if (err == 0)
		err = run(db, "COMMIT");
	return err;
}

/*
 * Another process holds the lock: waits 1 ms, then 2, 4 and so on up to 32 between tries, until the
 * role's time is over. Like SQLite's own busy timeout, which has no place for a probe.
 */
static int on_busy(void *arg, int tries)
{
	const struct db *db = arg;
	bool writes = db->role == DB_WRITER || fault_on(FAULT_BLOCKING_WRITES);
	unsigned int limit = writes ? BUSY_WRITER : BUSY_READER;
	unsigned int step = 1U << (tries < 5 ? tries : 5);
	/* what the tries so far have taken: 2^tries - 1, or 31 and 32 for each beyond the fifth */
	unsigned int waited = tries < 5 ? step - 1 : 31 + 32 * ((unsigned int)tries - 5);

	PROBE(db__busy, probe_request, db->run.id, tries);
	if (waited >= limit)
		return 0;
	sqlite3_sleep((int)step);
	return 1;
}

/* After each commit, in place of SQLite's own hook, which does the same without a probe. */
static int on_wal(void *arg, sqlite3 *handle, const char *name, int frames)
{
	uint64_t begin;
	int rc;

	if (frames < CHECKPOINT_FRAMES)
		return SQLITE_OK;
	begin = PROBE_TIME(db__checkpoint);
	/* passive: does what it can without waiting for readers; the rest comes with the next one */
	rc = sqlite3_wal_checkpoint_v2(handle, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	PROBE(db__checkpoint, frames, probe_since(begin), rc);
	return SQLITE_OK;
}

int db_init(struct db *db, const char *path, enum db_role role)
{
	/* NOMUTEX: one thread at a time, by our own design */
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
	int rc, err;

	memset(db, 0, sizeof(*db));
	db->role = role;
	if (role == DB_WRITER)
		flags |= SQLITE_OPEN_CREATE;
	rc = sqlite3_open_v2(path, &db->handle, flags, NULL);
	if (rc != SQLITE_OK) {
		err = fail(db, rc);
		goto failed;
	}
	sqlite3_busy_handler(db->handle, on_busy, db);
	/* FULL: a booking that was acknowledged survives a power cut; group commit pays for it */
	err = run(db, "PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL");
	if (err == 0 && role == DB_WRITER)
		err = setup_writer(db);
	if (err == 0 && role == DB_WRITER)
		sqlite3_wal_hook(db->handle, on_wal, NULL);
	if (err == 0 && role == DB_READER && fault_on(FAULT_EMAIL_LOOKUP))
		err = run(db, emails);
	if (err == 0 && role == DB_READER && !fault_on(FAULT_BLOCKING_WRITES))
		err = run(db, "PRAGMA query_only = ON");
	if (err == 0)
		return 0;

failed:
	db_release(db);
	return err;
}

void db_release(struct db *db)
{
	for (size_t i = 0; i < STMT_COUNT; i++) {
		sqlite3_finalize(db->stmts[i]);
		db->stmts[i] = NULL;
	}
	sqlite3_close(db->handle);
	db->handle = NULL;
}

/* The prepared statement; NULL if it cannot be prepared. */
static sqlite3_stmt *prepared(struct db *db, enum db_stmt id)
{
	if (db->stmts[id] == NULL)
		sqlite3_prepare_v3(db->handle, statements[id], -1, SQLITE_PREPARE_PERSISTENT,
				   &db->stmts[id], NULL);
	return db->stmts[id];
}

static int bind(sqlite3_stmt *stmt, int index, const struct db_value *value)
{
	switch (value->type) {
	case DB_VALUE_TEXT:
		return sqlite3_bind_text(stmt, index, value->text, -1, SQLITE_STATIC);
	case DB_VALUE_INT:
		return sqlite3_bind_int64(stmt, index, value->integer);
	case DB_VALUE_REAL:
		return sqlite3_bind_double(stmt, index, value->real);
	default:
		return SQLITE_MISUSE;
	}
}

static int report(struct db *db)
{
	fprintf(stderr, "coworkingd: database: %s\n", sqlite3_errmsg(db->handle));
	return -EIO;
}

int db_begin_values(struct db *db, enum db_stmt id, const struct db_value *values)
{
	sqlite3_stmt *stmt = prepared(db, id);
	int n = 0, rc = SQLITE_OK;

	if (stmt == NULL)
		return report(db);
	db->run.stmt = stmt;
	db->run.id = id;
	db->run.started = false;
	for (; rc == SQLITE_OK && values[n].type != DB_VALUE_END; n++)
		rc = bind(stmt, n + 1, &values[n]);
	if (rc == SQLITE_OK && n == sqlite3_bind_parameter_count(stmt))
		return 0;
	db_end(db);
	fprintf(stderr, "coworkingd: database: wrong values for %s\n", statements[id]);
	return -EIO;
}

/* Whether anybody listens to how statements end. */
static bool end_is_told(void)
{
	return PROBE_ENABLED(db__stmt__done) || PROBE_ENABLED(db__own__done) ||
	       PROBE_ENABLED(request__account);
}

/* Tells the probes that the statement under way takes its first step. */
static void note_start(struct db *db)
{
	db->run.started = true;
	db->run.rows = 0;
	db->run.begin = 0;
	if (end_is_told()) {
		/* steps of earlier runs, which nobody asked about */
		sqlite3_stmt_status(db->run.stmt, SQLITE_STMTSTATUS_VM_STEP, 1);
		db->run.begin = clock_ns();
	}
	PROBE(db__stmt__start, probe_request, db->run.id, statements[db->run.id], db->role);
}

/* Tells them that it has ended. */
static void note_end(struct db *db)
{
	struct probe_stmt done;

	if (!end_is_told())
		return;
	done = (struct probe_stmt){
		.id = db->run.id,
		.sql = statements[db->run.id],
		.ns = probe_since(db->run.begin),
		.rows = db->run.rows,
		.vm_steps =
			(uint64_t)sqlite3_stmt_status(db->run.stmt, SQLITE_STMTSTATUS_VM_STEP, 0),
		.by_loop = db->role == DB_READER,
	};
	if (probe_account == NULL)
		PROBE(db__own__done, done.id, done.sql, db->run.rc, done.rows, done.vm_steps,
		      done.ns);
	else if (PROBE_ENABLED(request__account))
		probe_account_stmt(probe_account, &done);
	PROBE(db__stmt__done, probe_request, db->run.id, db->run.rc, done.rows, done.vm_steps,
	      done.ns);
}

int db_step(struct db *db)
{
	int rc, err;

	if (!db->run.started)
		note_start(db);
	rc = sqlite3_step(db->run.stmt);
	db->run.rc = rc;
	if (rc == SQLITE_ROW) {
		db->run.rows++;
		return 1;
	}
	if (rc == SQLITE_DONE)
		return 0;
	err = errno_from_sqlite(rc);
	if (err != -EEXIST && err != -ENOENT && err != -EBUSY)
		report(db);
	return err;
}

void db_end(struct db *db)
{
	sqlite3_stmt *stmt = db->run.stmt;

	if (stmt == NULL)
		return;
	if (db->run.started)
		note_end(db);
	db->run.started = false;
	db->run.stmt = NULL;
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
}

int db_run_values(struct db *db, enum db_stmt id, const struct db_value *values)
{
	int err;

	err = db_begin_values(db, id, values);
	if (err == 0)
		err = db_step(db);
	db_end(db);
	return err;
}

const char *db_text(const struct db *db, int column)
{
	const unsigned char *text = sqlite3_column_text(db->run.stmt, column);

	return text != NULL ? (const char *)text : "";
}

int db_int(const struct db *db, int column)
{
	return sqlite3_column_int(db->run.stmt, column);
}

double db_real(const struct db *db, int column)
{
	return sqlite3_column_double(db->run.stmt, column);
}

bool db_is_null(const struct db *db, int column)
{
	return sqlite3_column_type(db->run.stmt, column) == SQLITE_NULL;
}

int db_changes(const struct db *db)
{
	return sqlite3_changes(db->handle);
}
