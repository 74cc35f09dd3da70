/* SPDX-License-Identifier: MIT */
/* build: -s */
/*
 * The recursion, without symbols: a function is told by its module and where its unwind entry
 * starts. One name stands for main, one for the 43 levels, one for the leaf.
 *
 * case plain: 43
 * stack: stripped\+0x[0-9a-f]+;__libc_start_.*{1,2};stripped\+0x[0-9a-f]+{45}
 */
#include "recursion.c"
