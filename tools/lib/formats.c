/* SPDX-License-Identifier: MIT */
#include "formats.h"

#include <errno.h>
#include <string.h>

#include "write_chrome.h"
#include "write_folded.h"
#include "write_heaptrack.h"
#include "write_html.h"
#include "write_pftrace.h"
#include "write_pprof.h"
#include "write_report.h"
#include "write_speedscope.h"
#include "write_svg.h"
#include "write_text.h"

const struct format profile_formats[] = {
	{ "pprof", ".pb.gz", "pprof profile", .write = write_pprof },
	{ "folded", ".folded", "folded stacks", .write = write_folded },
	{ "svg", ".svg", "flame graph", .write = write_svg },
	{ "speedscope", ".speedscope.json", "speedscope profile", .write = write_speedscope },
	{ "text", ".txt", "report", .write = write_text },
	{ 0 },
};

const struct format report_formats[] = {
	{ "json", ".json", "tables as JSON", .write_report = write_report_json },
	{ "svg", ".svg", "histograms and waterfalls", .write_report = write_report_svg },
	{ "text", ".txt", "report", .write_report = write_report_text },
	{ 0 },
};

/* speedscope's ending comes before the one that it ends in. */
const struct format timeline_formats[] = {
	{ "pftrace", ".pftrace", "Perfetto trace", .write_timeline = write_pftrace },
	{ "pprof", ".pb.gz", "pprof profile", .write = write_pprof },
	{ "folded", ".folded", "folded stacks", .write = write_folded },
	{ "svg", ".svg", "flame graph", .write = write_svg },
	{ "speedscope", ".speedscope.json", "speedscope profile", .write = write_speedscope },
	{ "html", ".html", "page to look at it", .write_timeline = write_html },
	{ "chrome", ".json", "Chrome trace", .write_timeline = write_chrome },
	{ "heaptrack", ".heaptrack.gz", "heaptrack's data", .write_timeline = write_heaptrack },
	{ "text", ".txt", "report", .write_report = write_report_text },
	{ "tables", NULL, "report as JSON", .write_report = write_report_json },
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
		if (name ? !strcmp(f->name, name) : f->ending && has_ending(path, f->ending)) {
			*ret = f;
			return 0;
		}
	}
	return -EINVAL;
}

int format_write(const struct format *f, struct write_model m, const struct write_options *o,
		 struct sink *out)
{
	struct write_options rest = *o;
	int err;

	if (f->write_timeline)
		return m.timeline ? f->write_timeline(m.timeline, o, out) : -EINVAL;
	if ((f->write && !m.profile) || (f->write_report && !m.report))
		return -EINVAL;
	err = f->write_report ? f->write_report(m.report, o, out) : 0;
	if (f->write_report)
		rest.nr_fields = 0;
	return err || !f->write ? err : f->write(m.profile, &rest, out);
}
