/* SPDX-License-Identifier: MIT */
#include "seed.h"

#include "data/seed.h"
#include "password.h"

static int add_user(struct db *db, const struct seed_user *user)
{
	char hash[PASSWORD_HASH_SIZE];
	int err;

	err = password_hash(user->password, hash);
	if (err != 0)
		return err;
	return db_run(db, STMT_USER_ADD, DB_TEXT(user->id), DB_TEXT(user->email),
		      DB_TEXT(user->username), DB_TEXT(hash));
}

static int add_room(struct db *db, const struct seed_room *room)
{
	int err;

	err = db_run(db, STMT_ROOM_ADD, DB_TEXT(room->id), DB_TEXT(room->name),
		     DB_TEXT(room->category), DB_REAL(room->cost), DB_INT(room->seats),
		     DB_TEXT(room->photos[0]));
	for (size_t i = 0; err == 0 && i < ARRAY_SIZE(room->photos) && room->photos[i]; i++)
		err = db_run(db, STMT_PHOTO_ADD, DB_TEXT(room->id), DB_INT((int64_t)i),
			     DB_TEXT(room->photos[i]));
	return err;
}

/* 1 if there is a user or a room, 0 if there is none. */
static int is_filled(struct db *db)
{
	int err;

	err = db_begin(db, STMT_FILLED);
	if (err == 0)
		err = db_step(db);
	if (err == 1)
		err = db_int(db, 0);
	db_end(db);
	return err;
}

int seed_database(struct db *db)
{
	int err;

	err = db_run(db, STMT_BEGIN);
	if (err != 0)
		return err;
	err = is_filled(db);
	if (err == 1) {
		db_run(db, STMT_ROLLBACK);
		return 0;
	}
	for (size_t i = 0; err == 0 && i < ARRAY_SIZE(seed_users); i++)
		err = add_user(db, &seed_users[i]);
	for (size_t i = 0; err == 0 && i < ARRAY_SIZE(seed_rooms); i++)
		err = add_room(db, &seed_rooms[i]);
	if (err == 0)
		err = db_run(db, STMT_COMMIT);
	if (err != 0)
		db_run(db, STMT_ROLLBACK);
	return err;
}
