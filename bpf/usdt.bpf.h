/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_USDT_BPF_H
#define PERISCOPE_USDT_BPF_H

/*
 * The arguments of USDT probes (bpf/usdt.h). The specification of each site is an element of
 * `usdt_specs`; its index is the id in the site's cookie (PROBE_COOKIE_ID). Size the map before
 * load. Needs vmlinux.h and bpf_helpers.h before it.
 */

#include "probe.bpf.h"
#include "usdt.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct usdt_spec);
} usdt_specs SEC(".maps");

static __always_inline const struct usdt_spec *usdt_spec(__u64 cookie)
{
	__u32 id = PROBE_COOKIE_ID(cookie);

	return bpf_map_lookup_elem(&usdt_specs, &id);
}

static __always_inline int usdt_read_user(__u64 addr, __u32 size, __u64 *ret)
{
	__u64 v8 = 0;
	__u32 v4 = 0;
	__u16 v2 = 0;
	__u8 v1 = 0;
	int err;

	/* Not 8 bytes always: what follows a smaller one may not be mapped. */
	switch (size) {
	case 1:
		err = bpf_probe_read_user(&v1, sizeof(v1), (void *)addr);
		*ret = v1;
		return err;
	case 2:
		err = bpf_probe_read_user(&v2, sizeof(v2), (void *)addr);
		*ret = v2;
		return err;
	case 4:
		err = bpf_probe_read_user(&v4, sizeof(v4), (void *)addr);
		*ret = v4;
		return err;
	default:
		err = bpf_probe_read_user(&v8, sizeof(v8), (void *)addr);
		*ret = v8;
		return err;
	}
}

/*
 * Argument n of the probe that was hit, extended to 64 bits by its size and sign. Returns 0, -2
 * when the probe has no such argument or it could not be read from its note, others from
 * bpf_probe_read_user (memory that is paged out: -14); then *ret is untouched.
 *
 * A function of its own, because kernel 6.1 refuses a loop around it ("back-edge") when it is
 * inlined.
 */
static __noinline __attribute__((unused)) int
usdt_arg(const struct pt_regs *ctx, const struct usdt_spec *spec, __u32 n, __u64 *ret)
{
	const struct usdt_arg *arg;
	__u64 value;
	__u32 bits;
	int err;

	if (n >= USDT_MAX_ARGS || n >= spec->nr)
		return -2;
	arg = &spec->args[n];
	switch (arg->kind) {
	case USDT_CONST:
		*ret = arg->off; /* extended by user space */
		return 0;
	case USDT_REG:
		value = probe_reg(ctx, arg->reg) >> (arg->shift & 63);
		break;
	case USDT_MEM:
		value = arg->off;
		if (arg->reg != USDT_NO_REG)
			value += probe_reg(ctx, arg->reg);
		if (arg->index != USDT_NO_REG)
			value += probe_reg(ctx, arg->index) << (arg->shift & 63);
		err = usdt_read_user(value, arg->size, &value);
		if (err)
			return err;
		break;
	default:
		return -2;
	}
	bits = (64 - arg->size * 8) & 63;
	value <<= bits;
	*ret = arg->is_signed ? (__u64)((__s64)value >> bits) : value >> bits;
	return 0;
}

#endif
