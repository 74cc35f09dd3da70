/* SPDX-License-Identifier: MIT */
#include "models.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "faults.h"

/* The strings bound here outlive the statement's run, so SQLite need not copy them. */
static void bind_text(sqlite3_stmt *stmt, int index, const char *text)
{
	sqlite3_bind_text(stmt, index, text, -1, SQLITE_STATIC);
}

/* A room without its photos from a row of STMT_ROOMS or STMT_ROOM. */
static json_t *room_from_row(sqlite3_stmt *stmt)
{
	return json_pack("{s:s, s:s, s:f, s:i, s:s, s:s, s:b, s:[]}", "id", db_text(stmt, 0),
			 "name", db_text(stmt, 1), "cost", sqlite3_column_double(stmt, 2),
			 "number_of_seats", sqlite3_column_int(stmt, 3), "category",
			 db_text(stmt, 4), "main_photo", db_text(stmt, 5), "is_available",
			 sqlite3_column_int(stmt, 6), "photos");
}

static int add_photo(json_t *photos, sqlite3_stmt *stmt, int column)
{
	if (sqlite3_column_type(stmt, column) == SQLITE_NULL)
		return 0; /* a room without photos: the outer join's empty row */
	return json_array_append_new(photos, json_string(db_text(stmt, column))) == 0 ? 0 : -ENOMEM;
}

/* Reads rows, one a photo, into rooms; a room ends where the id changes. */
static int collect_rooms(struct db *db, sqlite3_stmt *stmt, json_t *rooms)
{
	json_t *room = NULL;
	int err;

	while ((err = db_step(db, stmt)) == 1) {
		const char *id = json_string_value(json_object_get(room, "id"));

		if (id == NULL || strcmp(id, db_text(stmt, 0)) != 0) {
			room = room_from_row(stmt);
			if (room == NULL || json_array_append_new(rooms, room) != 0)
				return -ENOMEM;
		}
		err = add_photo(json_object_get(room, "photos"), stmt, 7);
		if (err != 0)
			return err;
	}
	return err;
}

static json_t *booking_from_row(sqlite3_stmt *stmt)
{
	/* a day goes out as the time it begins, which is what clients of this API parse */
	return json_pack("{s:s, s:s+, s:s, s:s}", "id", db_text(stmt, 0), "booked_on",
			 db_text(stmt, 2), "T00:00:00Z", "room_id", db_text(stmt, 1), "created_at",
			 db_text(stmt, 3));
}

/* FAULT_ALL_BOOKINGS: reads all bookings, as JSON, to look for those of one day. */
STEP void model_rooms_load_all(struct db *db, const char *day)
{
	sqlite3_stmt *stmt = db_stmt(db, STMT_ALL_BOOKINGS);
	json_t *bookings = json_array();
	size_t i, taken = 0;
	json_t *booking;

	while (stmt != NULL && db_step(db, stmt) == 1)
		json_array_append_new(bookings, booking_from_row(stmt));
	db_reset(db, stmt);
	json_array_foreach(bookings, i, booking)
	{
		const char *booked_on = json_string_value(json_object_get(booking, "booked_on"));

		taken += booked_on != NULL && strncmp(booked_on, day, DAY_SIZE - 1) == 0;
	}
	json_decref(bookings);
}

int model_rooms(struct db *db, const char *day, json_t **ret)
{
	json_t *rooms = json_array();
	sqlite3_stmt *stmt;
	int err = -EIO;

	if (fault_on(FAULT_ALL_BOOKINGS))
		model_rooms_load_all(db, day);
	stmt = db_stmt(db, STMT_ROOMS);
	if (stmt != NULL && rooms != NULL) {
		bind_text(stmt, 1, day);
		err = collect_rooms(db, stmt, rooms);
	}
	db_reset(db, stmt);
	if (err == 0)
		*ret = rooms;
	else
		json_decref(rooms);
	return err;
}

int model_room(struct db *db, const char *id, const char *day, json_t **ret)
{
	sqlite3_stmt *stmt = db_stmt(db, STMT_ROOM);
	json_t *rooms = json_array();
	int err = -EIO;

	if (stmt != NULL && rooms != NULL) {
		bind_text(stmt, 1, day);
		bind_text(stmt, 2, id);
		err = collect_rooms(db, stmt, rooms);
	}
	db_reset(db, stmt);
	if (err == 0 && json_array_size(rooms) == 0)
		err = -ENOENT;
	if (err == 0)
		*ret = json_incref(json_array_get(rooms, 0));
	json_decref(rooms);
	return err;
}

int model_room_photos(struct db *db, const char *id, json_t **ret)
{
	sqlite3_stmt *stmt = db_stmt(db, STMT_PHOTOS);
	json_t *room = NULL;
	int err = -EIO;

	if (stmt == NULL)
		return -EIO;
	bind_text(stmt, 1, id);
	while ((err = db_step(db, stmt)) == 1) {
		if (room == NULL)
			room = json_pack("{s:s, s:[]}", "id", id, "photos");
		err = room != NULL ? add_photo(json_object_get(room, "photos"), stmt, 0) : -ENOMEM;
		if (err != 0)
			break;
	}
	db_reset(db, stmt);
	if (err == 0 && room == NULL)
		err = -ENOENT;
	if (err == 0)
		*ret = room;
	else
		json_decref(room);
	return err;
}

