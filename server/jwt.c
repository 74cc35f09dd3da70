/* SPDX-License-Identifier: MIT */
#include "jwt.h"

#include <errno.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

#define ISSUER	 "coworkingd"
#define AUDIENCE "coworking"
#define MAC_SIZE crypto_auth_hmacsha256_BYTES
#define BASE64	 sodium_base64_VARIANT_URLSAFE_NO_PADDING

static void sign(const struct jwt_secret *secret, const char *text, size_t len,
		 unsigned char mac[static MAC_SIZE])
{
	crypto_auth_hmacsha256_state state;

	/* the _init form takes keys of any length, the one-shot form exactly 32 bytes */
	crypto_auth_hmacsha256_init(&state, secret->bytes, secret->len);
	crypto_auth_hmacsha256_update(&state, (const unsigned char *)text, len);
	crypto_auth_hmacsha256_final(&state, mac);
	sodium_memzero(&state, sizeof(state));
}

char *jwt_issue(const struct jwt_secret *secret, const char *user_id, time_t now)
{
	static const char header[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
	unsigned char mac[MAC_SIZE];
	char *token = NULL, *claims = NULL;
	json_t *object;
	size_t len;

	object = json_pack("{s:s, s:s, s:s, s:I, s:I}", "iss", ISSUER, "aud", AUDIENCE, "sub",
			   user_id, "iat", (json_int_t)now, "exp", (json_int_t)now + JWT_LIFETIME);
	if (object == NULL)
		return NULL;
	claims = json_text(object);
	json_decref(object);
	token = malloc(JWT_TOKEN_MAX + 1);
	if (claims == NULL || token == NULL)
		goto fail;
	/* header, claims, MAC and two dots; each encoded length counts a NUL */
	if (sodium_base64_encoded_len(sizeof(header) - 1, BASE64) +
		    sodium_base64_encoded_len(strlen(claims), BASE64) +
		    sodium_base64_encoded_len(MAC_SIZE, BASE64) >
	    JWT_TOKEN_MAX)
		goto fail;
	sodium_bin2base64(token, JWT_TOKEN_MAX + 1, (const unsigned char *)header,
			  sizeof(header) - 1, BASE64);
	len = strlen(token);
	token[len++] = '.';
	sodium_bin2base64(token + len, JWT_TOKEN_MAX + 1 - len, (const unsigned char *)claims,
			  strlen(claims), BASE64);
	len += strlen(token + len);
	sign(secret, token, len, mac);
	token[len++] = '.';
	sodium_bin2base64(token + len, JWT_TOKEN_MAX + 1 - len, mac, sizeof(mac), BASE64);
	free(claims);
	return token;

fail:
	free(claims);
	free(token);
	return NULL;
}

/* Decodes one part; libsodium refuses padding, foreign characters and stray bits at the end. */
static int decode(const char *part, size_t len, unsigned char *out, size_t size, size_t *ret_len)
{
	if (sodium_base642bin(out, size, part, len, NULL, ret_len, NULL, BASE64) != 0)
		return -EACCES;
	return 0;
}

static int check_header(const char *part, size_t len)
{
	unsigned char text[JWT_TOKEN_MAX];
	const char *alg, *typ;
	json_t *header;
	size_t n;
	int err = -EACCES;

	if (decode(part, len, text, sizeof(text), &n) != 0)
		return -EACCES;
	if (json_parse_object((char *)text, n, &header) != 0)
		return -EACCES;
	alg = json_string_value(json_object_get(header, "alg"));
	typ = json_string_value(json_object_get(header, "typ"));
	/* "crit" names extensions that must be understood (RFC 7515 section 4.1.11): we know none */
	if (alg != NULL && strcmp(alg, "HS256") == 0 && json_object_get(header, "crit") == NULL &&
	    (typ == NULL || strcasecmp(typ, "JWT") == 0))
		err = 0;
	json_decref(header);
	return err;
}

/* A time claim: 1 and the value, 0 if it is missing, -EACCES if it is not an integer. */
static int time_claim(const json_t *claims, const char *key, json_int_t *ret)
{
	const json_t *value = json_object_get(claims, key);

	if (value == NULL)
		return 0;
	if (!json_is_integer(value))
		return -EACCES;
	*ret = json_integer_value(value);
	return 1;
}

static int check_claims(const json_t *claims, time_t now, char ret_user_id[static UUID_SIZE])
{
	const char *iss = json_string_value(json_object_get(claims, "iss"));
	const char *aud = json_string_value(json_object_get(claims, "aud"));
	const char *sub = json_string_value(json_object_get(claims, "sub"));
	json_int_t t;
	int has;

	/* differences, not sums: a claim may be the largest integer there is */
	if (time_claim(claims, "exp", &t) != 1 || t <= (json_int_t)now - JWT_LEEWAY)
		return -EACCES;
	has = time_claim(claims, "iat", &t);
	if (has < 0 || (has == 1 && t > (json_int_t)now + JWT_LEEWAY))
		return -EACCES;
	has = time_claim(claims, "nbf", &t);
	if (has < 0 || (has == 1 && t > (json_int_t)now + JWT_LEEWAY))
		return -EACCES;
	if (iss == NULL || strcmp(iss, ISSUER) != 0 || aud == NULL || strcmp(aud, AUDIENCE) != 0)
		return -EACCES;
	if (sub == NULL || !uuid_valid(sub))
		return -EACCES;
	strcpy(ret_user_id, sub);
	return 0;
}

int jwt_verify(const struct jwt_secret *secret, const char *token, size_t len, time_t now,
	       char ret_user_id[static UUID_SIZE])
{
	unsigned char given[MAC_SIZE], expected[MAC_SIZE], text[JWT_TOKEN_MAX];
	const char *dot1, *dot2, *end = token + len;
	json_t *claims;
	size_t n;
	int err;

	if (len > JWT_TOKEN_MAX)
		return -EACCES;
	dot1 = memchr(token, '.', len);
	if (dot1 == NULL)
		return -EACCES;
	dot2 = memchr(dot1 + 1, '.', (size_t)(end - dot1 - 1));
	if (dot2 == NULL || memchr(dot2 + 1, '.', (size_t)(end - dot2 - 1)) != NULL)
		return -EACCES;
	if (check_header(token, (size_t)(dot1 - token)) != 0)
		return -EACCES;
	if (decode(dot2 + 1, (size_t)(end - dot2 - 1), given, sizeof(given), &n) != 0 ||
	    n != MAC_SIZE)
		return -EACCES;
	sign(secret, token, (size_t)(dot2 - token), expected);
	if (sodium_memcmp(given, expected, MAC_SIZE) != 0)
		return -EACCES;
	if (decode(dot1 + 1, (size_t)(dot2 - dot1 - 1), text, sizeof(text), &n) != 0)
		return -EACCES;
	if (json_parse_object((char *)text, n, &claims) != 0)
		return -EACCES;
	err = check_claims(claims, now, ret_user_id);
	json_decref(claims);
	return err;
}
