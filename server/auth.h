/* SPDX-License-Identifier: MIT */
/*
 * Who sends a request: bearer tokens, and the secret that signs them.
 */
#ifndef COWORKING_AUTH_H
#define COWORKING_AUTH_H

#include <stddef.h>

#include "compiler.h"
#include "http.h"
#include "jwt.h"

/*
 * Reads the secret, or makes one where there is no file. The file is the key, byte for byte, but
 * for one newline at the end; only its owner may have access to it. On failure returns a negative
 * errno, with a reason in why.
 */
int auth_load_secret(const char *path, struct jwt_secret *secret, char *why, size_t size);

/*
 * Finds out the user of a request by its Authorization header and sets r->user_id. -ENOKEY if
 * there is no bearer token, -EACCES if it is not valid or its user is gone, -EBUSY or -EIO from
 * the database.
 */
STEP int auth_request(struct request *r);

#endif
