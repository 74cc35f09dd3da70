/* SPDX-License-Identifier: MIT */
/*
 * Every error a client can get, in one table. A client tells errors apart by "code", which never
 * changes; "message" is for people and may say more. Neither ever holds text of the database.
 */
#ifndef COWORKING_ERRORS_H
#define COWORKING_ERRORS_H

enum api_error {
	API_BAD_REQUEST,   /* 400, not even a request we can route */
	API_VALIDATION,	   /* 400, body or parameter */
	API_DATE,	   /* 400 */
	API_CREDENTIALS,   /* 401, the same for an unknown user and a wrong password */
	API_TOKEN_MISSING, /* 401 */
	API_TOKEN_INVALID, /* 401 */
	API_NOT_FOUND,	   /* 404, the object */
	API_ROUTE_UNKNOWN, /* 404, the path */
	API_METHOD,	   /* 405 */
	API_ROOM_TAKEN,	   /* 409 */
	API_EMAIL_TAKEN,   /* 409 */
	API_TOO_LARGE,	   /* 413 */
	API_EXPECTATION,   /* 417 */
	API_LOGINS,	   /* 429 */
	API_HEADERS,	   /* 431 */
	API_TOKEN_FAILURE, /* 500 */
	API_DATABASE,	   /* 500 */
	API_INTERNAL,	   /* 500 */
	API_OVERLOADED,	   /* 503 */
	API_NO_TRACER,	   /* 503 */
};

struct api_error_info {
	int status;
	const char *reason; /* of the status line */
	const char *code;
	const char *message;
};

/* The row of an error; never NULL. */
const struct api_error_info *api_error_info(enum api_error error);

/* The error for a negative errno that a step returned and its handler has no better answer to. */
enum api_error api_error_from_errno(int err);

/* The error for a status that the HTTP library answered with by itself. */
enum api_error api_error_from_status(int status);

#endif
