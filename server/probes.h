/* SPDX-License-Identifier: MIT */
/*
 * Every USDT probe of the server: its contract with tools that look at it from outside. Nothing
 * listens inside. A probe is a nop in a function of its own, probe_NAME(), whose arguments are
 * therefore in the registers of the calling convention and nowhere else; it is called only while
 * its semaphore says that somebody is attached, and what it is given is computed only then.
 *
 * Provider `coworking`. Ids are unique in the process: the loop's number in the top byte, then a
 * count from 1; 0 stands for no request (the server's own work). Times are ns of CLOCK_MONOTONIC;
 * a time is 0 if the probe was attached after it began. Strings end in NUL and are valid during
 * the probe only. A result is 0 or a negative errno.
 *
 * Whose work a thread does. A request is worked on in pieces, each by one thread: it begins with
 * request__start (the first, in the loop) or request__run (all others, in whatever thread), and
 * ends with request__pause on the same thread. Between pieces a thread works for no request, and no
 * two threads are ever at work on the same one. So starts + runs = pauses, and each probe with a
 * req_id fires inside of a piece of that request, but for the four that lie between pieces:
 * job__dequeue, job__reply, and at the end request__account and request__done, the last.
 *
 * Where a request is, at every moment exactly one of:
 *
 *   working          in a piece, on that piece's thread
 *   queued           after a piece that fired job__enqueue; until job__dequeue
 *   taken            by the thread that fires job__dequeue, others with it perhaps; until its
 *                    request__run on that thread (or, if the batch fails before its turn, until
 *                    db__txn__commit)
 *   commit           after its piece in the writer, which goes on with the batch's others and
 *                    commits them all at once; until db__txn__commit on that thread
 *   reply's turn     the writer's after the commit, the hasher's after its piece; until job__reply
 *   behind the loop  which has the reply and other things to do; until request__run on its thread
 *   sending          after a piece that fired no job__enqueue: it has answered (response__start),
 *                    as far as the socket took it at once; until request__done
 *
 * The batch of a transaction is what its thread has dequeued since the last one; n_items says how
 * many that are. To a client that has left nothing is sent: its last piece fires no response__start.
 *
 * Not in any piece: libh2o's reading and parsing of a request, before request__start; its writing of
 * what the socket did not take at once, while the request is sending; and its tidying up.
 *
 * Two sets of probes tell all of the above. Every hit costs the server, so there is one for who
 * wants it as it happens, and one that tells the same by fewer hits:
 *
 *   request__start, request__run, request__pause, request__done, db__stmt__*, db__txn__commit, job__*
 *   request__start, request__run, request__leave, request__account, db__own__done, db__txn__commit,
 *   job__*
 *
 * A simple read (GET /rooms) passes five of the first, and two of the second: request__start and
 * request__account. All others tell what is done within a piece.
 *
 * How a statement's time is counted: from its first step to its reset, the making of JSON from its
 * rows included.
 */
#ifndef COWORKING_PROBES_H
#define COWORKING_PROBES_H

#include <stdbool.h>
#include <stdint.h>

#include "clock.h"
#include "compiler.h"

/* request__done's flags */
#define PROBE_ABORTED	1 /* the client left before it was answered or could read it */
#define PROBE_KEEPALIVE 2 /* the connection stays open */

/* server__state's states */
enum probe_state {
	PROBE_STARTING,
	PROBE_SERVING,
	PROBE_DRAINING,
	PROBE_STOPPED,
};

/*
 * PROBE(name, ...) fires a probe if anybody is attached to it. PROBE_ENABLED(name) tells that, for
 * what takes more than an expression to compute. PROBE_TIME(name) is the time now if name, the
 * probe that will report it, is attached, and 0 otherwise; probe_since() the time since then.
 * COWORKING_NO_PROBES makes nothing of all of them, to measure what they cost.
 */
#ifdef COWORKING_NO_PROBES
#define PROBE_ENABLED(name) 0
#else
/* the kernel changes it: it must be read each time */
#define PROBE_ENABLED(name) __builtin_expect(coworking_##name##_semaphore != 0, 0)
#endif

