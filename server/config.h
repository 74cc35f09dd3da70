/* SPDX-License-Identifier: MIT */
/*
 * What the server is told at its start: by a JSON file, overridden by the environment, overridden
 * by the command line. Every value is checked completely here and constant from then on, so any
 * thread may look at it and use it as it is.
 */
#ifndef COWORKING_CONFIG_H
#define COWORKING_CONFIG_H

#include <limits.h>

#define CONFIG_THREADS_MAX     64
#define CONFIG_CONNECTIONS_MAX 100000
#define CONFIG_ORIGINS_MAX     16
#define CONFIG_ORIGIN_SIZE     128

struct config {
	char host[256];		    /* to listen on, without the brackets of an IPv6 address */
	char port[6];		    /* decimal; "0" lets the kernel choose */
	char db_path[PATH_MAX];	    /* the SQLite file */
	char secret_path[PATH_MAX]; /* the key that signs tokens */
	unsigned int threads;	    /* event loops */
	unsigned int connections;   /* open at once, over all loops; at least one a loop */

	/* web pages of these origins may call the API (CORS); "*" alone stands for all */
	char origins[CONFIG_ORIGINS_MAX][CONFIG_ORIGIN_SIZE];
	unsigned int origin_count;

	char tls_certificate[PATH_MAX]; /* PEM, with its chain; empty: plain HTTP */
	char tls_key[PATH_MAX];		/* PEM; empty exactly if tls_certificate is */
};

enum config_result {
	CONFIG_RUN,	    /* start the server */
	CONFIG_EXIT,	    /* --help or --version: printed, nothing more to do */
	CONFIG_USAGE_ERROR, /* said what is wrong with the command line on stderr */
	CONFIG_ERROR,	    /* said what is wrong with the file or the environment on stderr */
};

/*
 * Fills *config. Prints help to stdout, an error as one line to stderr. *config is complete only
 * for CONFIG_RUN.
 */
enum config_result config_parse(struct config *config, int argc, char **argv);

#endif
