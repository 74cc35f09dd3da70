/* SPDX-License-Identifier: MIT */
/*
 * The walk in user space: of this process, by the rows of its own objects and its memory read from
 * outside, against libgcc's unwinder; and memory that is not there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#include "mapping.h"
#include "util.h"
#include "walk.h"

#define MAX_MAPS 64

static struct object table[MAX_MAPS], *items[MAX_MAPS];
static struct objects objects = { .items = items };
static struct unwind_mapping maps[MAX_MAPS];
static size_t nr_maps;

static void add_object(const struct mapping *m)
{
	struct object *obj = &table[objects.nr];
	struct unwind_mapping *u = &maps[nr_maps++];
	uint64_t vaddr;

	*u = (struct unwind_mapping){ .start = m->start, .end = m->end };
	if (!m->inode)
		return;
	obj->id = (uint32_t)objects.nr + 1;
	obj->elf = elf_open_fd(mapping_open(getpid(), m));
	assert_non_null(obj->elf);
	assert_int_equal(elf_offset_to_vaddr(obj->elf, m->offset, &vaddr), 0);
	unwind_table_init(&obj->table, obj->elf);
	items[objects.nr++] = obj;
	u->object = obj->id;
	u->bias = u->start - vaddr;
}

static int load(void **state)
{
	struct mapping *list;
	size_t n;

	(void)state;
	assert_int_equal(mappings_read(getpid(), &list, &n), 0);
	for (size_t i = 0; i < n && nr_maps < MAX_MAPS; i++)
		if (!(list[i].start >> FRAME_OBJECT_SHIFT))
			add_object(&list[i]);
	mappings_free(list, n);
	return 0;
}

static int unload(void **state)
{
	(void)state;
	for (size_t i = 0; i < objects.nr; i++) {
		unwind_table_release(&table[i].table);
		elf_close(table[i].elf);
	}
	return 0;
}

struct theirs {
	uint64_t pcs[256];
	size_t n;
};

static _Unwind_Reason_Code their_frame(struct _Unwind_Context *context, void *arg)
{
	struct theirs *t = arg;

	if (t->n < ARRAY_SIZE(t->pcs) && _Unwind_GetIP(context))
		t->pcs[t->n++] = _Unwind_GetIP(context);
	return _URC_NO_REASON;
}

static void from_here(struct unwind_state *s, const ucontext_t *uc)
{
	*s = (struct unwind_state){ .pc = uc->uc_mcontext.gregs[REG_RIP],
				    .known = UNWIND_KNOW_ALWAYS };
	s->regs[UNWIND_RBP] = uc->uc_mcontext.gregs[REG_RBP];
	s->regs[UNWIND_RSP] = uc->uc_mcontext.gregs[REG_RSP];
}

static uint64_t address_of(uint64_t frame)
{
	for (size_t i = 0; i < nr_maps; i++)
		if (maps[i].object == FRAME_OBJECT(frame))
			return FRAME_ADDR(frame) + maps[i].bias;
	return FRAME_ADDR(frame);
}

static struct stack_event event;

__attribute__((noinline)) static void walk_and_compare(int depth)
{
	struct theirs theirs = { .n = 0 };
	struct walk_memory memory;
	struct unwind_state s;
	ucontext_t uc;

	if (depth) {
		walk_and_compare(depth - 1);
		__asm__ volatile("");
		return;
	}
	_Unwind_Backtrace(their_frame, &theirs);
	getcontext(&uc);
	from_here(&s, &uc);
	walk_memory_init(&memory, getpid());
	event.nr_frames = 0;
	walk_stack(&objects, maps, nr_maps, &s, walk_memory_read, &memory, &event);
	assert_int_equal(event.end, UNWIND_COMPLETE);
	assert_int_equal(event.nr_frames, theirs.n);
	/* The leaf's is another instruction of one function; return addresses are named by the call. */
	for (size_t i = 1; i < theirs.n; i++)
		assert_int_equal(address_of(event.frames[i]), theirs.pcs[i] - 1);
}

static void test_own_stack(void **state)
{
	(void)state;
	walk_and_compare(0);
	walk_and_compare(100);
}

/* Frames that are there already (the kernel's) stay, and what does not fit is said. */
static void test_too_deep(void **state)
{
	struct walk_memory memory;
	struct unwind_state s;
	ucontext_t uc;

	(void)state;
	getcontext(&uc);
	from_here(&s, &uc);
	walk_memory_init(&memory, getpid());
	for (size_t i = 0; i < STACK_MAX_FRAMES; i++)
		event.frames[i] = i;
	event.nr_frames = STACK_MAX_FRAMES - 2;
	walk_stack(&objects, maps, nr_maps, &s, walk_memory_read, &memory, &event);
	assert_int_equal(event.end, UNWIND_TOO_DEEP);
	assert_int_equal(event.nr_frames, STACK_MAX_FRAMES);
	assert_int_equal(event.frames[STACK_MAX_FRAMES - 3], STACK_MAX_FRAMES - 3);
}

static void test_nowhere(void **state)
{
	struct unwind_state s = { .pc = 0x10, .known = UNWIND_KNOW_ALWAYS };
	struct walk_memory memory;

	(void)state;
	walk_memory_init(&memory, getpid());
	event.nr_frames = 0;
	walk_stack(&objects, maps, nr_maps, &s, walk_memory_read, &memory, &event);
	assert_int_equal(event.end, UNWIND_NO_MAPPING);
	assert_int_equal(event.nr_frames, 1);
	assert_int_equal(event.frames[0], 0x10);
}

static void test_memory(void **state)
{
	char *pages =
		mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t at = (uintptr_t)pages;
	__u64 value;
	struct walk_memory memory;

	(void)state;
	assert_ptr_not_equal(pages, MAP_FAILED);
	assert_int_equal(munmap(pages + 2 * 4096, 4096), 0);
	memcpy(pages + 4096 - 8, "12345678", 8);
	memcpy(pages + 4096, "abcdefgh", 8);
	walk_memory_init(&memory, getpid());
	assert_int_equal(walk_memory_read(&memory, at + 4096 - 8, &value), 0);
	assert_memory_equal(&value, "12345678", 8);
	assert_int_equal(walk_memory_read(&memory, at + 4096, &value), 0);
	assert_memory_equal(&value, "abcdefgh", 8);
	assert_int_not_equal(walk_memory_read(&memory, at + 4, &value), 0);
	assert_int_not_equal(walk_memory_read(&memory, at + 2 * 4096, &value), 0);
	assert_int_not_equal(walk_memory_read(&memory, UINT64_MAX - 7, &value), 0);
	/* A failure is not remembered as what was read before it. */
	assert_int_equal(walk_memory_read(&memory, at + 4096, &value), 0);
	assert_memory_equal(&value, "abcdefgh", 8);
	munmap(pages, 2 * 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_stack),
		cmocka_unit_test(test_too_deep),
		cmocka_unit_test(test_nowhere),
		cmocka_unit_test(test_memory),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
