/* SPDX-License-Identifier: MIT */
/*
 * The only way to h2o's headers. They serve two libraries with different structure layouts,
 * libh2o (on libuv) and libh2o-evloop, and choose by a macro that no .pc file sets. The wrong
 * choice links without a word and corrupts memory at run time, so it is refused here.
 */
#ifndef COWORKING_EVLOOP_H
#define COWORKING_EVLOOP_H

#include <h2o.h>

_Static_assert(H2O_USE_LIBUV == 0,
	       "coworkingd links libh2o-evloop: compile with -DH2O_USE_LIBUV=0");

#endif
