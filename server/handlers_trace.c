/* SPDX-License-Identifier: MIT */
/*
 * GET /trace: fires the probe trace__request, by which a flight recorder outside keeps what just
 * happened. The server itself records nothing.
 */
#include "handlers.h"
#include "probes.h"

int handle_trace(struct request *r)
{
	if (!PROBE_ENABLED(trace__request)) {
		http_send_error(r, API_NO_TRACER, NULL);
		return 0;
	}
	PROBE(trace__request, r->id, r->user_id);
	http_send_json(r, 202, json_pack("{s:s}", "status", "requested"));
	return 0;
}
