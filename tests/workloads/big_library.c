/* SPDX-License-Identifier: MIT */
/* build: -shared -fPIC */
/*
 * A shared object with 20,000 functions that each save six registers, so that its unwind table is
 * larger than any room kept for objects that come later. The assembler makes them, in a tenth of the
 * time the compiler takes. dlopen_mid enters by library_enter.
 */
#define FRAME __attribute__((noipa))

__asm__(".macro SAVE reg\n"
	"	push %\\reg\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	.cfi_rel_offset %\\reg, 0\n"
	".endm\n"
	".macro RESTORE reg\n"
	"	pop %\\reg\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	.cfi_restore %\\reg\n"
	".endm\n"
	".macro BIG_FUNCTION name\n"
	"	.globl \\name\n"
	"	.type \\name, @function\n"
	"\\name:\n"
	"	.cfi_startproc\n"
	"	.irp reg, r15, r14, r13, r12, rbp, rbx\n"
	"		SAVE \\reg\n"
	"	.endr\n"
	"	xor %ebp, %ebp\n" /* a walk by frame pointers must end here */
	"	sub $8, %rsp\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	call *%rdi\n"
	"	add $8, %rsp\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	.irp reg, rbx, rbp, r12, r13, r14, r15\n"
	"		RESTORE \\reg\n"
	"	.endr\n"
	"	ret\n"
	"	.cfi_endproc\n"
	"	.size \\name, . - \\name\n"
	".endm\n"
	".text\n"
	".irpc a, 01\n"
	".irpc b, 0123456789\n"
	".irpc c, 0123456789\n"
	".irpc d, 0123456789\n"
	".irpc e, 0123456789\n"
	"	BIG_FUNCTION big_\\a\\b\\c\\d\\e\n"
	".endr\n"
	".endr\n"
	".endr\n"
	".endr\n"
	".endr\n");

void big_00000(void (*next)(void));
void big_19999(void (*next)(void));
void library_leaf(void);
void library_low(void);
void library_enter(void);

static volatile unsigned long library_sink;

FRAME void library_leaf(void)
{
	for (;;)
		library_sink++;
}

FRAME void library_low(void)
{
	big_00000(library_leaf);
	library_sink++;
}

FRAME void library_enter(void)
{
	big_19999(library_low);
	library_sink++;
}
