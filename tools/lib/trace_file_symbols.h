/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TRACE_FILE_SYMBOLS_H
#define PERISCOPE_TRACE_FILE_SYMBOLS_H

/* Names for the frames of a trace while their files, and the kernel's symbols, are at hand. */

#include <stdint.h>

struct ksyms;
struct objects;
struct trace_writer;

/*
 * Name the frames from *next on, as far as `max` of them (0: all), and move *next, which begins as
 * 1. A capture calls it now and then for the kernel's frames to be named even if it is killed, and
 * to the end before trace_writer_finish(). ksyms NULL: kernel frames stay addresses. Returns 0 or a
 * negative errno.
 */
int trace_symbols_write(struct trace_writer *w, const struct objects *objects,
			const struct ksyms *ksyms, uint32_t *next, uint32_t max);

#endif
