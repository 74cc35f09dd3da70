/* SPDX-License-Identifier: MIT */
#include "errors.h"

#include <errno.h>

static const struct api_error_info infos[] = {
	[API_BAD_REQUEST] = { 400, "Bad Request", "bad request", "the request is malformed" },
	[API_VALIDATION] = { 400, "Bad Request", "body validation", "the request is not valid" },
	[API_DATE] = { 400, "Bad Request", "date has a wrong format. Expected YYYY-mm-DD",
		       "the date is not a day written YYYY-MM-DD" },
	[API_CREDENTIALS] = { 401, "Unauthorized", "user not registered or bad credentials",
			      "the user name or the password is wrong" },
	[API_TOKEN_MISSING] = { 401, "Unauthorized", "the jwt token is missing",
				"send the token as Authorization: Bearer TOKEN" },
	[API_TOKEN_INVALID] = { 401, "Unauthorized", "the jwt token is not valid",
				"the token is malformed, forged or expired: log in again" },
	[API_NOT_FOUND] = { 404, "Not Found", "the object with the requested id is not found",
			    "no such object" },
	[API_ROUTE_UNKNOWN] = { 404, "Not Found", "no such route",
				"nothing is served at this path" },
	[API_METHOD] = { 405, "Method Not Allowed", "method not allowed",
			 "this path does not take this method: see the Allow header" },
	[API_ROOM_TAKEN] = { 409, "Conflict", "the room is already booked",
			     "somebody has booked this room for this day" },
	[API_EMAIL_TAKEN] = { 409, "Conflict", "this email has been already registered",
			      "the email or the user name is taken" },
	[API_TOO_LARGE] = { 413, "Payload Too Large", "body too large",
			    "the body is larger than 64 KiB" },
	[API_EXPECTATION] = { 417, "Expectation Failed", "unknown expectation",
			      "only Expect: 100-continue is understood" },
	[API_LOGINS] = { 429, "Too Many Requests", "too many failed logins",
			 "wait as long as Retry-After says, then try again" },
	[API_HEADERS] = { 431, "Request Header Fields Too Large", "headers too large",
			  "the request line and headers are larger than 16 KiB" },
	[API_TOKEN_FAILURE] = { 500, "Internal Server Error", "failure in generating the JWT token",
				"the token was not made" },
	[API_DATABASE] = { 500, "Internal Server Error", "generic db err",
			   "the database did not do it" },
	[API_INTERNAL] = { 500, "Internal Server Error", "internal error",
			   "the server failed at this request" },
	[API_OVERLOADED] = { 503, "Service Unavailable", "overloaded",
			     "too much is waiting already: try again later" },
	[API_NO_TRACER] = { 503, "Service Unavailable", "no tracer",
			    "nobody is attached to the probe trace__request" },
};

const struct api_error_info *api_error_info(enum api_error error)
{
	return &infos[error];
}

enum api_error api_error_from_errno(int err)
{
	switch (err) {
	case -EINVAL:
		return API_VALIDATION;
	case -ENOKEY:
		return API_TOKEN_MISSING;
	case -EACCES:
		return API_TOKEN_INVALID;
	case -ENOENT:
		return API_NOT_FOUND;
	case -EAGAIN:
	case -EBUSY:
		return API_OVERLOADED;
	case -EIO:
	case -ENOSPC:
	case -EROFS:
		return API_DATABASE;
	default:
		return API_INTERNAL;
	}
}

enum api_error api_error_from_status(int status)
{
	switch (status) {
	case 400:
		return API_BAD_REQUEST;
	case 404:
		return API_ROUTE_UNKNOWN;
	case 413:
		return API_TOO_LARGE;
	case 417:
		return API_EXPECTATION;
	default:
		return API_INTERNAL;
	}
}
