/* SPDX-License-Identifier: MIT */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler.h"
#include "faults.h"

#define VERSION "0.1"

static const char usage_text[] =
	"Usage: coworkingd [options]\n"
	"\n"
	"Serves the coworking API over HTTP/1.1 from one SQLite file.\n"
	"\n"
	"  --config PATH        settings as a JSON object, see below\n"
	"  --listen ADDR:PORT   address to listen on, port 0 for any free one (127.0.0.1:8080)\n"
	"  --db PATH            database, created and filled with demo data if missing\n"
	"                       (coworking.db)\n"
	"  --secret-file PATH   key that signs the tokens, 32 bytes or more, created if missing\n"
	"                       (the database's path and .secret)\n"
	"  --threads N          event loops (one for each CPU)\n"
	"  --connections N      connections open at once (1024)\n"
	"  --allowed-origins LIST\n"
	"                       web origins that may call the API, with commas; * for any (none)\n"
	"  --tls-certificate PATH, --tls-key PATH\n"
	"                       serve HTTPS instead of HTTP, with these PEM files\n"
	"  --demo-fault LIST    mistakes to be found with a profiler, with commas (none): all-bookings,\n"
	"                       email-lookup, jwt-split, blocking-writes, json-lock, leak,\n"
	"                       growing-cache\n"
	"  --help, --version\n"
	"\n"
	"Each setting may also stand in the configuration file, under its name with underscores\n"
	"(\"secret_file\"), and in the environment as COWORKING_ and its name in capitals\n"
	"(COWORKING_SECRET_FILE). The command line overrides the environment, and that the file.\n"
	"\n"
	"SIGTERM and SIGINT finish the requests under way and stop the server.\n"
	"\n"
	"EXAMPLES\n"
	"  coworkingd --db /tmp/demo.db\n"
	"  coworkingd --listen 127.0.0.1:0 --threads 1\n"
	"  COWORKING_ALLOWED_ORIGINS=https://app.example.org coworkingd --config coworkingd.json\n";

__attribute__((format(printf, 2, 3))) static enum config_result complain(enum config_result result,
									 const char *fmt, ...)
{
	char line[2 * PATH_MAX];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	/* one line, whatever stands in the value that is complained about */
	for (char *p = line; *p != '\0'; p++)
		*p = (unsigned char)*p < ' ' ? '?' : *p;
	fprintf(stderr, "coworkingd: %s%s\n", line,
		result == CONFIG_USAGE_ERROR ? " (see --help)" : "");
	return result;
}

/* ---- values: each takes a text and stores it checked, or returns -EINVAL ------------------- */

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

static int set_listen(struct config *config, const char *text)
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

static int set_db(struct config *config, const char *text)
{
	return parse_path(text, config->db_path, sizeof(config->db_path));
}

static int set_secret_file(struct config *config, const char *text)
{
	return parse_path(text, config->secret_path, sizeof(config->secret_path));
}

static int set_threads(struct config *config, const char *text)
{
	return parse_number(text, 1, CONFIG_THREADS_MAX, &config->threads);
}

static int set_connections(struct config *config, const char *text)
{
	return parse_number(text, 1, CONFIG_CONNECTIONS_MAX, &config->connections);
}

/*
 * scheme://host[:port], as browsers write it in the Origin header (RFC 6454 section 6.2): printable
 * ASCII without a path. Anything else would never match, or break out of the header it is sent in.
 */
static bool origin_valid(const char *text)
{
	const char *host = strstr(text, "://");

	if (strcmp(text, "*") == 0)
		return true;
	if (host == NULL || host == text || host[3] == '\0' || strchr(host + 3, '/') != NULL)
		return false;
	for (const char *p = text; *p != '\0'; p++) {
		if (*p <= ' ' || *p > '~')
			return false;
	}
	return true;
}

/* Origins with commas between them; an empty text is no origin. */
static int set_allowed_origins(struct config *config, const char *text)
{
	unsigned int count = 0;

	while (*text != '\0') {
		size_t len = strcspn(text, ",");
		char *origin;

		if (count == CONFIG_ORIGINS_MAX || len >= CONFIG_ORIGIN_SIZE)
			return -EINVAL;
		origin = config->origins[count];
		memcpy(origin, text, len);
		origin[len] = '\0';
		if (!origin_valid(origin))
			return -EINVAL;
		count++;
		text += len;
		if (*text == ',' && *++text == '\0')
			return -EINVAL;
	}
	config->origin_count = count;
	return 0;
}

