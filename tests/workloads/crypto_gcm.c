/* SPDX-License-Identifier: MIT */
/* build: -lcrypto */
/*
 * AES-128-GCM by libcrypto, whose assembly describes its frames by registers other than %rsp and
 * %rbp, and has no symbols in Debian's build: the frames inside it are told by their number only.
 *
 * case plain:
 * stack: %main;encrypt_all(;.*){0,10}
 */
#include <openssl/evp.h>

#include "workload.h"

static unsigned char input[16384], output[16384 + 16];

/* A new start each time: one key stream ends after 64 GB. */
FRAME void encrypt_all(EVP_CIPHER_CTX *ctx, const unsigned char *iv)
{
	int len;

	while (running)
		if (!EVP_EncryptInit_ex(ctx, NULL, NULL, NULL, iv) ||
		    !EVP_EncryptUpdate(ctx, output, &len, input, sizeof(input)))
			exit(1);
}

int main(int argc, char **argv)
{
	static const unsigned char key[16] = { 1 }, iv[12] = { 2 };
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

	workload_start(argc, argv);
	if (!ctx || !EVP_EncryptInit_ex(ctx, EVP_aes_128_gcm(), NULL, key, iv))
		return 1;
	workload_ready();
	encrypt_all(ctx, iv);
	STAY();
	return 0;
}
