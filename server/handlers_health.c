/* SPDX-License-Identifier: MIT */
/*
 * GET /healthz: whether this loop runs and can read the database.
 */
#include "db.h"
#include "handlers.h"

int handle_healthz(struct request *r)
{
	int err = db_run(r->db, STMT_PING);

	if (err < 0)
		return err;
	http_send_json(r, 200, json_pack("{s:s}", "status", "ok"));
	return 0;
}
