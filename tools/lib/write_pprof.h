/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_WRITE_PPROF_H
#define PERISCOPE_WRITE_PPROF_H

/*
 * pprof's profile.proto, gzipped. A sample's comm and truncation become the labels
 * PROFILE_LABEL_THREAD and PROFILE_LABEL_TRUNCATED. Strings that are not UTF-8 are mended, since
 * protobuf's text must be.
 */

#include "write.h"

struct sink;

int write_pprof(const struct profile *p, const struct write_options *o, struct sink *out);

#endif
