/* SPDX-License-Identifier: MIT */
/* build: -g0 -fno-asynchronous-unwind-tables -fno-unwind-tables -fno-omit-frame-pointer -mno-omit-leaf-frame-pointer */
/*
 * The recursion, with frame pointers and no unwind tables, under a libc that has only tables: the
 * walk changes its method between main and libc.
 *
 * case plain: 43
 * stack: %main;descend{43};leaf
 */
#include "recursion.c"
