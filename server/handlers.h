/* SPDX-License-Identifier: MIT */
/*
 * The handlers, one a route. A handler answers its request, or submits a job whose done function
 * (handle_*_done) answers it, and returns 0; or it answers nothing and returns a negative errno,
 * for which the caller sends the error of api_error_from_errno().
 */
#ifndef COWORKING_HANDLERS_H
#define COWORKING_HANDLERS_H

#include "compiler.h"
#include "http.h"
#include "job.h"

/* handlers_health.c */
STEP int handle_healthz(struct request *r);

/* handlers_auth.c */
STEP int handle_auth_login(struct request *r);
STEP void handle_auth_login_done(struct job *job);
STEP int handle_auth_signup(struct request *r);
STEP void handle_auth_signup_hashed(struct job *job);
STEP void handle_auth_signup_done(struct job *job);

/* handlers_imgs.c */
STEP int handle_imgs_get(struct request *r);

/* handlers_trace.c */
STEP int handle_trace(struct request *r);

/* handlers_rooms.c */
STEP int handle_rooms_list(struct request *r);
STEP int handle_rooms_get(struct request *r);
STEP int handle_rooms_photos(struct request *r);

/* handlers_bookings.c */
STEP int handle_bookings_list(struct request *r);
STEP int handle_bookings_get(struct request *r);
STEP int handle_bookings_add(struct request *r);
STEP void handle_bookings_add_done(struct job *job);
STEP int handle_bookings_delete(struct request *r);
STEP void handle_bookings_delete_done(struct job *job);

#endif
