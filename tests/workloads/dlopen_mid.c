/* SPDX-License-Identifier: MIT */
/*
 * Spins, and after argv[3] milliseconds of its own CPU time loads the library argv[2] (beside this
 * program, or anywhere by a path with a slash) and spins inside it. With 0 milliseconds, "ready"
 * comes from within the library's reach: the load is over when it is printed.
 *
 * case plain: big_library 800
 * stack: %main((;leaf_before)|(;cpu_ms(;.*)*))?
 * stack: %main;use_library(;.*)*
 * stack: %main;use_library;library_enter;big_19999;library_low;big_00000;library_leaf
 *
 * case loaded: big_library 0
 * stack: %main;use_library;library_enter;big_19999;library_low;big_00000;library_leaf
 */
#include <dlfcn.h>
#include <time.h>

#include "workload.h"

static unsigned long cpu_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1000ul + now.tv_nsec / 1000000;
}

FRAME void leaf_before(void)
{
	for (int i = 0; i < 3000000; i++)
		STAY();
}

FRAME void use_library(const char *name, int loud)
{
	char path[8192];
	void (*enter)(void);
	void *handle;

	if (strchr(name, '/'))
		snprintf(path, sizeof(path), "%s", name);
	else
		workload_sibling(path, sizeof(path), name);
	handle = dlopen(path, RTLD_NOW);
	if (!handle) {
		fprintf(stderr, "%s\n", dlerror());
		exit(1);
	}
	enter = (void (*)(void))dlsym(handle, "library_enter");
	if (!enter)
		exit(1);
	if (loud)
		workload_ready();
	enter();
	STAY();
}

int main(int argc, char **argv)
{
	const char *library = workload_arg(argc, argv, "big_library");
	unsigned long delay = argc > 3 ? strtoul(argv[3], NULL, 10) : 800;

	workload_start(argc, argv);
	if (delay) {
		unsigned long until = cpu_ms() + delay;

		workload_ready();
		while (cpu_ms() < until)
			leaf_before();
	}
	use_library(library, !delay);
	STAY();
	return 0;
}
