/* SPDX-License-Identifier: MIT */
#include "formats.h"

#include <errno.h>
#include <string.h>

#include "write_folded.h"
#include "write_pprof.h"
#include "write_speedscope.h"
#include "write_svg.h"
#include "write_text.h"

const struct format profile_formats[] = {
	{ "pprof", ".pb.gz", "pprof profile", write_pprof },
	{ "folded", ".folded", "folded stacks", write_folded },
	{ "svg", ".svg", "flame graph", write_svg },
	{ "speedscope", ".speedscope.json", "speedscope profile", write_speedscope },
	{ "text", ".txt", "report", write_text },
	{ 0 },
};

static bool has_ending(const char *path, const char *ending)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	size_t len = strlen(name), ending_len = strlen(ending);

	return len > ending_len && !strcmp(name + len - ending_len, ending);
}

int format_find(const struct format *formats, const char *path, const char *name,
		const struct format **ret)
{
	for (const struct format *f = formats; f->name; f++) {
		if (name ? !strcmp(f->name, name) : has_ending(path, f->ending)) {
			*ret = f;
			return 0;
		}
	}
	return -EINVAL;
}
