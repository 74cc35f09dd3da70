/* SPDX-License-Identifier: MIT */
/* build: -lstdc++ */
/*
 * operator new and delete in all their forms, by the names that the Itanium C++ ABI gives them, so
 * many of each; the sizes differ. Tells "expect" lines as heap_known.c.
 */
#include <stdint.h>

#include "workload.h"

struct nothrow;

extern void *_Znwm(size_t);
extern void *_Znam(size_t);
extern void *_ZnwmRKSt9nothrow_t(size_t, const struct nothrow *);
extern void *_ZnamRKSt9nothrow_t(size_t, const struct nothrow *);
extern void *_ZnwmSt11align_val_t(size_t, size_t);
extern void *_ZnamSt11align_val_t(size_t, size_t);
extern void _ZdlPv(void *);
extern void _ZdaPv(void *);
extern void _ZdlPvm(void *, size_t);
extern void _ZdaPvm(void *, size_t);
extern void _ZdlPvSt11align_val_t(void *, size_t);
extern void _ZdaPvSt11align_val_t(void *, size_t);

static void *volatile block;

FRAME void news(void)
{
	static const struct nothrow *nothrow;

	for (int i = 0; i < 1009; i++) {
		block = _Znwm(100);
		_ZdlPv(block);
	}
	for (int i = 0; i < 1013; i++) {
		block = _Znam(200);
		_ZdaPv(block);
	}
	for (int i = 0; i < 1019; i++) {
		block = _Znwm(300);
		_ZdlPvm(block, 300);
	}
	for (int i = 0; i < 1021; i++) {
		block = _Znam(400);
		_ZdaPvm(block, 400);
	}
	for (int i = 0; i < 1031; i++) {
		block = _ZnwmRKSt9nothrow_t(500, nothrow);
		_ZdlPv(block);
		block = _ZnamRKSt9nothrow_t(600, nothrow);
		_ZdaPv(block);
	}
	for (int i = 0; i < 1033; i++) {
		block = _ZnwmSt11align_val_t(704, 64);
		_ZdlPvSt11align_val_t(block, 64);
		block = _ZnamSt11align_val_t(832, 64);
		_ZdaPvSt11align_val_t(block, 64);
	}
	/* By the other family: one allocator serves both. */
	for (int i = 0; i < 1039; i++) {
		block = malloc(900);
		_ZdlPv(block);
	}
	for (int i = 0; i < 11; i++)
		block = _Znwm(1000);
	STAY();
}

int main(int argc, char **argv)
{
	static const int expected[][3] = {
		{ 100, 1009, 1009 }, { 200, 1013, 1013 }, { 300, 1019, 1019 }, { 400, 1021, 1021 },
		{ 500, 1031, 1031 }, { 600, 1031, 1031 }, { 704, 1033, 1033 }, { 832, 1033, 1033 },
		{ 900, 1039, 1039 }, { 1000, 11, 0 },
	};
	char line[64];
	int n;

	workload_start(argc, argv);
	news();
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		n = snprintf(line, sizeof(line), "expect heap_new news %d %d %d\n", expected[i][0],
			     expected[i][1], expected[i][2]);
		if (write(STDOUT_FILENO, line, n) != n)
			return 1;
	}
	return 0;
}
