/* SPDX-License-Identifier: MIT */
/*
 * JSON Web Tokens (RFC 7519), signed with HMAC-SHA256 and nothing else. There is no table of
 * algorithms that a header could choose from: "none" and all others are refused by not existing.
 */
#ifndef COWORKING_JWT_H
#define COWORKING_JWT_H

#include <stddef.h>
#include <time.h>

#include "compiler.h"
#include "values.h"

#define JWT_TOKEN_MAX  1024	 /* bytes; ours have about 290 */
#define JWT_LIFETIME   (30 * 60) /* seconds */
#define JWT_LEEWAY     5	 /* seconds that clocks may differ */
#define JWT_SECRET_MIN 32	 /* bytes */
#define JWT_SECRET_MAX 1024

struct jwt_secret {
	unsigned char bytes[JWT_SECRET_MAX];
	size_t len;
};

/*
 * Makes a token for the user with this id, valid from now for JWT_LIFETIME. Returns a string to be
 * freed with free(), NULL without memory.
 */
STEP char *jwt_issue(const struct jwt_secret *secret, const char *user_id, time_t now);

/*
 * Verifies a token and copies its subject. The signature is compared, in constant time, before
 * any claim is read. Returns 0, or -EACCES for whatever is wrong, with *ret_user_id untouched.
 */
STEP int jwt_verify(const struct jwt_secret *secret, const char *token, size_t len, time_t now,
		    char ret_user_id[static UUID_SIZE]);

#endif
