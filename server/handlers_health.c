/* SPDX-License-Identifier: MIT */
/*
 * GET /healthz: whether this loop runs and can read the database.
 */
#include <errno.h>

#include "db.h"
#include "handlers.h"

int handle_healthz(struct request *r)
{
	sqlite3_stmt *stmt = db_stmt(r->db, STMT_PING);
	int err = stmt != NULL ? db_step(r->db, stmt) : -EIO;

	db_reset(r->db, stmt);
	if (err < 0)
		return err;
	http_send_json(r, 200, json_pack("{s:s}", "status", "ok"));
	return 0;
}
