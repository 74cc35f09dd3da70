/* SPDX-License-Identifier: MIT */
/* build: -g0 -fno-asynchronous-unwind-tables -fno-unwind-tables -fomit-frame-pointer */
/*
 * The recursion, with neither unwind tables nor frame pointers: nobody can walk it. What is asked is
 * honesty: the leaf's name, a mark that the rest is missing, and complete=0.
 *
 * case truncated: 43
 * stack: .*;leaf
 */
#include "recursion.c"
