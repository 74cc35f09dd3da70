/* SPDX-License-Identifier: MIT */
/*
 * GET /rooms, /rooms/:id, /rooms/:id/photos. is_available is about the day in ?day_to_book=, or
 * today (UTC) without it.
 */
#include <errno.h>
#include <time.h>

#include "handlers.h"
#include "models.h"

/* The day asked for. 0, or -EINVAL after answering 400. */
static int wanted_day(struct request *r, char day[static DAY_SIZE])
{
	int err;

	err = http_query(r, "day_to_book", day, DAY_SIZE);
	if (err == -ENOENT) {
		day_format(time(NULL), day);
		return 0;
	}
	if (err == 0 && day_valid(day))
		return 0;
	http_send_error(r, API_DATE, NULL);
	return -EINVAL;
}

/* Whether :id can name a room at all. 0, or -EINVAL after answering 400. */
static int check_id(struct request *r)
{
	if (uuid_valid(r->param))
		return 0;
	http_send_error(r, API_VALIDATION, "the id of a room is a UUID in lower case");
	return -EINVAL;
}

int handle_rooms_list(struct request *r)
{
	char day[DAY_SIZE];
	json_t *rooms;
	int err;

	if (wanted_day(r, day) != 0)
		return 0;
	err = model_rooms(r->db, day, &rooms);
	if (err != 0)
		return err;
	http_send_json(r, 200, rooms);
	return 0;
}

int handle_rooms_get(struct request *r)
{
	char day[DAY_SIZE];
	json_t *room;
	int err;

	if (check_id(r) != 0 || wanted_day(r, day) != 0)
		return 0;
	err = model_room(r->db, r->param, day, &room);
	if (err != 0)
		return err;
	http_send_json(r, 200, room);
	return 0;
}

int handle_rooms_photos(struct request *r)
{
	json_t *photos;
	int err;

	if (check_id(r) != 0)
		return 0;
	err = model_room_photos(r->db, r->param, &photos);
	if (err != 0)
		return err;
	http_send_json(r, 200, photos);
	return 0;
}
