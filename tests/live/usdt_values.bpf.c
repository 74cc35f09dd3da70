/* SPDX-License-Identifier: MIT */
/* The kernel side of usdt_values.c: every argument of every hit, evaluated by bpf/usdt.bpf.h. */
#include "vmlinux/vmlinux.h"

#include <bpf/bpf_helpers.h>

#include "bpf/usdt.bpf.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

struct usdt_hit {
	__u32 spec, nr;
	__s64 errors[USDT_MAX_ARGS];
	__u64 values[USDT_MAX_ARGS];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} hits SEC(".maps");

SEC("uprobe")
int usdt_hit(struct pt_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx);
	const struct usdt_spec *spec = usdt_spec(cookie);
	struct usdt_hit *hit;

	if (!spec)
		return 0;
	hit = bpf_ringbuf_reserve(&hits, sizeof(*hit), 0);
	if (!hit)
		return 0;
	hit->spec = PROBE_COOKIE_ID(cookie);
	hit->nr = spec->nr;
	for (__u32 i = 0; i < USDT_MAX_ARGS; i++) {
		__u64 value = 0;

		hit->errors[i] = usdt_arg(ctx, spec, i, &value);
		hit->values[i] = value;
	}
	bpf_ringbuf_submit(hit, 0);
	return 0;
}
