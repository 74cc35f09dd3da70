/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TIMELINE_PROBES_BPF_H
#define PERISCOPE_TIMELINE_PROBES_BPF_H

/* The target's own probes, USDT and functions, as events. After the records of timeline.bpf.c. */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct timeline_site);
} sites SEC(".maps");

/* Most texts are short: two sizes of records, for a reservation is of constant size. */
#define SHORT_TEXT 64

/* `size` of the text, a constant. */
static __always_inline void fill_text(struct timeline_record *r, __u32 id, const __u64 *v,
				      const char *text, __u32 size, long bytes)
{
	r->site = id;
	r->words = TIMELINE_WORDS;
	__builtin_memcpy(r->v, v, sizeof(r->v));
	r->bytes = bytes > 0 ? bytes : 0; /* 0: not readable */
	__builtin_memcpy(r->text, text, size);
	submit(r);
}

static __always_inline void put_text(__u32 kind, __u32 tid, __u32 id, const __u64 *v, __u64 from)
{
	char text[TIMELINE_TEXT] = { 0 };
	long bytes = bpf_probe_read_user_str(text, sizeof(text), (void *)from);
	struct timeline_record *r;

	/* Two ways to the end: Linux 6.1 does not remember which size goes with which length. */
	if (bytes <= SHORT_TEXT) {
		r = reserve(kind, tid, TIMELINE_HEAD + TIMELINE_WORDS * 8 + SHORT_TEXT);
		if (r)
			fill_text(r, id, v, text, SHORT_TEXT, bytes);
		return;
	}
	r = reserve(kind, tid, sizeof(*r));
	if (r)
		fill_text(r, id, v, text, sizeof(text), bytes);
}

/* A power of two, for the verifier to see that an index is below it. */
#define ARGS 8

static __always_inline void put_site(__u32 kind, __u32 tid, __u32 id,
				     const struct timeline_site *site, const __u64 *v)
{
	struct timeline_record *r;
	__u32 text = site->text, arg = site->when.arg % ARGS;

	barrier_var(arg);
	if (!timeline_holds(&site->when, v[arg % ARGS]))
		return;
	if (text) {
		text = (text - 1) % ARGS;
		barrier_var(text);
		put_text(kind, tid, id, v, v[text % ARGS]);
		return;
	}
	r = RESERVE(kind, tid, TIMELINE_WORDS);
	if (!r)
		return;
	r->site = id;
	__builtin_memcpy(r->v, v, sizeof(r->v));
	submit(r);
}

SEC("uprobe")
int timeline_usdt(struct pt_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx), v[ARGS] = { 0 };
	__u32 id = PROBE_COOKIE_ID(cookie);
	const struct timeline_site *site;
	const struct usdt_spec *spec;
	struct target_ids ids;

	if (!current_is_ours(&ids))
		return 0;
	site = bpf_map_lookup_elem(&sites, &id);
	spec = usdt_spec(cookie);
	if (!site || !spec)
		return 0;
	/* What cannot be read stays 0. */
	for (__u32 i = 0; i < TIMELINE_WORDS; i++)
		if (i < site->words)
			usdt_arg(ctx, spec, i, &v[i]);
	if (site->request)
		alloc_tell(ids.tid);
	put_site(EVT_NONE, ids.tid, id, site, v);
	return 0;
}

SEC("uprobe")
int timeline_entry(struct pt_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx), v[ARGS] = { 0 };
	__u32 id = PROBE_COOKIE_ID(cookie);
	const struct timeline_site *site;
	struct target_ids ids;

	if (!current_is_ours(&ids))
		return 0;
	site = bpf_map_lookup_elem(&sites, &id);
	if (!site)
		return 0;
	for (__u32 i = 0; i < TIMELINE_WORDS; i++)
		if (i < site->words)
			probe_arg(ctx, cookie, i, &v[i]);
	put_site(EVT_SPAN_BEGIN, ids.tid, id, site, v);
	return 0;
}

SEC("uprobe")
int timeline_return(struct pt_regs *ctx)
{
	__u64 id = PROBE_COOKIE_ID(bpf_get_attach_cookie(ctx));
	struct timeline_record *r;
	struct target_ids ids;

	if (!current_is_ours(&ids))
		return 0;
	r = RESERVE(EVT_SPAN_END, ids.tid, 1);
	if (!r)
		return 0;
	r->site = id;
	r->v[0] = probe_result(ctx);
	submit(r);
	return 0;
}

#endif
