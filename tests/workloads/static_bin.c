/* SPDX-License-Identifier: MIT */
/* build: -static */
/*
 * The recursion, in a program without a dynamic linker.
 *
 * case plain: 43
 * stack: %main;descend{43};leaf
 */
#include "recursion.c"
