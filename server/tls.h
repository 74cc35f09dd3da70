/* SPDX-License-Identifier: MIT */
/*
 * The settings of HTTPS: TLS 1.2 and 1.3 with OpenSSL's defaults, HTTP/1.1 only.
 */
#ifndef COWORKING_TLS_H
#define COWORKING_TLS_H

#include <stddef.h>

/*
 * Reads a certificate with its chain, and its key, from PEM files. NULL on failure, with a reason
 * in why. To be freed by tls_free(), which takes NULL too.
 */
struct ssl_ctx_st *tls_new(const char *certificate, const char *key, char *why, size_t size);
void tls_free(struct ssl_ctx_st *tls);

#endif
