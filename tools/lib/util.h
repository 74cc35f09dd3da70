/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_UTIL_H
#define PERISCOPE_UTIL_H

/* Small things that every module needs and the C library lacks. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)     ((a) < (b) ? (a) : (b))
#define MAX(a, b)     ((a) > (b) ? (a) : (b))

/*
 * Make room for one more element in the array *items of element size `size`, which holds `n` of
 * `*cap` elements; doubles the capacity when full. Returns 0 or -ENOMEM (the array unchanged).
 */
int array_grow(void **items, size_t n, size_t *cap, size_t size);

/*
 * Parse a whole string as an unsigned decimal number in [min, max]. Anything else in the string
 * (signs, spaces, a tail) is refused. Returns 0, -EINVAL for no number, -ERANGE outside the range;
 * *ret is untouched on failure.
 */
int parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret);

/*
 * Parse a duration: `10`, `10s`, `500ms`, `2m`, `1h`, fractions as `0.5s`. Writes nanoseconds.
 * Returns 0, -EINVAL for no duration, -ERANGE for zero or more than a year.
 */
int parse_duration(const char *text, uint64_t *ret_ns);

/*
 * Parse a size in bytes: `4096`, `64K`, `1M`, `2G`, `1T`, each of 1024 of the one before, with B or
 * iB behind or not. Returns 0, -EINVAL for no size, -ERANGE for one beyond 64 bits.
 */
int parse_size(const char *text, uint64_t *ret_bytes);

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t now_ns(void);

/* A 64-bit hash of `len` bytes (FNV-1a, finished by a multiply-shift). Not for hostile keys. */
uint64_t hash_bytes(const void *data, size_t len);

/*
 * Read a whole file of unknown size (/proc has none) into a NUL-terminated buffer that the caller
 * frees; *ret_len excludes the NUL. `max` bounds the size (-EFBIG beyond). Returns NULL and errno.
 */
char *read_file_at(int dirfd, const char *path, size_t max, size_t *ret_len);

#endif
