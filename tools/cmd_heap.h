/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_CMD_HEAP_H
#define PERISCOPE_CMD_HEAP_H

/* Parts of periscope heap that are files of their own. */

extern const char heap_usage_text[];

#endif
