/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_WAIT_BPF_H
#define PERISCOPE_WAIT_BPF_H

/*
 * Why a task blocks, asked at the moment when it is switched out: by the number of the system call
 * that it is in, and for reads and writes by what their descriptor is. Needs vmlinux.h, bpf_helpers.h,
 * bpf_core_read.h and bpf_tracing.h before it.
 */

#include "wait.h"

/* include/uapi/linux/stat.h: S_IFMT and its values */
#define MODE_TYPE   0170000
#define MODE_SOCKET 0140000
#define MODE_FILE   0100000
#define MODE_BLOCK  0060000

/* include/uapi/linux/magic.h: eventfd, timerfd and the like, whose mode is a file's since Linux 6.16 */
#define ANON_INODE_FS_MAGIC 0x09041934

/* Numbers of system calls: arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h */
#if defined(__TARGET_ARCH_x86)
enum {
	SYS_READ = 0,
	SYS_WRITE = 1,
	SYS_POLL = 7,
	SYS_PREAD64 = 17,
	SYS_PWRITE64 = 18,
	SYS_READV = 19,
	SYS_WRITEV = 20,
	SYS_SELECT = 23,
	SYS_MSYNC = 26,
	SYS_NANOSLEEP = 35,
	SYS_SENDFILE = 40,
	SYS_CONNECT = 42,
	SYS_ACCEPT = 43,
	SYS_SENDTO = 44,
	SYS_RECVFROM = 45,
	SYS_SENDMSG = 46,
	SYS_RECVMSG = 47,
	SYS_SEMOP = 65,
	SYS_FCNTL = 72, /* F_SETLKW is its only command that waits */
	SYS_FLOCK = 73,
	SYS_FSYNC = 74,
	SYS_FDATASYNC = 75,
	SYS_SYNC = 162,
	SYS_FUTEX = 202,
	SYS_IO_GETEVENTS = 208,
	SYS_SEMTIMEDOP = 220,
	SYS_CLOCK_NANOSLEEP = 230,
	SYS_EPOLL_WAIT = 232,
	SYS_PSELECT6 = 270,
	SYS_PPOLL = 271,
	SYS_SYNC_FILE_RANGE = 277,
	SYS_EPOLL_PWAIT = 281,
	SYS_ACCEPT4 = 288,
	SYS_PREADV = 295,
	SYS_PWRITEV = 296,
	SYS_RECVMMSG = 299,
	SYS_SYNCFS = 306,
	SYS_SENDMMSG = 307,
};
#else
enum {
	SYS_EPOLL_PWAIT = 22,
	SYS_FCNTL = 25,
	SYS_FLOCK = 32,
	SYS_READ = 63,
	SYS_WRITE = 64,
	SYS_READV = 65,
	SYS_WRITEV = 66,
	SYS_PREAD64 = 67,
	SYS_PWRITE64 = 68,
	SYS_PREADV = 69,
	SYS_PWRITEV = 70,
	SYS_SENDFILE = 71,
	SYS_PSELECT6 = 72,
	SYS_PPOLL = 73,
	SYS_SYNC = 81,
	SYS_FSYNC = 82,
	SYS_FDATASYNC = 83,
	SYS_SYNC_FILE_RANGE = 84,
	SYS_FUTEX = 98,
	SYS_NANOSLEEP = 101,
	SYS_CLOCK_NANOSLEEP = 115,
	SYS_SEMTIMEDOP = 192,
	SYS_SEMOP = 193,
	SYS_ACCEPT = 202,
	SYS_CONNECT = 203,
	SYS_SENDTO = 206,
	SYS_RECVFROM = 207,
	SYS_SENDMSG = 211,
	SYS_RECVMSG = 212,
	SYS_MSYNC = 227,
	SYS_ACCEPT4 = 242,
	SYS_RECVMMSG = 243,
	SYS_SYNCFS = 267,
	SYS_SENDMMSG = 269,
	/* not on this architecture */
	SYS_POLL = -10,
	SYS_SELECT = -11,
	SYS_EPOLL_WAIT = -12,
	SYS_IO_GETEVENTS = 4,
};
#endif
/* the same everywhere */
#define SYS_IO_URING_ENTER 426
#define SYS_EPOLL_PWAIT2   441
#define SYS_FUTEX_WAITV	   449

