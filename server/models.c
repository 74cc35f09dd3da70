/* SPDX-License-Identifier: MIT */
#include "models.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "faults.h"

/* Hands over what a query made, or drops it if the query failed. */
static int give(json_t *value, int err, json_t **ret)
{
	if (err == 0)
		*ret = value;
	else
		json_decref(value);
	return err;
}

/* What a step returned, for a query that must find something. */
static int found(int step)
{
	if (step == 1)
		return 0;
	return step == 0 ? -ENOENT : step;
}

/* ---- rooms --------------------------------------------------------------------------------- */

/* A room without its photos from a row of STMT_ROOMS or STMT_ROOM. */
static json_t *room_from_row(const struct db *db)
{
	return json_pack("{s:s, s:s, s:f, s:i, s:s, s:s, s:b, s:[]}", "id", db_text(db, 0), "name",
			 db_text(db, 1), "cost", db_real(db, 2), "number_of_seats", db_int(db, 3),
			 "category", db_text(db, 4), "main_photo", db_text(db, 5), "is_available",
			 db_int(db, 6), "photos");
}

static int add_photo(json_t *photos, const struct db *db, int column)
{
	if (db_is_null(db, column))
		return 0; /* a room without photos: the outer join's empty row */
	return json_array_append_new(photos, json_string(db_text(db, column))) == 0 ? 0 : -ENOMEM;
}

/* Reads rows, one a photo, into rooms; a room ends where the id changes. */
static int collect_rooms(struct db *db, json_t *rooms)
{
	json_t *room = NULL;
	int err;

	while ((err = db_step(db)) == 1) {
		const char *id = json_string_value(json_object_get(room, "id"));

		if (id == NULL || strcmp(id, db_text(db, 0)) != 0) {
			room = room_from_row(db);
			if (room == NULL || json_array_append_new(rooms, room) != 0)
				return -ENOMEM;
		}
		err = add_photo(json_object_get(room, "photos"), db, 7);
		if (err != 0)
			return err;
	}
	return err;
}

static json_t *booking_from_row(const struct db *db)
{
	/* a day goes out as the time it begins, which is what clients of this API parse */
	return json_pack("{s:s, s:s+, s:s, s:s}", "id", db_text(db, 0), "booked_on", db_text(db, 2),
			 "T00:00:00Z", "room_id", db_text(db, 1), "created_at", db_text(db, 3));
}

/* FAULT_ALL_BOOKINGS: reads all bookings, as JSON, to look for those of one day. */
STEP void model_rooms_load_all(struct db *db, const char *day)
{
	json_t *bookings = json_array();
	size_t i, taken = 0;
	json_t *booking;

	if (db_begin(db, STMT_ALL_BOOKINGS) == 0) {
		while (db_step(db) == 1)
			json_array_append_new(bookings, booking_from_row(db));
	}
	db_end(db);
	json_array_foreach(bookings, i, booking)
	{
		const char *booked_on = json_string_value(json_object_get(booking, "booked_on"));

		taken += booked_on != NULL && strncmp(booked_on, day, DAY_SIZE - 1) == 0;
	}
	json_decref(bookings);
	step_end();
}

int model_rooms(struct db *db, const char *day, json_t **ret)
{
	json_t *rooms = json_array();
	int err;

	if (fault_on(FAULT_ALL_BOOKINGS))
		model_rooms_load_all(db, day);
	err = rooms != NULL ? db_begin(db, STMT_ROOMS, DB_TEXT(day)) : -ENOMEM;
	if (err == 0)
		err = collect_rooms(db, rooms);
	db_end(db);
	return give(rooms, err, ret);
}

int model_room(struct db *db, const char *id, const char *day, json_t **ret)
{
	json_t *rooms = json_array(), *room;
	int err;

	err = rooms != NULL ? db_begin(db, STMT_ROOM, DB_TEXT(day), DB_TEXT(id)) : -ENOMEM;
	if (err == 0)
		err = collect_rooms(db, rooms);
	db_end(db);
	room = json_incref(json_array_get(rooms, 0));
	json_decref(rooms);
	return give(room, err == 0 && room == NULL ? -ENOENT : err, ret);
}

