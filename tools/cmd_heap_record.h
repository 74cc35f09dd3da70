/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_CMD_HEAP_RECORD_H
#define PERISCOPE_CMD_HEAP_RECORD_H

/* periscope heap --record FILE: the file, from before the capture to after it. */

struct capture_heap;
struct summary;
struct trace_chunks;

struct heap_recording {
	const char *path; /* NULL: none is asked for, and all of the below do nothing */
	struct trace_chunks *file;
};

#define HEAP_HELP_RECORD                                                                                \
	"  --record FILE     every allocation, realloc and free, one after the other, in FILE, of\n"    \
	"                    which periscope convert FILE -o X.heaptrack.gz makes what heaptrack_gui\n" \
	"                    opens; may take 10 MB a second and more\n"

/*
 * Make the file, under its name at once, so that a kill leaves what was recorded; after the engine
 * was made, before the capture. Returns 0 or an exit status after the message.
 */
int heap_recording_open(struct heap_recording *r, struct capture_heap *c);

/* What there is to say of it. */
void heap_recording_summarize(const struct heap_recording *r, const struct capture_heap *c,
			      struct summary *s);

/*
 * After the capture; status: that of it. A file that nothing came into, since the capture could not
 * begin, is removed. Returns status, or 1 after the message if the file could not be written.
 */
int heap_recording_close(struct heap_recording *r, const struct capture_heap *c, int status);

#endif
