/* SPDX-License-Identifier: MIT */
/*
 * GET and POST /bookings, GET and DELETE /bookings/:id: a user's own bookings. Reads run in the
 * loop; changes go to the writer and are answered when they are committed.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app.h"
#include "handlers.h"
#include "json.h"
#include "models.h"

/* GET /bookings without ?limit=, and the most that it may ask for */
#define LIMIT_DEFAULT 100
#define LIMIT_MAX     1000
#define OFFSET_MAX    999999999

/* A booking to add, or, with its id and user_id alone, to delete. */
struct booking_write {
	struct db_write write;
	struct model_booking booking;
};

STEP int booking_add_apply(struct db *db, struct db_write *write)
{
	struct booking_write *bw = container_of(write, struct booking_write, write);
	int err = model_booking_add(db, &bw->booking);

	step_end();
	return err;
}

STEP int booking_delete_apply(struct db *db, struct db_write *write)
{
	struct booking_write *bw = container_of(write, struct booking_write, write);
	int err = model_booking_delete(db, bw->booking.id, bw->booking.user_id);

	step_end();
	return err;
}

int handle_bookings_list(struct request *r)
{
	unsigned int limit = LIMIT_DEFAULT, offset = 0;
	json_t *bookings;
	int err;

	if (http_query_number(r, "limit", 1, LIMIT_MAX, &limit) != 0 ||
	    http_query_number(r, "offset", 0, OFFSET_MAX, &offset) != 0) {
		http_send_error(r, API_VALIDATION, "limit is 1 to 1000, offset 0 or more");
		return 0;
	}
	err = model_bookings(r->db, r->user_id, limit, offset, &bookings);
	if (err != 0)
		return err;
	http_send_json(r, 200, bookings);
	return 0;
}

int handle_bookings_get(struct request *r)
{
	json_t *booking;
	int err;

	/* what is no id names no booking of this user, no more than a foreign one does */
	if (!uuid_valid(r->param))
		return -ENOENT;
	err = model_booking(r->db, r->param, r->user_id, &booking);
	if (err != 0)
		return err;
	http_send_json(r, 200, booking);
	return 0;
}

/* Hands a write to the writer; frees it if that fails. */
static int submit(struct request *r, struct booking_write *bw)
{
	int err;

	err = db_writer_submit(&r->app->writer, r, &bw->write);
	if (err != 0)
		free(bw);
	return err;
}

/* Fills a booking from the body. 0, or -EINVAL after answering 400. */
static int parse_booking(struct request *r, struct model_booking *booking)
{
	const char *room_id, *booked_on;
	json_t *body;
	int err = 0;

	if (json_parse_object(r->body, r->body_len, &body) != 0) {
		http_send_error(r, API_VALIDATION, "the body must be a JSON object");
		return -EINVAL;
	}
	room_id = json_string_member(body, "room_id", 1, SIZE_MAX);
	booked_on = json_string_member(body, "booked_on", 1, SIZE_MAX);
	if (room_id == NULL || booked_on == NULL) {
		http_send_error(r, API_VALIDATION,
				"the body must be {\"room_id\": text, \"booked_on\": text}");
		err = -EINVAL;
	} else if (!day_valid(booked_on)) {
		http_send_error(r, API_DATE, NULL);
		err = -EINVAL;
	} else if (!uuid_valid(room_id)) {
		http_send_error(r, API_NOT_FOUND, "there is no such room");
		err = -EINVAL;
	} else {
		strcpy(booking->room_id, room_id);
		strcpy(booking->booked_on, booked_on);
	}
	json_decref(body);
	return err;
}

int handle_bookings_add(struct request *r)
{
	struct booking_write *bw = calloc(1, sizeof(*bw));
	int err;

	if (bw == NULL)
		return -ENOMEM;
	if (parse_booking(r, &bw->booking) != 0) {
		free(bw);
		return 0;
	}
	uuid_generate(bw->booking.id);
	strcpy(bw->booking.user_id, r->user_id);
	time_format(time(NULL), bw->booking.created_at);
	bw->write.apply = booking_add_apply;
	bw->write.job.done = handle_bookings_add_done;
	err = submit(r, bw);
	step_end();
	return err;
}

void handle_bookings_add_done(struct job *job)
{
	struct booking_write *bw = container_of(job, struct booking_write, write.job);
	struct request *r = job->request;

	if (job->result == 0)
		http_send_json(r, 201, json_pack("{s:s}", "id", bw->booking.id));
	else if (job->result == -EEXIST)
		http_send_error(r, API_ROOM_TAKEN, NULL);
	else if (job->result == -ENOENT)
		http_send_error(r, API_NOT_FOUND, "there is no such room");
	else
		http_send_error(r, api_error_from_errno(job->result), NULL);
	free(bw);
}

int handle_bookings_delete(struct request *r)
{
	struct booking_write *bw;
	int err;

	if (!uuid_valid(r->param))
		return -ENOENT;
	bw = calloc(1, sizeof(*bw));
	if (bw == NULL)
		return -ENOMEM;
	strcpy(bw->booking.id, r->param);
	strcpy(bw->booking.user_id, r->user_id);
	bw->write.apply = booking_delete_apply;
	bw->write.job.done = handle_bookings_delete_done;
	err = submit(r, bw);
	step_end();
	return err;
}

void handle_bookings_delete_done(struct job *job)
{
	struct booking_write *bw = container_of(job, struct booking_write, write.job);
	struct request *r = job->request;

	if (job->result == 0)
		http_send_empty(r, 204);
	else
		http_send_error(r, api_error_from_errno(job->result), NULL);
	free(bw);
}
