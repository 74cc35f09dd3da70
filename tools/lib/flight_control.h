/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_FLIGHT_CONTROL_H
#define PERISCOPE_FLIGHT_CONTROL_H

/*
 * How a running flight recorder is spoken to: over a socket in the abstract namespace, named after
 * the recorder's PID, which is gone with it. One message, one answer, in text:
 *
 *	dump			"ok PATH" when it is written
 *	limits BYTES NS		"ok"
 *	target			"ok PID PID ..."
 *
 * or "error TEXT". Only root and the recorder's own user are heard.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FLIGHT_MESSAGE 4352 /* bytes of a message, NUL included */

struct flight_control {
	int fd;	    /* that is listened on; -1: closed */
	int client; /* that waits for the answer; -1: none */
};

/* Returns 0 or a negative errno. */
int flight_control_init(struct flight_control *c);
void flight_control_release(struct flight_control *c);

/*
 * Has anybody said something? Then 1, with his words in buf, and he waits for flight_control_answer.
 * Never blocks. One at a time: 0 while another waits.
 */
int flight_control_poll(struct flight_control *c, char *buf, size_t size);
void flight_control_answer(struct flight_control *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* The PIDs of all recorders, to be freed. Returns 0 or a negative errno. */
int flight_recorders(pid_t **ret, size_t *ret_n);

/*
 * Say something to a recorder and wait for its answer, at most timeout_ms. Returns 0 or a negative
 * errno (-ETIMEDOUT, -ECONNREFUSED: it is gone).
 */
int flight_say(pid_t recorder, const char *message, char *answer, size_t size,
	       unsigned int timeout_ms);

#endif
