/* SPDX-License-Identifier: MIT */
/* build: -O1 -pthread */
/*
 * A fault with known registers. Says "ready", waits for a line on standard input, then its thread
 * "guilty" loads constants into all registers but the stack pointer and reads from ADDRESS, where
 * nothing is. Its handler says what the kernel gave it, "NAME VALUE" for each register (ucontext, an
 * oracle for the rest), "tid TID", and goes back to the instruction with the default action: the same
 * fault ends the process. With an argument it has no handler at all.
 */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <ucontext.h>
#include <unistd.h>

#define ADDRESS 0x1357000

#if defined(__x86_64__)
static const struct {
	const char *name;
	int index;
} registers[] = {
	{ "rip", REG_RIP }, { "rsp", REG_RSP }, { "rbp", REG_RBP }, { "rflags", REG_EFL },
	{ "rax", REG_RAX }, { "rbx", REG_RBX }, { "rcx", REG_RCX }, { "rdx", REG_RDX },
	{ "rsi", REG_RSI }, { "rdi", REG_RDI }, { "r8", REG_R8 },   { "r9", REG_R9 },
	{ "r10", REG_R10 }, { "r11", REG_R11 }, { "r12", REG_R12 }, { "r13", REG_R13 },
	{ "r14", REG_R14 }, { "r15", REG_R15 },
};

static void say_registers(const mcontext_t *m)
{
	for (size_t i = 0; i < sizeof(registers) / sizeof(*registers); i++)
		printf("%s %llu\n", registers[i].name, m->gregs[registers[i].index]);
}

void fault_here(void);

/* Nothing is read after it. */
__asm__(".text\n"
	".globl fault_here\n"
	".type fault_here, @function\n"
	"fault_here:\n"
	"	.cfi_startproc\n"
	"	movabs $0x1357000, %rax\n"
	"	movabs $0x1111111111111102, %rbx\n"
	"	movabs $0x2222222222222203, %rcx\n"
	"	movabs $0x3333333333333305, %rdx\n"
	"	movabs $0x4444444444444407, %rsi\n"
	"	movabs $0x555555555555550b, %rdi\n"
	"	movabs $0x666666666666660d, %rbp\n"
	"	movabs $0x7777777777777711, %r8\n"
	"	movabs $0x8888888888888813, %r9\n"
	"	movabs $0x9999999999999917, %r10\n"
	"	movabs $0xaaaaaaaaaaaaaa1d, %r11\n"
	"	movabs $0xbbbbbbbbbbbbbb1f, %r12\n"
	"	movabs $0xcccccccccccccc25, %r13\n"
	"	movabs $0xdddddddddddddd29, %r14\n"
	"	movabs $0xeeeeeeeeeeeeee2b, %r15\n"
	"	movq (%rax), %rax\n"
	"	hlt\n"
	"	.cfi_endproc\n"
	".size fault_here, . - fault_here\n");
#else
static void say_registers(const mcontext_t *m)
{
	printf("pc %llu\nsp %llu\npstate %llu\n", m->pc, m->sp, m->pstate);
	for (unsigned int i = 0; i < 31; i++)
		printf("x%u %llu\n", i, m->regs[i]);
}

__attribute__((noipa)) void fault_here(void)
{
	*(volatile char *)ADDRESS;
}
#endif

/* After a fault of our own, so that printf is safe: it was in no library. */
static void on_fault(int signo, siginfo_t *info, void *context)
{
	const ucontext_t *u = context;

	say_registers(&u->uc_mcontext);
	printf("signo %d\ncode %d\naddress %ju\ntid %d\ndone\n", signo, info->si_code,
	       (uintmax_t)(uintptr_t)info->si_addr, gettid());
	fflush(stdout);
	signal(signo, SIG_DFL);
}

static void *guilty(void *arg)
{
	(void)arg;
	prctl(PR_SET_NAME, "guilty");
	fault_here();
	return NULL;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	pthread_t thread;
	char line[16];

	(void)argv;
	if (argc == 1)
		sigaction(SIGSEGV, &sa, NULL);
	puts("ready");
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin) || pthread_create(&thread, NULL, guilty, NULL))
		return 1;
	pthread_join(thread, NULL);
	return 0;
}
