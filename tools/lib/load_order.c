/* SPDX-License-Identifier: MIT */
#include "load_order.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>

#include "util.h"

#define MAX_OBJECTS 65536 /* a list that is longer goes in circles */
#define MAX_HEADERS 256
#define MAX_DYNAMIC 1024

/* What is needed of the program: where it is loaded and where its dynamic section is. */
struct program {
	uint64_t bias;
	uint64_t dynamic; /* address; 0: static */
};

static int read_memory(pid_t pid, uint64_t addr, void *buf, size_t size)
{
	struct iovec to = { buf, size }, from = { (void *)(uintptr_t)addr, size };
	ssize_t n = process_vm_readv(pid, &to, 1, &from, 1, 0);

	if (n == (ssize_t)size)
		return 0;
	if (n < 0 && (errno == ESRCH || errno == ENOMEM))
		return -errno;
	return n < 0 && errno == EPERM ? -EACCES : -ENOEXEC;
}

/* What the kernel told the program at its start (getauxval(3)). */
struct auxv {
	uint64_t headers, nr_headers, linker;
};

static int read_auxv(pid_t pid, struct auxv *ret)
{
	struct auxv a = { 0 };
	char path[64];
	size_t len;
	char *text;

	snprintf(path, sizeof(path), "/proc/%d/auxv", pid);
	text = read_file_at(-1, path, 65536, &len);
	if (!text)
		return errno == ENOENT ? -ESRCH : -errno;
	for (size_t i = 0; (i + 1) * sizeof(Elf64_auxv_t) <= len; i++) {
		const Elf64_auxv_t *e = (const Elf64_auxv_t *)text + i;

		if (e->a_type == AT_PHDR)
			a.headers = e->a_un.a_val;
		else if (e->a_type == AT_PHNUM)
			a.nr_headers = e->a_un.a_val;
		else if (e->a_type == AT_BASE)
			a.linker = e->a_un.a_val;
	}
	free(text);
	*ret = a;
	return 0;
}

int load_order_linker(pid_t pid, uint64_t *ret)
{
	struct auxv a = { 0 };
	int err = read_auxv(pid, &a);

	if (!err)
		*ret = a.linker;
	return err;
}

static int find_program(pid_t pid, struct program *ret)
{
	Elf64_Phdr headers[MAX_HEADERS];
	bool has_first = false;
	struct auxv a = { 0 };
	int err;

	err = read_auxv(pid, &a);
	if (!err && (!a.headers || !a.nr_headers || a.nr_headers > MAX_HEADERS))
		err = -ENOEXEC;
	if (!err)
		err = read_memory(pid, a.headers, headers, a.nr_headers * sizeof(*headers));
	if (err)
		return err;
	*ret = (struct program){ 0 };
	for (size_t i = 0; i < a.nr_headers; i++) {
		/* The headers lie in the first segment, which is that of the file's beginning. */
		if (headers[i].p_type == PT_PHDR ||
		    (headers[i].p_type == PT_LOAD && !headers[i].p_offset && !has_first)) {
			uint64_t vaddr = headers[i].p_vaddr;

			if (headers[i].p_type == PT_LOAD)
				vaddr += sizeof(Elf64_Ehdr);
			ret->bias = a.headers - vaddr;
			has_first = true;
		}
		if (headers[i].p_type == PT_DYNAMIC)
			ret->dynamic = headers[i].p_vaddr;
	}
	if (ret->dynamic)
		ret->dynamic += ret->bias;
	return 0;
}

/* The address of struct r_debug, from DT_DEBUG; 0 when the linker has not written it. */
static int find_debug(pid_t pid, uint64_t dynamic, uint64_t *ret)
{
	Elf64_Dyn entry;
	int err;

	*ret = 0;
	for (size_t i = 0; i < MAX_DYNAMIC; i++) {
		err = read_memory(pid, dynamic + i * sizeof(entry), &entry, sizeof(entry));
		if (err)
			return err;
		if (entry.d_tag == DT_DEBUG)
			*ret = entry.d_un.d_ptr;
		if (entry.d_tag == DT_DEBUG || entry.d_tag == DT_NULL)
			return 0;
	}
	return -ENOEXEC;
}

static int add(uint64_t **list, size_t *n, size_t *cap, uint64_t value)
{
	int err = array_grow((void **)list, *n, cap, sizeof(**list));

	if (!err)
		(*list)[(*n)++] = value;
	return err;
}

int load_order_read(pid_t pid, uint64_t **ret, size_t *ret_n)
{
	struct link_map map = { 0 };
	struct r_debug debug = { 0 };
	uint64_t *list = NULL, at = 0;
	struct program program;
	size_t n = 0, cap = 0;
	int err;

	err = find_program(pid, &program);
	if (!err && program.dynamic)
		err = find_debug(pid, program.dynamic, &at);
	if (!err && at)
		err = read_memory(pid, at, &debug, sizeof(debug));
	if (!err)
		err = add(&list, &n, &cap, program.bias);
	if (!err && debug.r_map)
		err = read_memory(pid, (uintptr_t)debug.r_map, &map, sizeof(map));
	/* The first of the list is the program. */
	while (!err && map.l_next && n < MAX_OBJECTS) {
		err = read_memory(pid, (uintptr_t)map.l_next, &map, sizeof(map));
		if (!err)
			err = add(&list, &n, &cap, map.l_addr);
	}
	if (err) {
		free(list);
		return err;
	}
	*ret = list;
	*ret_n = n;
	return 0;
}
