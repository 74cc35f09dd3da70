/* SPDX-License-Identifier: MIT */
/*
 * JSON in and out: strict parsing of what clients send, and the text of what they get.
 */
#ifndef COWORKING_JSON_H
#define COWORKING_JSON_H

#include <jansson.h>
#include <stddef.h>

#include "compiler.h"

/*
 * Parses a text that must be exactly one object, without duplicate keys. Returns a new reference
 * in *ret, or -EINVAL and leaves *ret untouched.
 */
STEP int json_parse_object(const char *text, size_t len, json_t **ret);

/*
 * The member of an object that must be a string of min to max bytes; NULL if it is missing, of
 * another type or length, or holds a NUL. The string belongs to the object.
 */
const char *json_string_member(const json_t *object, const char *key, size_t min, size_t max);

/* The compact text of a value, to be freed with free(); NULL without memory. */
STEP char *json_text(const json_t *value);

#endif
