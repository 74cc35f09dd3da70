/* SPDX-License-Identifier: MIT */
/*
 * Code for the symbolizer's tests, never run for its result: inlined calls in loops, branches and
 * each other, a clone, a cold part, recursion, an alias, a nested function, functions in
 * hand-written assembly without a size and inside another, and a static one that only unwind information knows when
 * the file is stripped.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static volatile int sink;

static inline __attribute__((always_inline)) int innermost(int x)
{
	if (x > 3)
		sink += x;
	return sink ^ x;
}

static inline __attribute__((always_inline)) int middle(int x)
{
	int sum = 0;

	for (int i = 0; i < x; i++)
		sum += innermost(i) * innermost(sum);
	return sum;
}

static inline __attribute__((always_inline)) int outer(int x)
{
	if (x & 1)
		return middle(x) + innermost(x + 1);
	return middle(x * 2);
}

__attribute__((noinline)) static int hidden(int x)
{
	sink++;
	return outer(x) + 1;
}

/* Exported right before `hidden` in some layouts: must not be blamed for its code. */
__attribute__((noinline)) int exported(int x)
{
	return hidden(x) * 3 + outer(x + 2);
}

int exported_alias(int x) __attribute__((weak, alias("exported")));
int __exported_alias(int x) __attribute__((alias("exported")));

/* As libc names its system calls: the name that people know is the weak one. */
__attribute__((noinline)) int __plain(int x)
{
	return sink + x;
}

int plain(int x) __attribute__((weak, alias("__plain")));

__attribute__((noinline)) static int cloned(int x, int constant)
{
	sink += constant;
	return x > 100 ? cloned(x - 1, constant) + sink : outer(x);
}

__attribute__((noinline)) int with_cold_part(int x)
{
	if (__builtin_expect(x < 0, 0)) {
		fprintf(stderr, "negative: %d\n", x);
		abort();
	}
	return middle(x);
}

#if defined(__GNUC__) && !defined(__clang__)
__attribute__((noinline)) int with_nested(int x)
{
	__attribute__((noinline)) int nested(int y)
	{
		sink += x;
		return innermost(y) + x;
	}
	return nested(x) + nested(x + 1);
}
#else
int with_nested(int x)
{
	return x;
}
#endif

__asm__(".text\n"
	".globl sizeless\n"
	"sizeless:\n"
	"	.cfi_startproc\n"
	"	nop\n"
	"	nop\n"
	"	nop\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".type hidden_after_sizeless, @function\n"
	"hidden_after_sizeless:\n"
	"	.cfi_startproc\n"
	"	nop\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size hidden_after_sizeless, . - hidden_after_sizeless\n"
	".globl nest_outer, nest_inner\n"
	".type nest_outer, @function\n"
	".type nest_inner, @function\n"
	"nest_outer:\n"
	"	.cfi_startproc\n"
	"	nop\n"
	"	nop\n"
	"nest_inner:\n"
	"	nop\n"
	"	nop\n"
	".size nest_inner, . - nest_inner\n"
	"	nop\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size nest_outer, . - nest_outer\n");
void sizeless(void);

int main(int argc, char **argv)
{
	sizeless();
	return exported(argc) + cloned(argc, 7) + with_cold_part(argc) + with_nested(argc) +
	       plain(argc) + (int)strlen(argv[0]);
}
