/* SPDX-License-Identifier: MIT */
/* build: -nostdlib -static -fno-builtin -fno-stack-protector */
/* A program without a C library: it has no allocator. */
void _start(void)
{
	long result;

	for (;;)
		__asm__ volatile("syscall" : "=a"(result) : "a"(34L) : "rcx", "r11", "memory");
}
