/* SPDX-License-Identifier: MIT */
#include "limiter.h"

#include <sodium.h>
#include <string.h>

#include "clock.h"

/*
 * Ten tries, then one every six seconds: enough for people, 14,400 a day for a guesser. From one
 * address over all names fifty, then one a second.
 */
#define NAME_BURST    10
#define NAME_PAUSE    (6 * NS_PER_S)
#define ADDRESS_BURST 50
#define ADDRESS_PAUSE (1 * NS_PER_S)

_Static_assert(crypto_shorthash_KEYBYTES == 16 && crypto_shorthash_BYTES == 8, "SipHash-2-4");

void limiter_init(struct limiter *limiter)
{
	memset(limiter, 0, sizeof(*limiter));
	pthread_mutex_init(&limiter->lock, NULL);
	randombytes_buf(limiter->hash_key, sizeof(limiter->hash_key));
}

void limiter_release(struct limiter *limiter)
{
	pthread_mutex_destroy(&limiter->lock);
}

static uint64_t hash(const struct limiter *limiter, const void *data, size_t len)
{
	unsigned char out[crypto_shorthash_BYTES];
	uint64_t value;

	crypto_shorthash(out, data, len, limiter->hash_key);
	memcpy(&value, out, sizeof(value));
	return value != 0 ? value : 1;
}

struct limiter_key limiter_key(const struct limiter *limiter, const char *name, const void *address,
			       size_t address_len)
{
	struct limiter_key key = { .address = hash(limiter, address, address_len) };
	uint64_t both[2] = { key.address, hash(limiter, name, strlen(name)) };

	key.name = hash(limiter, both, sizeof(both));
	return key;
}

/* The entry of a key, or the one to be used for it: a free one, or the one forgiven first. */
static struct limiter_entry *find(struct limiter *limiter, uint64_t key)
{
	struct limiter_entry *set = limiter->entries[key % LIMITER_SETS], *best = &set[0];

	for (size_t i = 0; i < LIMITER_WAYS; i++) {
		if (set[i].key == key)
			return &set[i];
		if (set[i].free_at < best->free_at)
			best = &set[i];
	}
	return best;
}

/* How far beyond its burst a key is, in ns. */
static uint64_t excess(struct limiter *limiter, uint64_t key, unsigned int burst, uint64_t pause)
{
	const struct limiter_entry *entry = find(limiter, key);
	uint64_t now = clock_ns(), debt;

	if (entry->key != key || entry->free_at <= now)
		return 0;
	debt = entry->free_at - now;
	return debt > (burst - 1) * pause ? debt - (burst - 1) * pause : 0;
}

static void add(struct limiter *limiter, uint64_t key, uint64_t pause)
{
	struct limiter_entry *entry = find(limiter, key);
	uint64_t now = clock_ns();

	if (entry->key != key || entry->free_at < now)
		*entry = (struct limiter_entry){ .key = key, .free_at = now };
	entry->free_at += pause;
}

unsigned int limiter_wait(struct limiter *limiter, struct limiter_key key)
{
	uint64_t name, address, wait;

	pthread_mutex_lock(&limiter->lock);
	name = excess(limiter, key.name, NAME_BURST, NAME_PAUSE);
	address = excess(limiter, key.address, ADDRESS_BURST, ADDRESS_PAUSE);
	pthread_mutex_unlock(&limiter->lock);
	wait = name > address ? name : address;
	return (unsigned int)((wait + NS_PER_S - 1) / NS_PER_S);
}

void limiter_fail(struct limiter *limiter, struct limiter_key key)
{
	pthread_mutex_lock(&limiter->lock);
	add(limiter, key.name, NAME_PAUSE);
	add(limiter, key.address, ADDRESS_PAUSE);
	pthread_mutex_unlock(&limiter->lock);
}
