/* SPDX-License-Identifier: MIT */
/* build: -static */
/* heap_known with the allocator built in. */
#include "heap_known.c"