static int set_tls_certificate(struct config *config, const char *text)
{
	return parse_path(text, config->tls_certificate, sizeof(config->tls_certificate));
}

static int set_tls_key(struct config *config, const char *text)
{
	return parse_path(text, config->tls_key, sizeof(config->tls_key));
}

/* Names with commas between them; an empty text takes back what the file says. */
static int set_demo_fault(struct config *config, const char *text)
{
	char name[32];

	faults_enabled = 0;
	while (*text != '\0') {
		size_t len = strcspn(text, ",");

		if (len >= sizeof(name))
			return -EINVAL;
		memcpy(name, text, len);
		name[len] = '\0';
		if (fault_enable(name) != 0)
			return -EINVAL;
		text += len;
		if (*text == ',' && *++text == '\0')
			return -EINVAL;
	}
	return 0;
}

/* ---- sources ------------------------------------------------------------------------------- */

/* One row a setting: the name has dashes on the command line, as here, and underscores elsewhere */
static const struct setting {
	const char *name;
	int (*set)(struct config *config, const char *text);
} settings[] = {
	{ "listen", set_listen },
	{ "db", set_db },
	{ "secret-file", set_secret_file },
	{ "threads", set_threads },
	{ "connections", set_connections },
	{ "allowed-origins", set_allowed_origins },
	{ "tls-certificate", set_tls_certificate },
	{ "tls-key", set_tls_key },
	{ "demo-fault", set_demo_fault },
};

#define NAME_SIZE 32 /* of a setting, with its prefix in the environment */

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

static const struct setting *find_in_file(const char *key)
{
	char name[NAME_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		snprintf(name, sizeof(name), "%s", settings[i].name);
		for (char *p = name; *p != '\0'; p++)
			*p = *p == '-' ? '_' : *p;
		if (strcmp(name, key) == 0)
			return &settings[i];
	}
	return NULL;
}

/* A JSON value as the text that the command line would have: a list has commas. */
static int text_of(const json_t *value, char *ret, size_t size)
{
	size_t used = 0;
	json_t *element;
	size_t i;

	ret[0] = '\0';
	if (json_is_integer(value))
		return snprintf(ret, size, "%lld", (long long)json_integer_value(value)) > 0
			       ? 0
			       : -EINVAL;
	if (json_is_string(value)) {
		used = json_string_length(value);
		if (used >= size)
			return -EINVAL;
		strcpy(ret, json_string_value(value));
		return 0;
	}
	if (!json_is_array(value))
		return -EINVAL;
	json_array_foreach(value, i, element)
	{
		if (!json_is_string(element) || json_string_length(element) == 0 ||
		    used + json_string_length(element) + 2 > size)
			return -EINVAL;
		used += (size_t)snprintf(ret + used, size - used, "%s%s", i > 0 ? "," : "",
					 json_string_value(element));
	}
	return 0;
}

static enum config_result read_file(struct config *config, const char *path)
{
	enum config_result result = CONFIG_RUN;
	const struct setting *setting;
	const char *key;
	char text[PATH_MAX];
	json_error_t error;
	json_t *file, *value;

	file = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
	if (file == NULL && error.line > 0)
		return complain(CONFIG_ERROR, "configuration %s, line %d: %s", path, error.line,
				error.text);
	if (file == NULL)
		return complain(CONFIG_ERROR, "configuration %s", error.text);
	if (!json_is_object(file))
		result = complain(CONFIG_ERROR, "configuration %s: it is no JSON object", path);
	json_object_foreach(file, key, value)
	{
		if (result != CONFIG_RUN)
			break;
		setting = find_in_file(key);
		if (setting == NULL)
			result = complain(CONFIG_ERROR, "configuration %s: unknown setting \"%s\"",
					  path, key);
		else if (text_of(value, text, sizeof(text)) != 0 || setting->set(config, text) != 0)
			result = complain(CONFIG_ERROR, "configuration %s: bad value of \"%s\"",
					  path, key);
	}
	json_decref(file);
	return result;
}

