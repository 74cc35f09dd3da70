/* SPDX-License-Identifier: MIT */
/*
 * Holds each field of vmlinux/vmlinux.h against the running kernel's BTF: it must be there under
 * the same name, with the same kind, size and signedness, an array as long, a pointer to the same.
 * Order and offsets are CO-RE's business, except in the context of perf_event programs.
 *
 *	test_vmlinux [OBJECT [KERNEL_BTF [HEADER]]]
 *
 * OBJECT is vmlinux_check.bpf.c compiled, HEADER vmlinux.h, whose list of types it must hold.
 * Without KERNEL_BTF, on a kernel that has none, it says so and passes; given one, it must be there.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/btf.h>
#include <cmocka.h>

static char object_path[4096];
static const char *kernel_path = "/sys/kernel/btf/vmlinux";
static const char *header_path = "vmlinux/vmlinux.h";

static struct btf *ours, *kernels;

/*
 * Members that some kernels have not: code that reads one asks with bpf_core_field_exists() first.
 * Types of a flavour (name___suffix) may be missing too, for the same reason.
 */
static const char *const optional_members[] = {
	"return_instance.chained", /* gone with nested return instances in 6.1x kernels */
};

/*
 * Unsigned, but narrower on kernels with FRED (6.9: a union with 64 bits of which these are the low
 * ones). Only the low bits may be looked at, which are right either way.
 */
static const char *const other_sizes[] = { "pt_regs.cs", "pt_regs.ss" };

/* Types of another architecture than the one this program is built for. */
static const char *const foreign[] = {
#ifdef __x86_64__
	"user_pt_regs",
	"thread_info",
#endif
	"",
};

/*
 * The context of perf_event programs is a contract of the verifier, without CO-RE: layout matters.
 * Its registers bear another name in the kernel (bpf_user_pt_regs_t).
 */
static const char *const contracts[] = { "bpf_perf_event_data" };
static const char *const not_in_kernel[] = { "perf_event_regs" };

static bool listed(const char *name, const char *const *list, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		if (!strcmp(name, list[i]))
			return true;
	return false;
}

#define LISTED(name, list) listed(name, list, sizeof(list) / sizeof(*(list)))

static int failures;

__attribute__((format(printf, 1, 2))) static void complain(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	failures++;
}

/* Through typedefs, qualifiers and type tags to what the type is. */
static const struct btf_type *plain_type(const struct btf *btf, uint32_t id)
{
	const struct btf_type *t = btf__type_by_id(btf, id);

	while (t && (btf_is_mod(t) || btf_is_typedef(t) || btf_is_type_tag(t)))
		t = btf__type_by_id(btf, t->type);
	assert_non_null(t);
	return t;
}

static const char *name_of(const struct btf *btf, const struct btf_type *t)
{
	return btf__name_by_offset(btf, t->name_off);
}

struct found_member {
	const struct btf_type *type;
	uint32_t bit_offset, bitfield_size;
	int64_t size;
};

/* A member by its name, also in anonymous structs and unions inside. */
static bool find_member(const struct btf *btf, const struct btf_type *t, const char *name,
			uint32_t base, struct found_member *ret)
{
	const struct btf_member *m = btf_members(t);

	for (int i = 0; i < btf_vlen(t); i++, m++) {
		const char *own = btf__name_by_offset(btf, m->name_off);
		const struct btf_type *type = plain_type(btf, m->type);
		uint32_t offset = base + btf_member_bit_offset(t, i);

		if (!strcmp(own, name)) {
			*ret = (struct found_member){ type, offset, btf_member_bitfield_size(t, i),
						      btf__resolve_size(btf, m->type) };
			return true;
		}
		if (!*own && btf_is_composite(type) && find_member(btf, type, name, offset, ret))
			return true;
	}
	return false;
}

static void compare_members(const struct btf_type *our, const struct btf_type *their,
			    const char *where, bool layout);

/* The name without the flavour. */
static void bare_name(const char *name, char *bare, size_t size)
{
	const char *flavour = strstr(name, "___");

	snprintf(bare, size, "%.*s", flavour ? (int)(flavour - name) : (int)strlen(name), name);
}

static bool same_name(const struct btf_type *our, const struct btf_type *their)
{
	char bare[128];

	bare_name(name_of(ours, our), bare, sizeof(bare));
	return !strcmp(bare, name_of(kernels, their));
}

