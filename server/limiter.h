/* SPDX-License-Identifier: MIT */
/*
 * A limit on failed logins, over all loops: so many at once, then one for each pause. Counted for
 * a user name as tried from one address, so that nobody can lock out somebody elsewhere, and for
 * an address over all names, so that trying one password on many names does not go round it.
 *
 * Promises: memory of a fixed size. When it is full the counts least in use are forgotten, so a
 * flood of names can cost the limit its memory but the server nothing.
 */
#ifndef COWORKING_LIMITER_H
#define COWORKING_LIMITER_H

#include <pthread.h>
#include <stdint.h>

#define LIMITER_SETS 1024
#define LIMITER_WAYS 4

/* What was tried: hashes of the two, made by limiter_key(). */
struct limiter_key {
	uint64_t name, address;
};

struct limiter_entry {
	uint64_t key;	  /* 0: free */
	uint64_t free_at; /* CLOCK_MONOTONIC, ns: when all failures are forgiven */
};

struct limiter {
	pthread_mutex_t lock;
	unsigned char hash_key[16]; /* random: nobody can aim at a slot */
	struct limiter_entry entries[LIMITER_SETS][LIMITER_WAYS];
};

void limiter_init(struct limiter *limiter);
void limiter_release(struct limiter *limiter);

/* The keys of a user name and the bytes of an address. */
struct limiter_key limiter_key(const struct limiter *limiter, const char *name, const void *address,
			       size_t address_len);

/* Seconds until this may be tried again, rounded up; 0 if it may be now. */
unsigned int limiter_wait(struct limiter *limiter, struct limiter_key key);

/* Counts a failure. */
void limiter_fail(struct limiter *limiter, struct limiter_key key);

#endif