int model_user_by_name(struct db *db, const char *username, struct model_user *ret)
{
	sqlite3_stmt *stmt = db_stmt(db, STMT_CREDENTIALS);
	int err;

	if (stmt == NULL)
		return -EIO;
	bind_text(stmt, 1, username);
	err = db_step(db, stmt);
	if (err == 1) {
		snprintf(ret->id, sizeof(ret->id), "%s", db_text(stmt, 0));
		snprintf(ret->password_hash, sizeof(ret->password_hash), "%s", db_text(stmt, 1));
		err = 0;
	} else if (err == 0) {
		err = -ENOENT;
	}
	db_reset(db, stmt);
	return err;
}

int model_user_taken(struct db *db, const char *email, const char *username)
{
	sqlite3_stmt *stmt = db_stmt(db, STMT_TAKEN);
	int err;

	if (stmt == NULL)
		return -EIO;
	bind_text(stmt, 1, email);
	bind_text(stmt, 2, username);
	err = db_step(db, stmt);
	db_reset(db, stmt);
	return err == 1 ? -EEXIST : err;
}

int model_user_add(struct db *db, const struct model_user *user)
{
	sqlite3_stmt *stmt = db_stmt(db, STMT_USER_ADD);
	int err;

	if (stmt == NULL)
		return -EIO;
	bind_text(stmt, 1, user->id);
	bind_text(stmt, 2, user->email);
	bind_text(stmt, 3, user->username);
	bind_text(stmt, 4, user->password_hash);
	err = db_step(db, stmt);
	db_reset(db, stmt);
	return err;
}

/*
 * FAULT_EMAIL_LOOKUP: who a token belongs to, by email, in a table without an index: every row of
 * it is read. (The table is the connection's own, see db.c, and holds nobody's address.)
 */
STEP int model_user_by_email_scan(struct db *db, const char *email)
{
	sqlite3_stmt *stmt = db_stmt(db, STMT_EMAIL_SCAN);
	int err;

	if (stmt == NULL)
		return -EIO;
	bind_text(stmt, 1, email);
	err = db_step(db, stmt);
	db_reset(db, stmt);
	return err;
}

int model_user_exists(struct db *db, const char *id)
{
	sqlite3_stmt *stmt = db_stmt(db, STMT_USER);
	int err;

	if (stmt == NULL)
		return -EIO;
	bind_text(stmt, 1, id);
	err = db_step(db, stmt);
	db_reset(db, stmt);
	if (err == 0)
		return -ENOENT;
	return err == 1 ? 0 : err;
}

int model_bookings(struct db *db, const char *user_id, unsigned int limit, unsigned int offset,
		   json_t **ret)
{
	sqlite3_stmt *stmt = db_stmt(db, STMT_BOOKINGS);
	json_t *bookings = json_array();
	int err = -EIO;

	if (stmt != NULL && bookings != NULL) {
		bind_text(stmt, 1, user_id);
		sqlite3_bind_int64(stmt, 2, limit);
		sqlite3_bind_int64(stmt, 3, offset);
		while ((err = db_step(db, stmt)) == 1) {
			err = -ENOMEM;
			if (json_array_append_new(bookings, booking_from_row(stmt)) != 0)
				break;
		}
	}
	db_reset(db, stmt);
	if (err == 0)
		*ret = bookings;
	else
		json_decref(bookings);
	return err;
}

int model_booking(struct db *db, const char *id, const char *user_id, json_t **ret)
{
	sqlite3_stmt *stmt = db_stmt(db, STMT_BOOKING);
	json_t *booking = NULL;
	int err;

	if (stmt == NULL)
		return -EIO;
	bind_text(stmt, 1, id);
	bind_text(stmt, 2, user_id);
	err = db_step(db, stmt);
	if (err == 1) {
		booking = booking_from_row(stmt);
		err = booking != NULL ? 0 : -ENOMEM;
	} else if (err == 0) {
		err = -ENOENT;
	}
	db_reset(db, stmt);
	if (err == 0)
		*ret = booking;
	return err;
}

int model_booking_add(struct db *db, const struct model_booking *booking)
{
	sqlite3_stmt *stmt = db_stmt(db, STMT_BOOKING_ADD);
	int err;

	if (stmt == NULL)
		return -EIO;
	bind_text(stmt, 1, booking->id);
	bind_text(stmt, 2, booking->room_id);
	bind_text(stmt, 3, booking->user_id);
	bind_text(stmt, 4, booking->booked_on);
	bind_text(stmt, 5, booking->created_at);
	err = db_step(db, stmt);
	db_reset(db, stmt);
	return err;
}

int model_booking_delete(struct db *db, const char *id, const char *user_id)
{
	sqlite3_stmt *stmt = db_stmt(db, STMT_BOOKING_DELETE);
	int err;

	if (stmt == NULL)
		return -EIO;
	bind_text(stmt, 1, id);
	bind_text(stmt, 2, user_id);
	err = db_step(db, stmt);
	db_reset(db, stmt);
	if (err == 0 && sqlite3_changes(db->handle) == 0)
		err = -ENOENT;
	return err;
}
