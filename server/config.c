/* SPDX-License-Identifier: MIT */
/*
 * The command line of coworkingd. Every value is checked completely here: what leaves this file
 * can be used as it is.
 */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler.h"

#define VERSION "0.1"

static const char usage_text[] =
	"Usage: coworkingd [options]\n"
	"\n"
	"Serves the coworking API over HTTP/1.1 from one SQLite file.\n"
	"\n"
	"  --listen ADDR:PORT   address to listen on, port 0 for any free one (127.0.0.1:8080)\n"
	"  --db PATH            database, created and filled with demo data if missing\n"
	"                       (coworking.db)\n"
	"  --secret-file PATH   key that signs the tokens, 32 bytes or more, created if missing\n"
	"                       (the database's path and .secret)\n"
	"  --threads N          event loops (one for each CPU)\n"
	"  --connections N      connections open at once (1024)\n"
	"  --help, --version\n"
	"\n"
	"SIGTERM and SIGINT finish the requests under way and stop the server.\n"
	"\n"
	"EXAMPLES\n"
	"  coworkingd --db /tmp/demo.db\n"
	"  coworkingd --listen 127.0.0.1:0 --threads 1\n";

__attribute__((format(printf, 1, 2))) static enum config_result usage_error(const char *fmt, ...)
{
	va_list args;

	fputs("coworkingd: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputs(" (see --help)\n", stderr);
	return CONFIG_USAGE_ERROR;
}

static int parse_number(const char *text, unsigned int min, unsigned int max, unsigned int *ret)
{
	unsigned long value;
	char *end;

	/* strtoul takes signs and leading blanks */
	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno != 0 || *end != '\0' || value < min || value > max)
		return -EINVAL;
	*ret = (unsigned int)value;
	return 0;
}

static int parse_path(const char *text, char *ret, size_t size)
{
	if (text[0] == '\0' || strlen(text) >= size)
		return -EINVAL;
	strcpy(ret, text);
	return 0;
}

static int parse_listen(struct config *config, const char *text)
{
	const char *colon = strrchr(text, ':');
	const char *host = text;
	unsigned int port;
	size_t len;

	if (colon == NULL || parse_number(colon + 1, 0, 65535, &port) != 0)
		return -EINVAL;
	len = (size_t)(colon - text);
	if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
		host++;
		len -= 2;
	} else if (memchr(host, ':', len) != NULL) {
		return -EINVAL; /* an IPv6 address without brackets */
	}
	if (len == 0 || len >= sizeof(config->host))
		return -EINVAL;
	memcpy(config->host, host, len);
	config->host[len] = '\0';
	snprintf(config->port, sizeof(config->port), "%u", port);
	return 0;
}

static unsigned int usable_cpus(void)
{
	cpu_set_t set;
	int n = 1;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		n = CPU_COUNT(&set);
	return n < CONFIG_THREADS_MAX ? (unsigned int)n : CONFIG_THREADS_MAX;
}

static void set_defaults(struct config *config)
{
	memset(config, 0, sizeof(*config));
	strcpy(config->host, "127.0.0.1");
	strcpy(config->port, "8080");
	strcpy(config->db_path, "coworking.db");
	config->threads = usable_cpus();
	config->connections = 1024;
}

static enum config_result finish(struct config *config)
{
	size_t len;

	if (config->connections < config->threads)
		return usage_error("--connections %u is less than one for each of %u threads",
				   config->connections, config->threads);
	if (config->secret_path[0] == '\0') {
		len = strlen(config->db_path);
		if (len + sizeof(".secret") > sizeof(config->secret_path))
			return usage_error("--db: the path is too long");
		memcpy(config->secret_path, config->db_path, len);
		strcpy(config->secret_path + len, ".secret");
	}
	return CONFIG_RUN;
}

enum config_result config_parse(struct config *config, int argc, char **argv)
{
	static const struct option options[] = {
		{ "listen", required_argument, NULL, 'l' },
		{ "db", required_argument, NULL, 'd' },
		{ "secret-file", required_argument, NULL, 's' },
		{ "threads", required_argument, NULL, 't' },
		{ "connections", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int opt, index, err = 0;

	set_defaults(config);
	opterr = 0;
	while ((opt = getopt_long(argc, argv, ":hV", options, &index)) != -1) {
		switch (opt) {
		case 'l':
			err = parse_listen(config, optarg);
			break;
		case 'd':
			err = parse_path(optarg, config->db_path, sizeof(config->db_path));
			break;
		case 's':
			err = parse_path(optarg, config->secret_path, sizeof(config->secret_path));
			break;
		case 't':
			err = parse_number(optarg, 1, CONFIG_THREADS_MAX, &config->threads);
			break;
		case 'c':
			err = parse_number(optarg, 1, CONFIG_CONNECTIONS_MAX, &config->connections);
			break;
		case 'h':
			fputs(usage_text, stdout);
			return CONFIG_EXIT;
		case 'V':
			puts("coworkingd " VERSION);
			return CONFIG_EXIT;
		case ':':
			return usage_error("%s needs a value", argv[optind - 1]);
		default:
			return usage_error("unknown option %s", argv[optind - 1]);
		}
		if (err != 0)
			return usage_error("--%s: bad value \"%s\"", options[index].name, optarg);
	}
	if (optind < argc)
		return usage_error("unexpected argument \"%s\"", argv[optind]);
	return finish(config);
}
