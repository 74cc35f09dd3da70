/* SPDX-License-Identifier: MIT */
/*
 * Fires USDT probes whose arguments are known, with operands of every form that compilers write,
 * some 100 times a second. Those of provider `forms` are written in assembly, so that they are what
 * they are; those of `compiled` are what the compiler makes of array elements, globals and constants.
 * `guarded` fires only while its semaphore is raised.
 *
 * case plain:
 */
#include "workload.h"

#include <stdint.h>
#define SDT_USE_VARIADIC
#define _SDT_HAS_SEMAPHORES 1
#include <sys/sdt.h>

#define DECLARE_SEMAPHORE(name) \
	volatile unsigned short name##_semaphore __attribute__((section(".probes")))

DECLARE_SEMAPHORE(compiled_elements);
DECLARE_SEMAPHORE(compiled_globals);
DECLARE_SEMAPHORE(compiled_constants);
DECLARE_SEMAPHORE(compiled_guarded);
DECLARE_SEMAPHORE(compiled_two_sites);
DECLARE_SEMAPHORE(compiled_twelve);
DECLARE_SEMAPHORE(compiled_text);

volatile int global = -41;
volatile int globals[4] = { 100, 101, 102, -103 };
volatile int64_t wide[3] = { -1, 0x1122334455667788, 3 };

/*
 * A note as sys/sdt.h writes it, of a nop or another instruction, without a semaphore. (Its base, for
 * which 0 stands, tells where a section was when the note was written, and is for files that are
 * moved afterwards.)
 */
#define NOTE(name, operands) NOTE_ON("nop", name, operands)
#define NOTE_ON(instruction, name, operands)            \
	"990:	" instruction "\n"                      \
	"	.pushsection .note.stapsdt, \"\", \"note\"\n" \
	"	.balign 4\n"                                  \
	"	.4byte 992f - 991f, 994f - 993f, 3\n"         \
	"991:	.asciz \"stapsdt\"\n"                     \
	"992:	.balign 4\n"                              \
	"993:	.8byte 990b, 0, 0\n"                      \
	"	.asciz \"forms\"\n"                           \
	"	.asciz \"" name "\"\n"                  \
	"	.asciz \"" operands "\"\n"              \
	"994:	.balign 4\n"                              \
	"	.popsection\n"

static void forms(void)
{
#ifdef __x86_64__
	__asm__ volatile("movabs $0x8182838485868788, %%rax\n"
			 /* clang-format off */
			 NOTE("sizes", "8@%%rax -8@%%rax 4@%%eax -4@%%eax 2@%%ax -2@%%ax "
				       "1@%%al -1@%%al 1@%%ah -1@%%ah")
			 : : : "rax");
	__asm__ volatile("lea globals(%%rip), %%rdi\n"
			 "mov $3, %%esi\n"
			 NOTE("memory", "-4@(%%rdi) -4@4(%%rdi) 4@12(%%rdi) -4@(%%rdi,%%rsi,4) "
					"-4@-4(%%rdi,%%rsi,4) -4@12(%%rdi) 1@12(%%rdi) 2@12(%%rdi)")
			 : : : "rdi", "rsi");
	__asm__ volatile(NOTE("globals", "-4@global(%%rip) -4@12+globals(%%rip) "
					 "-4@globals+8(%%rip) -8@8+wide(%%rip) 1@15+wide(%%rip)")
			 : : :);
	__asm__ volatile(NOTE("constants", "4@$5 -4@$-7 1@$255 -1@$255 8@$-1 2@$65535") : : :);
	/* What cannot be read does not keep the rest from being. */
	__asm__ volatile("mov $17, %%ecx\n"
			 NOTE("unreadable", "8f@%%xmm0 4@%%ecx 8@%%fs:0")
			 : : : "rcx");
	/* Not mapped: that argument alone fails. */
	__asm__ volatile("mov $8, %%ecx\n" NOTE("unmapped", "8@(%%rcx) 4@%%ecx") : : : "rcx");
	/* What other makers of notes put there, and what a kernel may damage the process by. */
	__asm__ volatile(NOTE_ON(".byte 0x0f, 0x1f, 0x44, 0x00, 0x00", "nop5", "4@$5") : : :);
	/* clang-format on */
#endif
}

FRAME void compiled(const int *elements, long i, const char *text)
{
	STAP_PROBEV(compiled, elements, elements[i - 1], elements[i], wide[i]);
	STAP_PROBEV(compiled, globals, global, globals[3], wide[1]);
	STAP_PROBEV(compiled, constants, 7, -7, (uint8_t)200, (int64_t)1 << 40);
	if (compiled_guarded_semaphore)
		STAP_PROBEV(compiled, guarded, i);
	STAP_PROBEV(compiled, two_sites, i);
	STAP_PROBEV(compiled, two_sites, text[0], text);
	STAP_PROBEV(compiled, twelve, 1, 2, 3, i, 5, 6, 7, 8, 9, 10, 11, elements[0]);
	STAP_PROBEV(compiled, text, text);
}

int main(int argc, char **argv)
{
	static int elements[] = { -10, 11, 12 };

	workload_start(argc, argv);
	workload_ready();
	while (running) {
		forms();
		compiled(elements, 2, "text");
		usleep(10000);
	}
	return 0;
}
