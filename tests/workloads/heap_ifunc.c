/* SPDX-License-Identifier: MIT */
/* build: -nostdlib -static -fno-builtin -fno-stack-protector */
/* Has a malloc that is chosen when the program is loaded (STT_GNU_IFUNC): no place to probe. */
#include <stddef.h>

static char arena[4096];

static void *simple_malloc(size_t size)
{
	return size <= sizeof(arena) ? arena : NULL;
}

/* Called by nobody here: there is no loader. */
__attribute__((used)) static void *(*choose(void))(size_t)
{
	return simple_malloc;
}

void *malloc(size_t size) __attribute__((ifunc("choose")));

void free(void *p)
{
	(void)p;
}

void _start(void)
{
	long result;

	for (;;)
		__asm__ volatile("syscall" : "=a"(result) : "a"(34L) : "rcx", "r11", "memory");
}
