/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_LIBBPF_LOG_H
#define PERISCOPE_LIBBPF_LOG_H

#include <stdbool.h>

/*
 * What libbpf has to say: nothing, or with `verbose` its warnings, on stderr. Our own messages
 * say what failed; libbpf's say how, in many lines.
 */
void libbpf_log_init(bool verbose);

#endif
