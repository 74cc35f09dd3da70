/* SPDX-License-Identifier: MIT */
/*
 * The small values that cross the wire and the database: ids, days, points in time.
 */
#ifndef COWORKING_VALUES_H
#define COWORKING_VALUES_H

#include <stdbool.h>
#include <time.h>

#define UUID_SIZE 37 /* 36 characters and the NUL */
#define DAY_SIZE  11 /* YYYY-MM-DD and the NUL */
#define TIME_SIZE 21 /* YYYY-MM-DDThh:mm:ssZ and the NUL */

/* Writes a new random UUID (version 4, RFC 9562 section 5.4). */
void uuid_generate(char out[static UUID_SIZE]);

/* Whether text is a UUID in lower case, the only form that the server hands out. */
bool uuid_valid(const char *text);

/* Whether text is YYYY-MM-DD and such a day exists in the Gregorian calendar, from year 1 on. */
bool day_valid(const char *text);

/* Writes the UTC day of t. */
void day_format(time_t t, char out[static DAY_SIZE]);

/* Writes t as an RFC 3339 time in UTC. */
void time_format(time_t t, char out[static TIME_SIZE]);

#endif
