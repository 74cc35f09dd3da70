/* SPDX-License-Identifier: MIT */
#include "faults.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define LEAK_BYTES    256
#define CACHE_BUCKETS 1024

unsigned int faults_enabled;

static const char *const names[FAULT_COUNT] = {
	[FAULT_ALL_BOOKINGS] = "all-bookings",	 [FAULT_EMAIL_LOOKUP] = "email-lookup",
	[FAULT_JWT_SPLIT] = "jwt-split",	 [FAULT_BLOCKING_WRITES] = "blocking-writes",
	[FAULT_JSON_LOCK] = "json-lock",	 [FAULT_LEAK] = "leak",
	[FAULT_GROWING_CACHE] = "growing-cache",
};

int fault_enable(const char *name)
{
	for (size_t i = 0; i < FAULT_COUNT; i++) {
		if (strcmp(names[i], name) == 0) {
			faults_enabled |= 1U << i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *fault_name(enum fault fault)
{
	return names[fault];
}

/* Like splitting a string by taking its parts off the front: each part copies the rest. */
size_t fault_split_token(const char *token, size_t len)
{
	char *rest = strndup(token, len);
	size_t dots = 0;

	if (rest == NULL)
		return 0;
	while (*rest != '\0') {
		char *shorter;

		dots += *rest == '.';
		shorter = strdup(rest + 1);
		free(rest);
		if (shorter == NULL)
			return dots;
		rest = shorter;
	}
	free(rest);
	return dots;
}

static pthread_mutex_t json_mutex = PTHREAD_MUTEX_INITIALIZER;

void fault_json_lock(void)
{
	pthread_mutex_lock(&json_mutex);
	step_end();
}

void fault_json_unlock(void)
{
	pthread_mutex_unlock(&json_mutex);
	step_end();
}

void fault_leak(void)
{
	void *volatile lost = malloc(LEAK_BYTES); /* volatile: gcc would leave it out */

	if (lost != NULL)
		memset(lost, 'x', LEAK_BYTES);
	step_end(); // NOLINT(clang-analyzer-unix.Malloc)
		    // cppcheck-suppress memleak
}

struct cached {
	struct cached *next;
	char *key, *text;
};

static struct {
	pthread_mutex_t lock;
	struct cached *buckets[CACHE_BUCKETS];
} cache = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* The mistake: the key holds the request's id, so that nothing is ever found again. */
void fault_remember(const char *key, const char *text)
{
	struct cached *entry = malloc(sizeof(*entry));
	size_t hash = 5381;

	for (const char *p = key; *p != '\0'; p++)
		hash = hash * 33 + (unsigned char)*p;
	if (entry == NULL)
		return;
	entry->key = strdup(key);
	entry->text = strdup(text);
	pthread_mutex_lock(&cache.lock);
	entry->next = cache.buckets[hash % CACHE_BUCKETS];
	cache.buckets[hash % CACHE_BUCKETS] = entry;
	pthread_mutex_unlock(&cache.lock);
}
