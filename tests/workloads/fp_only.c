/* SPDX-License-Identifier: MIT */
/* build: -O0 -g0 -fno-asynchronous-unwind-tables -fno-unwind-tables -fno-omit-frame-pointer */
/*
 * The recursion, with frame pointers and no unwind tables, under a libc that has only tables: the
 * walk changes its method between main and libc. Not optimized: gcc gives a leaf its frame only then,
 * and the caller of a leaf without one is lost to every walk by frame pointers.
 *
 * case plain: 43
 * stack: %main;descend{43};leaf
 */
#include "recursion.c"
