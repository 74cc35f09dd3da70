/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_LOADING_H
#define PERISCOPE_LOADING_H

/* How far a command that we start has come with being loaded: for capture_ops' place. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "target.h"

/*
 * A process that stands still in a system call at address pc (CAPTURE_PC_LOADED: known to be done):
 * is its dynamic linker done, so that its own code runs and all objects that it was linked with are
 * mapped? True also of a program without one, and where the linker is the C library as well (musl)
 * and so is never left: there it is not known when.
 */
bool loading_is_over(const struct target *t, pid_t pid, uint64_t pc);

#endif
