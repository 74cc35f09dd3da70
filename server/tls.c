/* SPDX-License-Identifier: MIT */
#include "tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

static const char *last_error(void)
{
	unsigned long code = ERR_peek_last_error();
	const char *text = ERR_reason_error_string(code);

	/* a system error, such as a missing file, has its text as data only */
	if (ERR_SYSTEM_ERROR(code))
		text = strerror(ERR_GET_REASON(code));
	return text != NULL ? text : "unknown error";
}

/* Asking for a passphrase would stop a server that nobody watches. */
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
	return 0;
}

SSL_CTX *tls_new(const char *certificate, const char *key, char *why, size_t size)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
	const char *file = certificate;

	if (tls == NULL)
		goto failed;
	SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
	SSL_CTX_set_options(tls, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_default_passwd_cb(tls, no_passphrase);
	if (SSL_CTX_use_certificate_chain_file(tls, certificate) != 1)
		goto failed;
	file = key;
	if (SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_check_private_key(tls) != 1)
		goto failed;
	return tls;

failed:
	snprintf(why, size, "%s: %s", file, last_error());
	ERR_clear_error();
	SSL_CTX_free(tls);
	return NULL;
}

void tls_free(SSL_CTX *tls)
{
	SSL_CTX_free(tls);
}