/* Structs and unions, or forward declarations of either: by name only. */
static bool is_aggregate(const struct btf_type *t)
{
	return btf_is_composite(t) || btf_is_fwd(t);
}

static void compare_arrays(const struct btf_type *our, const struct btf_type *their,
			   const char *where);

static void compare_ints(const struct btf_type *our, const struct btf_type *their,
			 const char *where)
{
	bool sizes = our->size == their->size || LISTED(where, other_sizes);
	bool encodings = btf_int_encoding(our) == btf_int_encoding(their);

	/* Kernels are compiled with -funsigned-char since 6.2. */
	if (!strcmp(name_of(ours, our), "char") && !strcmp(name_of(kernels, their), "char"))
		encodings = true;
	if (!sizes || !encodings)
		complain("%s: %u bytes, encoding %d; in the kernel %u and %d", where, our->size,
			 btf_int_encoding(our), their->size, btf_int_encoding(their));
}

/* What a pointer points to or a member is. Below a pointer, a name is enough. */
static void compare_types(const struct btf_type *our, const struct btf_type *their,
			  const char *where, bool pointed_to)
{
	if (is_aggregate(our) && is_aggregate(their)) {
		if (!same_name(our, their))
			complain("%s: struct \"%s\" is \"%s\" in the kernel", where,
				 name_of(ours, our), name_of(kernels, their));
		else if (!pointed_to && !*name_of(ours, our))
			compare_members(our, their, where, false);
	} else if (btf_kind(our) != btf_kind(their)) {
		complain("%s: kind %d is %d in the kernel", where, btf_kind(our), btf_kind(their));
	} else if (btf_is_ptr(our)) {
		if (our->type && their->type)
			compare_types(plain_type(ours, our->type), plain_type(kernels, their->type),
				      where, true);
		else if (our->type != their->type)
			complain("%s: only one is a pointer to void", where);
	} else if (btf_is_array(our)) {
		compare_arrays(our, their, where);
	} else if (btf_is_int(our)) {
		compare_ints(our, their, where);
	} else if (our->size != their->size) {
		complain("%s: %u bytes, in the kernel %u", where, our->size, their->size);
	}
}

static void compare_arrays(const struct btf_type *our, const struct btf_type *their,
			   const char *where)
{
	uint32_t our_nr = btf_array(our)->nelems, their_nr = btf_array(their)->nelems;

	/* A flexible array is declared as [], [0] or [1]: each stands for any of these. */
	if (our_nr != their_nr && (our_nr > 1 || their_nr > 1))
		complain("%s: %u elements, in the kernel %u", where, our_nr, their_nr);
	compare_types(plain_type(ours, btf_array(our)->type),
		      plain_type(kernels, btf_array(their)->type), where, false);
}

/* Each member of ours against the kernel's struct; anonymous aggregates are looked through. */
static void compare_nested(const struct btf_type *our, const struct btf_type *their,
			   const char *where, bool layout, uint32_t base)
{
	const struct btf_member *m = btf_members(our);

	for (int i = 0; i < btf_vlen(our); i++, m++) {
		const char *name = btf__name_by_offset(ours, m->name_off);
		const struct btf_type *type = plain_type(ours, m->type);
		uint32_t offset = base + btf_member_bit_offset(our, i);
		struct found_member found;
		char path[256];

		if (!*name && btf_is_composite(type)) {
			compare_nested(type, their, where, layout, offset);
			continue;
		}
		snprintf(path, sizeof(path), "%s.%s", where, name);
		if (!find_member(kernels, their, name, 0, &found)) {
			if (!LISTED(path, optional_members))
				complain("%s: not in the running kernel", path);
			continue;
		}
		if (layout) {
			int64_t size = btf__resolve_size(ours, m->type);

			if (offset != found.bit_offset || size != found.size)
				complain("%s: %lld bytes at bit %u, in the kernel %lld at %u", path,
					 (long long)size, offset, (long long)found.size,
					 found.bit_offset);
			continue;
		}
		if (btf_member_bitfield_size(our, i) != found.bitfield_size)
			complain("%s: %u bits, in the kernel %u", path,
				 btf_member_bitfield_size(our, i), found.bitfield_size);
		compare_types(type, found.type, path, false);
	}
}

