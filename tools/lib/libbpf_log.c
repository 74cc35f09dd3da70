/* SPDX-License-Identifier: MIT */
#include "libbpf_log.h"

#include <bpf/libbpf.h>
#include <stdarg.h>
#include <stdio.h>

static bool print_warnings;

static int print(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return print_warnings && level == LIBBPF_WARN ? vfprintf(stderr, fmt, ap) : 0;
}

void libbpf_log_init(bool verbose)
{
	print_warnings = verbose;
	libbpf_set_print(print);
}
