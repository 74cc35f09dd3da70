/* SPDX-License-Identifier: MIT */
/* build: -shared -fPIC */
/*
 * To be preloaded: a malloc and a free that count and pass on to the next, as many tools for
 * debugging are; the rest of the allocator's functions stay those of libc.
 */
#include <dlfcn.h>
#include <stddef.h>

static void *(*next_malloc)(size_t);
static void (*next_free)(void *);
static volatile long calls;

__attribute__((constructor)) static void find_next(void)
{
	next_malloc = dlsym(RTLD_NEXT, "malloc");
	next_free = dlsym(RTLD_NEXT, "free");
}

__attribute__((noipa)) void *malloc(size_t size)
{
	void *p;

	if (!next_malloc)
		find_next();
	p = next_malloc(size);
	calls++;
	return p;
}

__attribute__((noipa)) void free(void *p)
{
	if (!next_free)
		find_next();
	next_free(p);
	calls++;
}