static void compare_members(const struct btf_type *our, const struct btf_type *their,
			    const char *where, bool layout)
{
	if (layout && our->size != their->size)
		complain("%s: %u bytes, in the kernel %u", where, our->size, their->size);
	compare_nested(our, their, where, layout, 0);
}

/* An enum's values; the kernel may have more of them. */
static void compare_values(const struct btf_type *our, const struct btf_type *their,
			   const char *where)
{
	const struct btf_enum *v = btf_enum(our);

	for (int i = 0; i < btf_vlen(our); i++, v++) {
		const char *name = btf__name_by_offset(ours, v->name_off);
		const struct btf_enum *k = btf_enum(their);
		int j;

		for (j = 0; j < btf_vlen(their); j++, k++)
			if (!strcmp(btf__name_by_offset(kernels, k->name_off), name))
				break;
		if (j == btf_vlen(their))
			complain("%s: %s is not in the running kernel", where, name);
		else if (k->val != v->val)
			complain("%s: %s is %d, in the kernel %d", where, name, v->val, k->val);
	}
}

static void compare_named(const char *name, uint32_t kind)
{
	char bare[128];
	int our_id = btf__find_by_name_kind(ours, name, kind), their_id;
	const struct btf_type *our, *their;

	if (LISTED(name, foreign))
		return;
	if (our_id < 0) {
		complain("%s: missing in tests/unit/vmlinux_check.bpf.c", name);
		return;
	}
	if (LISTED(name, not_in_kernel))
		return;
	bare_name(name, bare, sizeof(bare));
	their_id = btf__find_by_name_kind(kernels, bare, kind);
	if (their_id < 0) {
		if (!strcmp(bare, name))
			complain("%s: not in the running kernel", name);
		return;
	}
	our = btf__type_by_id(ours, our_id);
	their = btf__type_by_id(kernels, their_id);
	if (kind == BTF_KIND_ENUM)
		compare_values(our, their, name);
	else
		compare_members(our, their, bare, LISTED(name, contracts));
}

/* The types that the header defines at its outermost level. */
static void every_field_is_the_kernels(void **state)
{
	FILE *header = fopen(header_path, "re");
	char line[512], kind[16], name[128];
	int nr = 0;

	(void)state;
	assert_non_null(header);
	while (fgets(line, sizeof(line), header)) {
		if (sscanf(line, "%15[a-z] %127[A-Za-z0-9_] {", kind, name) != 2 ||
		    !strchr(line, '{'))
			continue;
		if (!strcmp(kind, "struct"))
			compare_named(name, BTF_KIND_STRUCT);
		else if (!strcmp(kind, "union"))
			compare_named(name, BTF_KIND_UNION);
		else if (!strcmp(kind, "enum"))
			compare_named(name, BTF_KIND_ENUM);
		else
			continue;
		nr++;
	}
	fclose(header);
	assert_true(nr > 0);
	assert_int_equal(failures, 0);
}

/* This program is BUILD/unit/test_vmlinux, the object BUILD/bpf/vmlinux_check.bpf.o. */
static void beside_program(const char *program)
{
	const char *slash = strrchr(program, '/');
	int len = slash ? (int)(slash - program) : 1;

	snprintf(object_path, sizeof(object_path), "%.*s/../bpf/vmlinux_check.bpf.o", len,
		 slash ? program : ".");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(every_field_is_the_kernels) };
	int result;

	beside_program(argv[0]);
	if (argc > 1)
		snprintf(object_path, sizeof(object_path), "%s", argv[1]);
	if (argc > 2)
		kernel_path = argv[2];
	else if (access(kernel_path, R_OK)) {
		puts("test_vmlinux: this kernel has no BTF: nothing was compared");
		return 0;
	}
	if (argc > 3)
		header_path = argv[3];

	ours = btf__parse(object_path, NULL);
	kernels = btf__parse(kernel_path, NULL);
	if (!ours || !kernels) {
		fprintf(stderr, "%s: %s\n", ours ? kernel_path : object_path, strerror(errno));
		btf__free(ours);
		btf__free(kernels);
		return 1;
	}
	result = cmocka_run_group_tests(tests, NULL, NULL);
	btf__free(ours);
	btf__free(kernels);
	return result;
}