static enum config_result read_environment(struct config *config)
{
	char name[NAME_SIZE];
	const char *value;

	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		snprintf(name, sizeof(name), "COWORKING_%s", settings[i].name);
		for (char *p = name; *p != '\0'; p++) {
			if (*p >= 'a' && *p <= 'z')
				*p = (char)(*p - 'a' + 'A');
			else if (*p == '-')
				*p = '_';
		}
		value = getenv(name);
		if (value != NULL && settings[i].set(config, value) != 0)
			return complain(CONFIG_ERROR, "%s: bad value \"%s\"", name, value);
	}
	return CONFIG_RUN;
}

/* What getopt_long() returns for --config; settings are their index plus 1. */
#define OPT_CONFIG 'c'
#define OPT_FIRST  1000

/*
 * Goes through the command line. Twice: for --config alone, before the file is read, and for the
 * settings, after it. The first time reports what is wrong with the options themselves.
 */
static enum config_result read_options(struct config *config, int argc, char **argv, bool first,
				       const char **ret_file)
{
	struct option options[ARRAY_SIZE(settings) + 4] = { 0 };
	size_t n = ARRAY_SIZE(settings);
	int opt;

	for (size_t i = 0; i < n; i++)
		options[i] = (struct option){ settings[i].name, required_argument, NULL,
					      OPT_FIRST + (int)i };
	options[n] = (struct option){ "config", required_argument, NULL, OPT_CONFIG };
	options[n + 1] = (struct option){ "help", no_argument, NULL, 'h' };
	options[n + 2] = (struct option){ "version", no_argument, NULL, 'V' };
	opterr = 0;
	optind = 0; /* starts anew, which 1 does not in glibc */
	while ((opt = getopt_long(argc, argv, ":hV", options, NULL)) != -1) {
		switch (opt) {
		case OPT_CONFIG:
			*ret_file = optarg;
			break;
		case 'h':
			fputs(usage_text, stdout);
			return CONFIG_EXIT;
		case 'V':
			puts("coworkingd " VERSION);
			return CONFIG_EXIT;
		case ':':
			return complain(CONFIG_USAGE_ERROR, "%s needs a value", argv[optind - 1]);
		case '?':
			return complain(CONFIG_USAGE_ERROR, "unknown option %s", argv[optind - 1]);
		default:
			if (!first && settings[opt - OPT_FIRST].set(config, optarg) != 0)
				return complain(CONFIG_USAGE_ERROR, "--%s: bad value \"%s\"",
						settings[opt - OPT_FIRST].name, optarg);
		}
	}
	if (optind < argc)
		return complain(CONFIG_USAGE_ERROR, "unexpected argument \"%s\"", argv[optind]);
	return CONFIG_RUN;
}

/* What only shows when all is read. */
static enum config_result finish(struct config *config)
{
	size_t len;

	if (config->connections < config->threads)
		return complain(CONFIG_USAGE_ERROR,
				"--connections %u is less than one for each of %u threads",
				config->connections, config->threads);
	if ((config->tls_certificate[0] == '\0') != (config->tls_key[0] == '\0'))
		return complain(CONFIG_USAGE_ERROR,
				"--tls-certificate and --tls-key need each other");
	if (config->secret_path[0] == '\0') {
		len = strlen(config->db_path);
		if (len + sizeof(".secret") > sizeof(config->secret_path))
			return complain(CONFIG_USAGE_ERROR, "--db: the path is too long");
		memcpy(config->secret_path, config->db_path, len);
		strcpy(config->secret_path + len, ".secret");
	}
	return CONFIG_RUN;
}

enum config_result config_parse(struct config *config, int argc, char **argv)
{
	const char *file = getenv("COWORKING_CONFIG");
	enum config_result result;

	set_defaults(config);
	result = read_options(config, argc, argv, true, &file);
	if (result == CONFIG_RUN && file != NULL)
		result = read_file(config, file);
	if (result == CONFIG_RUN)
		result = read_environment(config);
	if (result == CONFIG_RUN)
		result = read_options(config, argc, argv, false, &file);
	return result == CONFIG_RUN ? finish(config) : result;
}
