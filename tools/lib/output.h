/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_OUTPUT_H
#define PERISCOPE_OUTPUT_H

/*
 * An output file named on the command line. It is opened before the capture starts, so that a name
 * that cannot be written is known at once, and it appears under its name whole or not at all: what
 * is written goes to a temporary file beside it, which output_commit() renames. Files made under
 * sudo belong to the caller. Devices, pipes and standard output are written directly.
 */

#include "sink.h"

struct output;

/*
 * Open `path`: "-" and /dev/stdout are standard output. A symbolic link is replaced, not followed.
 * Returns 0, -EISDIR, -ENAMETOOLONG or what the system said; a file that is there stays untouched.
 */
int output_open(const char *path, struct output **ret);

/* Where writers write to; buffered. Valid until output_free. */
struct sink *output_sink(struct output *o);

/*
 * Write out what is buffered and put the file in its place. Returns 0 or the first error of this or
 * of any write before it, even when the writer ignored that; then nothing is left behind and a file
 * that was there is as it was. Nothing may be written afterwards.
 */
int output_commit(struct output *o);

/* Closes and frees; without a successful commit the file never existed. NULL is fine. */
void output_free(struct output *o);

/* Under sudo a file that was made goes to the one who asked for it. */
void output_give_to_caller(int fd);

#endif