int model_room_photos(struct db *db, const char *id, json_t **ret)
{
	json_t *room = NULL;
	int err;

	err = db_begin(db, STMT_PHOTOS, DB_TEXT(id));
	while (err == 0 && (err = db_step(db)) == 1) {
		if (room == NULL)
			room = json_pack("{s:s, s:[]}", "id", id, "photos");
		err = room != NULL ? add_photo(json_object_get(room, "photos"), db, 0) : -ENOMEM;
	}
	db_end(db);
	return give(room, err == 0 && room == NULL ? -ENOENT : err, ret);
}

/* ---- users --------------------------------------------------------------------------------- */

int model_user_by_name(struct db *db, const char *username, struct model_user *ret)
{
	int err;

	err = db_begin(db, STMT_CREDENTIALS, DB_TEXT(username));
	if (err == 0)
		err = found(db_step(db));
	if (err == 0) {
		snprintf(ret->id, sizeof(ret->id), "%s", db_text(db, 0));
		snprintf(ret->password_hash, sizeof(ret->password_hash), "%s", db_text(db, 1));
	}
	db_end(db);
	return err;
}

int model_user_taken(struct db *db, const char *email, const char *username)
{
	int err = db_run(db, STMT_TAKEN, DB_TEXT(email), DB_TEXT(username));

	return err == 1 ? -EEXIST : err;
}

int model_user_add(struct db *db, const struct model_user *user)
{
	return db_run(db, STMT_USER_ADD, DB_TEXT(user->id), DB_TEXT(user->email),
		      DB_TEXT(user->username), DB_TEXT(user->password_hash));
}

/*
 * FAULT_EMAIL_LOOKUP: who a token belongs to, by email, in a table without an index: every row of
 * it is read. (The table is the connection's own, see db.c, and holds nobody's address.)
 */
STEP int model_user_by_email_scan(struct db *db, const char *email)
{
	return db_run(db, STMT_EMAIL_SCAN, DB_TEXT(email));
}

int model_user_exists(struct db *db, const char *id)
{
	return found(db_run(db, STMT_USER, DB_TEXT(id)));
}

/* ---- bookings ------------------------------------------------------------------------------ */

int model_bookings(struct db *db, const char *user_id, unsigned int limit, unsigned int offset,
		   json_t **ret)
{
	json_t *bookings = json_array();
	int err = -ENOMEM;

	if (bookings != NULL)
		err = db_begin(db, STMT_BOOKINGS, DB_TEXT(user_id), DB_INT(limit), DB_INT(offset));
	while (err == 0 && (err = db_step(db)) == 1)
		err = json_array_append_new(bookings, booking_from_row(db)) == 0 ? 0 : -ENOMEM;
	db_end(db);
	return give(bookings, err, ret);
}

int model_booking(struct db *db, const char *id, const char *user_id, json_t **ret)
{
	json_t *booking = NULL;
	int err;

	err = db_begin(db, STMT_BOOKING, DB_TEXT(id), DB_TEXT(user_id));
	if (err == 0)
		err = found(db_step(db));
	if (err == 0) {
		booking = booking_from_row(db);
		err = booking != NULL ? 0 : -ENOMEM;
	}
	db_end(db);
	return give(booking, err, ret);
}

int model_booking_add(struct db *db, const struct model_booking *booking)
{
	return db_run(db, STMT_BOOKING_ADD, DB_TEXT(booking->id), DB_TEXT(booking->room_id),
		      DB_TEXT(booking->user_id), DB_TEXT(booking->booked_on),
		      DB_TEXT(booking->created_at));
}

int model_booking_delete(struct db *db, const char *id, const char *user_id)
{
	int err = db_run(db, STMT_BOOKING_DELETE, DB_TEXT(id), DB_TEXT(user_id));

	return err == 0 && db_changes(db) == 0 ? -ENOENT : err;
}
