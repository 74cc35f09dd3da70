/* SPDX-License-Identifier: MIT */
/* build: -shared -fPIC */
/* The next version of plugin.c: another name, another frame, other addresses. */
#define PLUGIN_LEAF upgraded_leaf
#define PLUGIN_PADDING()                  \
	do {                              \
		volatile char room[4096]; \
		room[0] = 0;              \
		(void)room[0];            \
	} while (0)

#include "plugin.c"
