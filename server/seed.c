/* SPDX-License-Identifier: MIT */
#include "seed.h"

#include <errno.h>

#include "data/seed.h"
#include "password.h"

static int insert(struct db *db, sqlite3_stmt *stmt)
{
	int err = db_step(db, stmt);

	db_reset(db, stmt);
	return err;
}

static int add_user(struct db *db, const struct seed_user *user)
{
	sqlite3_stmt *stmt = db_stmt(db, STMT_USER_ADD);
	char hash[PASSWORD_HASH_SIZE];
	int err;

	if (stmt == NULL)
		return -EIO;
	err = password_hash(user->password, hash);
	if (err != 0)
		return err;
	sqlite3_bind_text(stmt, 1, user->id, -1, SQLITE_STATIC);
	sqlite3_bind_text(stmt, 2, user->email, -1, SQLITE_STATIC);
	sqlite3_bind_text(stmt, 3, user->username, -1, SQLITE_STATIC);
	sqlite3_bind_text(stmt, 4, hash, -1, SQLITE_STATIC);
	return insert(db, stmt);
}

static int add_room(struct db *db, const struct seed_room *room)
{
	sqlite3_stmt *stmt = db_stmt(db, STMT_ROOM_ADD);
	int err;

	if (stmt == NULL)
		return -EIO;
	sqlite3_bind_text(stmt, 1, room->id, -1, SQLITE_STATIC);
	sqlite3_bind_text(stmt, 2, room->name, -1, SQLITE_STATIC);
	sqlite3_bind_text(stmt, 3, room->category, -1, SQLITE_STATIC);
	sqlite3_bind_double(stmt, 4, room->cost);
	sqlite3_bind_int(stmt, 5, room->seats);
	sqlite3_bind_text(stmt, 6, room->photos[0], -1, SQLITE_STATIC);
	err = insert(db, stmt);

	stmt = db_stmt(db, STMT_PHOTO_ADD);
	if (stmt == NULL)
		return -EIO;
	for (size_t i = 0; err == 0 && i < ARRAY_SIZE(room->photos) && room->photos[i]; i++) {
		sqlite3_bind_text(stmt, 1, room->id, -1, SQLITE_STATIC);
		sqlite3_bind_int(stmt, 2, (int)i);
		sqlite3_bind_text(stmt, 3, room->photos[i], -1, SQLITE_STATIC);
		err = insert(db, stmt);
	}
	return err;
}

/* 1 if there is a user or a room, 0 if there is none. */
static int is_filled(struct db *db)
{
	sqlite3_stmt *stmt = db_stmt(db, STMT_FILLED);
	int err;

	if (stmt == NULL)
		return -EIO;
	err = db_step(db, stmt);
	if (err == 1)
		err = sqlite3_column_int(stmt, 0);
	db_reset(db, stmt);
	return err;
}

int seed_database(struct db *db)
{
	int err;

	err = db_exec(db, STMT_BEGIN);
	if (err != 0)
		return err;
	err = is_filled(db);
	if (err == 1) {
		db_exec(db, STMT_ROLLBACK);
		return 0;
	}
	for (size_t i = 0; err == 0 && i < ARRAY_SIZE(seed_users); i++)
		err = add_user(db, &seed_users[i]);
	for (size_t i = 0; err == 0 && i < ARRAY_SIZE(seed_rooms); i++)
		err = add_room(db, &seed_rooms[i]);
	if (err == 0)
		err = db_exec(db, STMT_COMMIT);
	if (err != 0)
		db_exec(db, STMT_ROLLBACK);
	return err;
}