/* What a descriptor of the task leads to. */
static __always_inline int wait_for_file(struct task_struct *task, __u64 descriptor)
{
	struct file **table = BPF_CORE_READ(task, files, fdt, fd), *file = NULL;
	__u32 max = BPF_CORE_READ(task, files, fdt, max_fds);

	if ((__u32)descriptor >= max ||
	    bpf_probe_read_kernel(&file, sizeof(file), table + (__u32)descriptor) || !file)
		return WAIT_OTHER;
	switch (BPF_CORE_READ(file, f_inode, i_mode) & MODE_TYPE) {
	case MODE_SOCKET:
		return WAIT_NETWORK;
	case MODE_FILE:
		if (BPF_CORE_READ(file, f_inode, i_sb, s_magic) == ANON_INODE_FS_MAGIC)
			return WAIT_OTHER;
		return WAIT_DISK;
	case MODE_BLOCK:
		return WAIT_DISK;
	default:
		return WAIT_OTHER;
	}
}

/*
 * The number of the system call that a user thread is in; negative for none: in a fault, or from an
 * interrupt on its way out.
 */
static __always_inline int wait_syscall(struct task_struct *task)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);

#if defined(__TARGET_ARCH_x86)
	return (int)regs->orig_ax;
#else
	return regs->syscallno;
#endif
}

/* Of a thread whose wait is of this class: does it wait for work to come, and not for its own? */
static __always_inline bool wait_is_idle(struct task_struct *task, enum wait_class class)
{
	int nr = wait_syscall(task);

	return class == WAIT_POLL || nr == SYS_ACCEPT || nr == SYS_ACCEPT4;
}

/*
 * The class of a user thread that is about to wait; task may be any, its registers are those it
 * entered the kernel with.
 */
static __always_inline enum wait_class wait_class(struct task_struct *task)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	int nr = wait_syscall(task);
#if defined(__TARGET_ARCH_x86)
	__u64 first = regs->di;
#else
	__u64 first = regs->orig_x0;
#endif

	if (nr < 0)
		return WAIT_FAULT;
	switch (nr) {
	case SYS_FUTEX:
	case SYS_FUTEX_WAITV:
	case SYS_FLOCK:
	case SYS_FCNTL:
	case SYS_SEMOP:
	case SYS_SEMTIMEDOP:
		return WAIT_LOCK;
	case SYS_EPOLL_WAIT:
	case SYS_EPOLL_PWAIT:
	case SYS_EPOLL_PWAIT2:
	case SYS_POLL:
	case SYS_PPOLL:
	case SYS_SELECT:
	case SYS_PSELECT6:
	case SYS_IO_URING_ENTER: /* the kernel accounts it as waiting for I/O, whatever it is for */
		return WAIT_POLL;
	case SYS_NANOSLEEP:
	case SYS_CLOCK_NANOSLEEP:
		return WAIT_SLEEP;
	case SYS_CONNECT:
	case SYS_ACCEPT:
	case SYS_ACCEPT4:
	case SYS_SENDTO:
	case SYS_RECVFROM:
	case SYS_SENDMSG:
	case SYS_RECVMSG:
	case SYS_SENDMMSG:
	case SYS_RECVMMSG:
	case SYS_SENDFILE:
		return BPF_CORE_READ_BITFIELD_PROBED(task, in_iowait) ? WAIT_DISK : WAIT_NETWORK;
	case SYS_FSYNC:
	case SYS_FDATASYNC:
	case SYS_MSYNC:
	case SYS_SYNC:
	case SYS_SYNCFS:
	case SYS_SYNC_FILE_RANGE:
	case SYS_IO_GETEVENTS:
		return WAIT_DISK;
	case SYS_READ:
	case SYS_WRITE:
	case SYS_READV:
	case SYS_WRITEV:
	case SYS_PREAD64:
	case SYS_PWRITE64:
	case SYS_PREADV:
	case SYS_PWRITEV:
		return wait_for_file(task, first);
	default:
		return BPF_CORE_READ_BITFIELD_PROBED(task, in_iowait) ? WAIT_DISK : WAIT_OTHER;
	}
}

#endif
