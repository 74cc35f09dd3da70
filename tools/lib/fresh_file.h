/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_FRESH_FILE_H
#define PERISCOPE_FRESH_FILE_H

/*
 * A file that has no name until it is whole, and then one that nobody had: whoever is killed while
 * he writes leaves nothing, and two who write at once do not write to one another's. (Where a name is
 * to be replaced, see output.h.)
 */

struct fresh_file {
	int fd;	    /* to write to */
	char *temp; /* NULL: without a name */
};

/*
 * Make a file in the folder of `path`, owned as by output_give_to_caller(). Where the filesystem has
 * no files without names it has one that ends in ".partial". Returns 0 or a negative errno.
 */
int fresh_file_open(struct fresh_file *f, const char *path);

/*
 * Give it the name `path`; if that is taken, one with a number before its ending. *ret_path: which, to
 * be freed. Returns 0 or a negative errno.
 */
int fresh_file_publish(struct fresh_file *f, const char *path, char **ret_path);

/* Closes. What was not published is gone. */
void fresh_file_release(struct fresh_file *f);

#endif
