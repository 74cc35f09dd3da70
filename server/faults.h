/* SPDX-License-Identifier: MIT */
/*
 * Mistakes that servers really make, to be found with a profiler: --demo-fault NAME. Off unless
 * asked for by name; each is confined to the lines that ask fault_on() about it. The list is in
 * faults.c.
 */
#ifndef COWORKING_FAULTS_H
#define COWORKING_FAULTS_H

#include <stdbool.h>
#include <stddef.h>

#include "compiler.h"

enum fault {
	FAULT_ALL_BOOKINGS,    /* GET /rooms reads every booking there is */
	FAULT_EMAIL_LOOKUP,    /* authorization looks for an email without an index */
	FAULT_JWT_SPLIT,       /* the token is split in quadratic time */
	FAULT_BLOCKING_WRITES, /* the loop itself writes to the database, and waits for the disk */
	FAULT_JSON_LOCK,       /* one lock around all JSON */
	FAULT_LEAK,	       /* each request leaves some memory behind */
	FAULT_GROWING_CACHE,   /* a cache that never finds anything and never forgets */
	FAULT_COUNT,
};

/* Set before there are threads, constant afterwards. */
extern unsigned int faults_enabled;

static inline bool fault_on(enum fault fault)
{
	return __builtin_expect((faults_enabled & 1U << fault) != 0, 0);
}

/* Enables a fault by its name. 0, or -EINVAL for an unknown one. */
int fault_enable(const char *name);

/* The name of a fault; all of them are told by --help. */
const char *fault_name(enum fault fault);

/* FAULT_JWT_SPLIT: the number of dots in a token, found the slow way. */
STEP size_t fault_split_token(const char *token, size_t len);

/* FAULT_JSON_LOCK: the lock, taken and given back. */
STEP void fault_json_lock(void);
STEP void fault_json_unlock(void);

/* FAULT_LEAK and FAULT_GROWING_CACHE: called once for each answer. */
STEP void fault_leak(void);
STEP void fault_remember(const char *key, const char *text);

#endif
