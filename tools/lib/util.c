/* SPDX-License-Identifier: MIT */
/* Small helpers: growing arrays, strict number parsing, time, hashing, whole files. */
#include "util.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int array_grow(void **items, size_t n, size_t *cap, size_t size)
{
	size_t want = *cap ? *cap * 2 : 8;
	void *p;

	if (n < *cap)
		return 0;
	p = reallocarray(*items, want, size);
	if (!p)
		return -ENOMEM;
	*items = p;
	*cap = want;
	return 0;
}

int parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
	unsigned long long value;
	char *end;

	/* strtoull takes signs and leading blanks; we do not. */
	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (*end)
		return -EINVAL;
	if (errno == ERANGE || value < min || value > max)
		return -ERANGE;
	*ret = value;
	return 0;
}

int parse_duration(const char *text, uint64_t *ret_ns)
{
	static const struct {
		const char *suffix;
		double ns;
	} units[] = {
		{ "", 1e9 },   { "s", 1e9 },  { "ms", 1e6 },
		{ "us", 1e3 }, { "m", 60e9 }, { "h", 3600e9 },
	};
	const char *p = text;
	char number[32];
	double value;
	size_t len;

	while ((*p >= '0' && *p <= '9') || *p == '.')
		p++;
	len = p - text;
	if (!len || len >= sizeof(number) || text[0] == '.' || p[-1] == '.')
		return -EINVAL;
	memcpy(number, text, len);
	number[len] = '\0';
	if (strchr(number, '.') != strrchr(number, '.'))
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (strcmp(p, units[i].suffix))
			continue;
		value = strtod(number, NULL) * units[i].ns;
		if (value < 1 || value > 366.0 * 86400e9)
			return -ERANGE;
		*ret_ns = (uint64_t)llround(value);
		return 0;
	}
	return -EINVAL;
}

int parse_size(const char *text, uint64_t *ret_bytes)
{
	static const char letters[] = "KMGT";
	const char *suffix = text + strspn(text, "0123456789"), *letter = NULL;
	char number[32];
	uint64_t value;
	size_t len = (size_t)(suffix - text);
	int err, shift = 0;

	if (len >= sizeof(number))
		return -ERANGE;
	memcpy(number, text, len);
	number[len] = '\0';
	if (*suffix)
		letter = strchr(letters, toupper((unsigned char)*suffix));
	if (letter) {
		shift = 10 * (int)(letter - letters + 1);
		suffix++;
	}
	if (strcmp(suffix, "") != 0 && strcmp(suffix, "B") != 0 &&
	    !(letter && !strcmp(suffix, "iB")))
		return -EINVAL;
	err = parse_u64(number, 0, UINT64_MAX >> shift, &value);
	if (!err)
		*ret_bytes = value << shift;
	return err;
}

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

uint64_t hash_bytes(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t h = 0xcbf29ce484222325;

	while (len--)
		h = (h ^ *p++) * 0x100000001b3;
	h ^= h >> 32;
	h *= 0x9e3779b97f4a7c15;
	return h ^ (h >> 29);
}

char *read_file_at(int dirfd, const char *path, size_t max, size_t *ret_len)
{
	size_t len = 0, cap = 4096;
	int fd, err = 0;
	char *buf, *p;
	ssize_t n;

	fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	buf = malloc(cap);
	if (!buf)
		err = ENOMEM;
	while (!err) {
		n = read(fd, buf + len, cap - len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			err = errno;
		if (n <= 0)
			break;
		len += n;
		if (len > max)
			err = EFBIG;
		if (len + 1 < cap)
			continue;
		p = realloc(buf, cap * 2);
		if (!p) {
			err = ENOMEM;
			break;
		}
		buf = p;
		cap *= 2;
	}
	close(fd);
	if (err) {
		free(buf);
		errno = err;
		return NULL;
	}
	buf[len] = '\0';
	if (ret_len)
		*ret_len = len;
	return buf;
}