#define PROBE(name, ...)                           \
	do {                                       \
		if (PROBE_ENABLED(name))           \
			probe_##name(__VA_ARGS__); \
	} while (0)

#define PROBE_TIME(name) (PROBE_ENABLED(name) ? clock_ns() : 0)

static inline uint64_t probe_since(uint64_t begin)
{
	return begin != 0 ? clock_ns() - begin : 0;
}

#define DECLARE_PROBE(name, ...)                                    \
	extern volatile unsigned short coworking_##name##_semaphore \
		__attribute__((visibility("hidden")));              \
	STEP void probe_##name(__VA_ARGS__)

/* A connection: accepted by a loop; closed, after so many requests and bytes of their bodies. */
DECLARE_PROBE(conn__open, uint64_t conn_id, unsigned int thread, int fd);
DECLARE_PROBE(conn__close, uint64_t conn_id, uint64_t requests, uint64_t bytes_in,
	      uint64_t bytes_out);

/*
 * A request begins: read completely, its route found, nothing else done. method is enum
 * http_method (GET 0, HEAD 1, POST 2, DELETE 3, OPTIONS 4, other 5); path without the query,
 * decoded, the first 255 bytes; route_id the row in routes.c, -1 for none.
 */
DECLARE_PROBE(request__start, uint64_t req_id, uint64_t conn_id, int method, const char *path,
	      int route_id, uint64_t body_len);
DECLARE_PROBE(request__run, uint64_t req_id);
DECLARE_PROBE(request__pause, uint64_t req_id);
/* Right before the pause of every piece but the last one, whose end request__account tells. */
DECLARE_PROBE(request__leave, uint64_t req_id);
/* Its answer is made and goes to the socket; bytes of the body. */
DECLARE_PROBE(response__start, uint64_t req_id, int status, uint64_t bytes);
/* It is over: sent, or given up. The last probe of a request; duration from request__start. */
DECLARE_PROBE(request__done, uint64_t req_id, int route_id, int status, uint64_t bytes,
	      uint64_t dur_ns, unsigned int flags);

/*
 * What was done for a request, added up while request__account is attached: for who need not know
 * when. Fires right before request__done; a tool reads it in the process's memory.
 */
#define PROBE_ACCOUNT_STMTS 8

struct probe_account {
	uint32_t size;	   /* of this structure: later versions have more at its end */
	uint32_t nr_stmts; /* statements told apart below, in the order in which they first ended */
	uint64_t sending_ns; /* since its last piece ended */
	uint64_t
		loop_sql_ns; /* of the statements: in pieces of its loop, by the loop's connection */
	uint32_t
		lost_stmts; /* executions of further statements; their time is in loop_sql_ns, too */
	uint32_t reserved;
	struct {
		uint32_t stmt_id;
		uint32_t count;
		uint64_t ns, max_ns;
		uint32_t rows, vm_steps; /* sums, at most UINT32_MAX */
	} stmts[PROBE_ACCOUNT_STMTS];
	const char *sql[PROBE_ACCOUNT_STMTS]; /* their texts */
	uint64_t paused_at;		      /* the server's own */
};

DECLARE_PROBE(request__account, uint64_t req_id, int route_id, int status, uint64_t dur_ns,
	      unsigned int flags, const struct probe_account *account);

/* The handler of a route, by its function's name; jobs it submits go on after its return. */
DECLARE_PROBE(handler__entry, uint64_t req_id, int route_id, const char *name);
DECLARE_PROBE(handler__return, uint64_t req_id, int route_id, int result);

/* The check of a bearer token; user_id is "" where it failed. */
DECLARE_PROBE(auth__start, uint64_t req_id, uint64_t token_len);
DECLARE_PROBE(auth__done, uint64_t req_id, int result, const char *user_id);

/* A password hash, made or checked, in the hashing thread; memlimit in bytes. */
DECLARE_PROBE(pwhash__start, uint64_t req_id, uint64_t memlimit);
DECLARE_PROBE(pwhash__done, uint64_t req_id, int result, uint64_t dur_ns);

