/* SPDX-License-Identifier: MIT */
#include "json.h"

#include <errno.h>
#include <string.h>

#include "faults.h"
#include "probes.h"

int json_parse_object(const char *text, size_t len, json_t **ret)
{
	json_error_t error = { .position = 0 };
	json_t *value;

	PROBE(json__parse__start, probe_request, len);
	if (fault_on(FAULT_JSON_LOCK))
		fault_json_lock();
	value = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	if (fault_on(FAULT_JSON_LOCK))
		fault_json_unlock();
	PROBE(json__parse__done, probe_request, len, value != NULL ? 0 : -EINVAL,
	      value != NULL ? 0 : (uint64_t)error.position);
	if (value == NULL)
		return -EINVAL;
	if (!json_is_object(value)) {
		json_decref(value);
		return -EINVAL;
	}
	*ret = value;
	return 0;
}

const char *json_string_member(const json_t *object, const char *key, size_t min, size_t max)
{
	const json_t *member = json_object_get(object, key);
	size_t len;

	if (!json_is_string(member))
		return NULL;
	len = json_string_length(member);
	/* the parser refuses \u0000, so length and strlen() agree; the check costs nothing */
	if (len < min || len > max || strlen(json_string_value(member)) != len)
		return NULL;
	return json_string_value(member);
}

char *json_text(const json_t *value)
{
	uint64_t begin = PROBE_TIME(json__dump__done);
	char *text;

	PROBE(json__dump__start, probe_request);
	if (fault_on(FAULT_JSON_LOCK))
		fault_json_lock();
	/* 15 digits: a price of 0.1 is written 0.1, not 0.10000000000000001 */
	text = json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(15));
	if (fault_on(FAULT_JSON_LOCK))
		fault_json_unlock();
	PROBE(json__dump__done, probe_request, text != NULL ? strlen(text) : 0, probe_since(begin));
	step_end();
	return text;
}
