/* SPDX-License-Identifier: MIT */
/* build: -fno-builtin -fplt -Wl,-z,lazy -Wl,-z,norelro */
/*
 * Binds its calls to libc anew, over and over: after each round the slots of its GOT are put back to
 * what they were before the first call, so that ld.so's resolver, which keeps its CFA in RBX while C
 * code runs below it, is on the stack most of the time.
 *
 * case plain:
 * stack: %main(;call_all(;.*)*)?
 */
#include <elf.h>
#include <link.h>

#include "workload.h"

#define MAX_SLOTS 64

static ElfW(Addr) * slots[MAX_SLOTS], unbound[MAX_SLOTS];
static int nr_slots;

/* The slots of functions that are called in rounds; stop() and start-up keep theirs. */
static void find_slots(void)
{
	const ElfW(Rela) *rela = NULL;
	ElfW(Addr) base = _r_debug.r_map->l_addr;
	size_t size = 0;

	for (const ElfW(Dyn) *d = _r_debug.r_map->l_ld; d->d_tag; d++) {
		if (d->d_tag == DT_JMPREL)
			rela = (const ElfW(Rela) *)d->d_un.d_ptr;
		else if (d->d_tag == DT_PLTRELSZ)
			size = d->d_un.d_val;
	}
	for (size_t i = 0; i < size / sizeof(*rela) && nr_slots < MAX_SLOTS; i++) {
		slots[nr_slots] = (ElfW(Addr) *)(base + rela[i].r_offset);
		unbound[nr_slots] = *slots[nr_slots];
		nr_slots++;
	}
}

FRAME static void call_all(void)
{
	/* No IFUNCs: their selectors run in libc, whose rules do not say where RBX is saved. */
	sink += strtol("7", NULL, 10) + atoi("3") + abs(-5) + labs(-2);
	sink += (getenv("NO_SUCH_VARIABLE") != NULL) + strtoul("11", NULL, 10);
	STAY();
}

int main(int argc, char **argv)
{
	find_slots();
	workload_start(argc, argv);
	workload_ready();
	while (running) {
		call_all();
		for (int i = 0; i < nr_slots; i++)
			*slots[i] = unbound[i];
	}
	return 0;
}
