/* SPDX-License-Identifier: MIT */
/* build: -fno-asynchronous-unwind-tables -fno-unwind-tables -fomit-frame-pointer */
/*
 * The recursion, built without unwind tables, but with debug information: its .debug_frame says how
 * to unwind.
 *
 * case plain: 43
 * stack: %main;descend{43};leaf
 */
#include "recursion.c"
