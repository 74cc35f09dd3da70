/* SPDX-License-Identifier: MIT */
/*
 * What the command line decides. Read once at the start and constant from then on, so any thread
 * may look at it.
 */
#ifndef COWORKING_CONFIG_H
#define COWORKING_CONFIG_H

#include <limits.h>

#define CONFIG_THREADS_MAX     64
#define CONFIG_CONNECTIONS_MAX 100000

struct config {
	char host[256];		    /* to listen on, without the brackets of an IPv6 address */
	char port[6];		    /* decimal; "0" lets the kernel choose */
	char db_path[PATH_MAX];	    /* the SQLite file */
	char secret_path[PATH_MAX]; /* the key that signs tokens */
	unsigned int threads;	    /* event loops */
	unsigned int connections;   /* open at once, over all loops; at least one a loop */
};

enum config_result {
	CONFIG_RUN,	    /* start the server */
	CONFIG_EXIT,	    /* --help or --version: printed, nothing more to do */
	CONFIG_USAGE_ERROR, /* said why on stderr */
};

/*
 * Fills *config from the command line. Prints help to stdout, a usage error as one line to
 * stderr. *config is complete only for CONFIG_RUN.
 */
enum config_result config_parse(struct config *config, int argc, char **argv);

#endif
