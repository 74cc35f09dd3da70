/* SPDX-License-Identifier: MIT */
/*
 * The pictures of the demo rooms, inside the program: there is no directory to install, to read
 * in an event loop, or to break out of.
 */
#ifndef COWORKING_PICTURES_H
#define COWORKING_PICTURES_H

#include <stddef.h>

struct picture {
	const char *name; /* as in the path, green_1.png */
	const char *data, *end;
};

/* The PNG file of this name; NULL if there is none. */
const struct picture *picture_find(const char *name);

#endif
