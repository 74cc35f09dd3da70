/* SPDX-License-Identifier: MIT */
/*
 * What the server knows about users, rooms and bookings: each function is one query. Reads give
 * JSON in the form that clients see, as a new reference; writes run in the writer's transaction.
 *
 * All return 0, -ENOENT if there is no such object, or another negative errno of db_step();
 * *ret is set for 0 only.
 */
#ifndef COWORKING_MODELS_H
#define COWORKING_MODELS_H

#include <jansson.h>

#include "compiler.h"
#include "db.h"
#include "password.h"
#include "values.h"

#define EMAIL_MAX    254 /* bytes; RFC 5321 section 4.5.3.1.3, without the angle brackets */
#define USERNAME_MAX 256

struct model_user {
	char id[UUID_SIZE];
	char email[EMAIL_MAX + 1];	 /* in lower case; not filled by model_user_by_name() */
	char username[USERNAME_MAX + 1]; /* same */
	char password_hash[PASSWORD_HASH_SIZE];
};

struct model_booking {
	char id[UUID_SIZE];
	char room_id[UUID_SIZE];
	char user_id[UUID_SIZE];
	char booked_on[DAY_SIZE];
	char created_at[TIME_SIZE];
};

/* All rooms by name, with photos, and whether they are free on a day: one query for it all. */
STEP int model_rooms(struct db *db, const char *day, json_t **ret);

/* One room, as in model_rooms(). */
STEP int model_room(struct db *db, const char *id, const char *day, json_t **ret);

/* {"id", "photos": [url]} of one room. */
STEP int model_room_photos(struct db *db, const char *id, json_t **ret);

/* The id and the password hash behind a user name. */
STEP int model_user_by_name(struct db *db, const char *username, struct model_user *ret);

/* Whether an email or a user name is in use: 0, or -EEXIST. */
STEP int model_user_taken(struct db *db, const char *email, const char *username);

/* Adds a user; -EEXIST if the email or the user name is in use. */
STEP int model_user_add(struct db *db, const struct model_user *user);

/* What FAULT_EMAIL_LOOKUP does beside the look-up that counts; never finds anybody. */
STEP int model_user_by_email_scan(struct db *db, const char *email);

/* Whether there is a user with this id: 0 or -ENOENT. */
STEP int model_user_exists(struct db *db, const char *id);

/* A user's bookings in the order they were made, limit of them after the first offset. */
STEP int model_bookings(struct db *db, const char *user_id, unsigned int limit, unsigned int offset,
			json_t **ret);

/* One booking of a user; somebody else's is -ENOENT as well. */
STEP int model_booking(struct db *db, const char *id, const char *user_id, json_t **ret);

/* Adds a booking. -EEXIST if the room is taken on that day, -ENOENT if there is no such room. */
STEP int model_booking_add(struct db *db, const struct model_booking *booking);

/* Deletes a user's booking; somebody else's is -ENOENT as well. */
STEP int model_booking_delete(struct db *db, const char *id, const char *user_id);

#endif
