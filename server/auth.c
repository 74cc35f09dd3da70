/* SPDX-License-Identifier: MIT */
#include "auth.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app.h"
#include "faults.h"
#include "models.h"
#include "probes.h"

/* Writes a new secret in a way that no crash leaves half of it, and no race two of them. */
static int create_secret(const char *path)
{
	unsigned char random[32];
	char text[2 * sizeof(random) + 1], tmp[PATH_MAX];
	int fd, err = 0;

	if (snprintf(tmp, sizeof(tmp), "%s.XXXXXX", path) >= (int)sizeof(tmp))
		return -ENAMETOOLONG;
	randombytes_buf(random, sizeof(random));
	sodium_bin2hex(text, sizeof(text), random, sizeof(random));
	text[sizeof(text) - 1] = '\n';
	fd = mkstemp(tmp); /* mode 0600 */
	if (fd < 0)
		return -errno;
	errno = EIO; /* for a short write, which sets none */
	if (write(fd, text, sizeof(text)) != (ssize_t)sizeof(text) || fsync(fd) != 0)
		err = -errno;
	close(fd);
	/* unlike rename(), link() does not replace the secret of a server that was faster */
	if (err == 0 && link(tmp, path) != 0 && errno != EEXIST)
		err = -errno;
	unlink(tmp);
	sodium_memzero(text, sizeof(text));
	return err;
}

static int read_secret(int fd, struct jwt_secret *secret, const char **ret_why)
{
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) != 0)
		return -errno;
	if (!S_ISREG(st.st_mode)) {
		*ret_why = "it is not a regular file";
		return -EINVAL;
	}
	if ((st.st_mode & 077) != 0) {
		*ret_why = "others than its owner have access to it: chmod 600";
		return -EPERM;
	}
	if (st.st_size > JWT_SECRET_MAX) {
		*ret_why = "it is longer than 1024 bytes";
		return -EINVAL;
	}
	n = read(fd, secret->bytes, sizeof(secret->bytes));
	if (n < 0)
		return -errno;
	if (n > 0 && secret->bytes[n - 1] == '\n')
		n--;
	if (n < JWT_SECRET_MIN) {
		*ret_why = "it is shorter than 32 bytes";
		return -EINVAL;
	}
	secret->len = (size_t)n;
	return 0;
}

int auth_load_secret(const char *path, struct jwt_secret *secret, char *why, size_t size)
{
	const char *reason = NULL;
	int fd, err = 0;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		err = create_secret(path);
		if (err == 0)
			fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (fd < 0) {
		err = err != 0 ? err : -errno;
	} else {
		err = read_secret(fd, secret, &reason);
		close(fd);
	}
	if (err != 0)
		snprintf(why, size, "%s", reason != NULL ? reason : strerror(-err));
	return err;
}

/* The token in an Authorization header, without its scheme. -ENOKEY, -EACCES for two headers. */
static int find_token(const struct request *r, const char **ret, size_t *ret_len)
{
	static const char scheme[] = "Bearer ";
	const char *value;
	size_t len;
	int err;

	err = http_authorization(r, &value, &len);
	if (err == -EINVAL)
		return -EACCES;
	if (err != 0 || len < sizeof(scheme) - 1 ||
	    strncasecmp(value, scheme, sizeof(scheme) - 1) != 0)
		return -ENOKEY;
	value += sizeof(scheme) - 1;
	len -= sizeof(scheme) - 1;
	while (len > 0 && *value == ' ') {
		value++;
		len--;
	}
	*ret = value;
	*ret_len = len;
	return 0;
}

int auth_request(struct request *r)
{
	const char *token = "";
	size_t len = 0;
	int err;

	err = find_token(r, &token, &len);
	PROBE(auth__start, r->id, len);
	if (err == 0 && fault_on(FAULT_JWT_SPLIT) && fault_split_token(token, len) != 2)
		err = -EACCES;
	if (err == 0 && fault_on(FAULT_EMAIL_LOOKUP))
		model_user_by_email_scan(r->db, "demo@example.org");
	if (err == 0)
		err = jwt_verify(&r->app->secret, token, len, time(NULL), r->user_id);
	if (err == 0)
		err = model_user_exists(r->db, r->user_id);
	if (err == -ENOENT)
		err = -EACCES;
	PROBE(auth__done, r->id, err, err == 0 ? r->user_id : "");
	return err;
}
