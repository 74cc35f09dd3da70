/* SPDX-License-Identifier: MIT */
/*
 * The sites of the probes, one each. sys/sdt.h makes a nop of one byte, as here, and a note in the
 * ELF file that says where it is and where its arguments are.
 */
#define _SDT_HAS_SEMAPHORES 1
#include "probes.h"

#include <sys/sdt.h>

_Thread_local uint64_t probe_request;
_Thread_local struct probe_account *probe_account;

static uint32_t add_up(uint32_t sum, uint64_t n)
{
	return n < UINT32_MAX - sum ? sum + (uint32_t)n : UINT32_MAX;
}

void probe_account_stmt(struct probe_account *account, const struct probe_stmt *stmt)
{
	uint32_t i = 0;

	if (stmt->by_loop)
		account->loop_sql_ns += stmt->ns;
	while (i < account->nr_stmts && account->stmts[i].stmt_id != stmt->id)
		i++;
	if (i == PROBE_ACCOUNT_STMTS) {
		account->lost_stmts++;
		return;
	}
	if (i == account->nr_stmts) {
		account->nr_stmts++;
		account->stmts[i].stmt_id = stmt->id;
		account->sql[i] = stmt->sql;
	}
	account->stmts[i].count++;
	account->stmts[i].ns += stmt->ns;
	if (stmt->ns > account->stmts[i].max_ns)
		account->stmts[i].max_ns = stmt->ns;
	account->stmts[i].rows = add_up(account->stmts[i].rows, stmt->rows);
	account->stmts[i].vm_steps = add_up(account->stmts[i].vm_steps, stmt->vm_steps);
}

#ifndef COWORKING_NO_PROBES

#define SITE(name, n, params, ...)                                                                \
	volatile unsigned short coworking_##name##_semaphore __attribute__((section(".probes"))); \
	void probe_##name params                                                                  \
	{                                                                                         \
		STAP_PROBE##n(coworking, name, __VA_ARGS__);                                      \
	}

SITE(conn__open, 3, (uint64_t id, unsigned int thread, int fd), id, thread, fd)
SITE(conn__close, 4, (uint64_t id, uint64_t requests, uint64_t in, uint64_t out), id, requests, in,
     out)
SITE(request__start, 6,
     (uint64_t id, uint64_t conn, int method, const char *path, int route, uint64_t len), id, conn,
     method, path, route, len)
SITE(request__run, 1, (uint64_t id), id)
SITE(request__pause, 1, (uint64_t id), id)
SITE(request__leave, 1, (uint64_t id), id)
SITE(response__start, 3, (uint64_t id, int status, uint64_t bytes), id, status, bytes)
SITE(request__done, 6,
     (uint64_t id, int route, int status, uint64_t bytes, uint64_t dur, unsigned int flags), id,
     route, status, bytes, dur, flags)
SITE(request__account, 6,
     (uint64_t id, int route, int status, uint64_t dur, unsigned int flags,
      const struct probe_account *account),
     id, route, status, dur, flags, account)
SITE(handler__entry, 3, (uint64_t id, int route, const char *name), id, route, name)
SITE(handler__return, 3, (uint64_t id, int route, int result), id, route, result)
SITE(auth__start, 2, (uint64_t id, uint64_t len), id, len)
SITE(auth__done, 3, (uint64_t id, int result, const char *user), id, result, user)
SITE(pwhash__start, 2, (uint64_t id, uint64_t memlimit), id, memlimit)
SITE(pwhash__done, 3, (uint64_t id, int result, uint64_t dur), id, result, dur)
SITE(json__parse__start, 2, (uint64_t id, uint64_t len), id, len)
SITE(json__parse__done, 4, (uint64_t id, uint64_t len, int result, uint64_t pos), id, len, result,
     pos)
SITE(json__dump__start, 1, (uint64_t id), id)
SITE(json__dump__done, 3, (uint64_t id, uint64_t len, uint64_t dur), id, len, dur)
SITE(db__stmt__start, 4, (uint64_t id, int stmt, const char *sql, int role), id, stmt, sql, role)
SITE(db__stmt__done, 6,
     (uint64_t id, int stmt, int rc, uint64_t rows, uint64_t steps, uint64_t dur), id, stmt, rc,
     rows, steps, dur)
SITE(db__own__done, 6,
     (int stmt, const char *sql, int rc, uint64_t rows, uint64_t steps, uint64_t dur), stmt, sql,
     rc, rows, steps, dur)
SITE(db__txn__begin, 1, (uint64_t txn), txn)
SITE(db__txn__commit, 4, (uint64_t txn, unsigned int items, uint64_t dur, int result), txn, items,
     dur, result)
SITE(db__busy, 3, (uint64_t id, int stmt, int tries), id, stmt, tries)
SITE(db__checkpoint, 3, (int frames, uint64_t dur, int rc), frames, dur, rc)
SITE(job__enqueue, 3, (uint64_t id, int queue, unsigned int depth), id, queue, depth)
SITE(job__dequeue, 3, (uint64_t id, int queue, uint64_t wait), id, queue, wait)
SITE(job__reply, 4, (uint64_t id, int queue, int result, uint64_t work), id, queue, result, work)
SITE(server__state, 2, (int state, unsigned int connections), state, connections)
SITE(trace__request, 2, (uint64_t id, const char *user), id, user)

#endif