/* JSON read, len bytes of it, err_pos where it broke (0 if it did not); and written. */
DECLARE_PROBE(json__parse__start, uint64_t req_id, uint64_t len);
DECLARE_PROBE(json__parse__done, uint64_t req_id, uint64_t len, int result, uint64_t err_pos);
DECLARE_PROBE(json__dump__start, uint64_t req_id);
DECLARE_PROBE(json__dump__done, uint64_t req_id, uint64_t len, uint64_t dur_ns);

/*
 * An SQL statement: stmt_id is enum db_stmt, sql its text with ?1 where values go (never any
 * user's data), role 0 for a loop's connection and 1 for the writer's; rc is SQLite's extended
 * result code (101 SQLITE_DONE, 100 SQLITE_ROW if rows were left unread).
 */
DECLARE_PROBE(db__stmt__start, uint64_t req_id, int stmt_id, const char *sql, int role);
DECLARE_PROBE(db__stmt__done, uint64_t req_id, int stmt_id, int rc, uint64_t rows,
	      uint64_t vm_steps, uint64_t dur_ns);
/* The same of a statement that belongs to no request, the writer's own. */
DECLARE_PROBE(db__own__done, int stmt_id, const char *sql, int rc, uint64_t rows, uint64_t vm_steps,
	      uint64_t dur_ns);
/* A transaction of the writer with n_items requests in it; rolled back if result is not 0. */
DECLARE_PROBE(db__txn__begin, uint64_t txn_id);
DECLARE_PROBE(db__txn__commit, uint64_t txn_id, unsigned int n_items, uint64_t dur_ns, int result);
/* The database is locked by another process; waits for the tries-th time (from 0). */
DECLARE_PROBE(db__busy, uint64_t req_id, int stmt_id, int tries);
/* The writer has moved the WAL, frames long, into the database; rc is SQLite's. */
DECLARE_PROBE(db__checkpoint, int frames, uint64_t dur_ns, int rc);

/*
 * A request in a queue (1 the writer's, 2 the hasher's): goes there when this piece is over, as the
 * depth-th; taken out, after wait_ns in it; its result sent back to its loop, work_ns after it was
 * taken out.
 */
DECLARE_PROBE(job__enqueue, uint64_t req_id, int queue, unsigned int depth);
DECLARE_PROBE(job__dequeue, uint64_t req_id, int queue, uint64_t wait_ns);
DECLARE_PROBE(job__reply, uint64_t req_id, int queue, int result, uint64_t work_ns);

/* The process: enum probe_state, and how many connections it takes. */
DECLARE_PROBE(server__state, int state, unsigned int connections);

/* GET /trace: somebody wants what just happened to be kept. */
DECLARE_PROBE(trace__request, uint64_t req_id, const char *user_id);

/*
 * The request that this thread is working on, for probes in places that know of no request, and its
 * account; 0 and NULL for none. Set by http_request_begin() and the functions below alone.
 */
extern _Thread_local uint64_t probe_request;
extern _Thread_local struct probe_account *probe_account;

/* Begins a piece of work. */
static inline void probe_run(uint64_t req_id, struct probe_account *account)
{
	probe_request = req_id;
	probe_account = account;
	PROBE(request__run, req_id);
}

static inline void probe_end_piece(uint64_t req_id)
{
	PROBE(request__pause, req_id);
	probe_request = 0;
	probe_account = NULL;
}

/* Ends the last piece of a request. */
static inline void probe_pause(uint64_t req_id)
{
	if (probe_account != NULL)
		probe_account->paused_at = PROBE_TIME(request__account);
	probe_end_piece(req_id);
}

/* Ends a piece of a request that others will follow. */
static inline void probe_leave(uint64_t req_id)
{
	PROBE(request__leave, req_id);
	probe_end_piece(req_id);
}

/* A statement that has ended, for the account of this thread's request. */
struct probe_stmt {
	uint32_t id;
	const char *sql;
	uint64_t ns, rows, vm_steps;
	bool by_loop; /* by a loop's connection */
};

void probe_account_stmt(struct probe_account *account, const struct probe_stmt *stmt);

#endif
