/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_VMLINUX_H
#define PERISCOPE_VMLINUX_H

/*
 * The kernel types that our BPF programs read, trimmed by hand to the fields used. CO-RE moves
 * every access to where the running kernel keeps the field, so that offsets and order here mean
 * nothing; names and types do, and tests/unit/test_vmlinux.c holds them against the kernel's BTF.
 * Map types, flags and helper constants are user-space API and come from <linux/bpf.h>.
 *
 * Each type's note names the kernel header that it is from.
 */

#include <linux/bpf.h>
#include <stdbool.h>

typedef __s32 pid_t;

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
#endif

/* asm/ptrace.h: the registers of a task, as bpf_task_pt_regs() and perf hand them out. */
#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long r15;
	unsigned long r14;
	unsigned long r13;
	unsigned long r12;
	unsigned long bp;
	unsigned long bx;
	unsigned long r11;
	unsigned long r10;
	unsigned long r9;
	unsigned long r8;
	unsigned long ax;
	unsigned long cx;
	unsigned long dx;
	unsigned long si;
	unsigned long di;
	unsigned long orig_ax;
	unsigned long ip;
	unsigned long cs;
	unsigned long flags;
	unsigned long sp;
	unsigned long ss;
};
#elif defined(__TARGET_ARCH_arm64)
struct user_pt_regs {
	__u64 regs[31];
	__u64 sp;
	__u64 pc;
	__u64 pstate;
};

struct pt_regs {
	union {
		struct user_pt_regs user_regs;
		struct {
			__u64 regs[31];
			__u64 sp;
			__u64 pc;
			__u64 pstate;
		};
	};
	__u64 orig_x0;
	__s32 syscallno; /* -1 outside of system calls */
};
#else
#error "no registers known for this architecture"
#endif

/* linux/ns_common.h */
struct ns_common {
	unsigned int inum;
};

/* linux/pid_namespace.h */
struct pid_namespace {
	unsigned int level;
	struct ns_common ns;
};

/* linux/pid.h: numbers[] has level + 1 elements, ours the one whose ns is our namespace. */
struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct upid numbers[1];
};

/* kernel/events/uprobes.c: the page of the out-of-line slots; the trampoline is at its start. */
struct xol_area {
	unsigned long vaddr;
};

/* linux/uprobes.h */
struct uprobes_state {
	struct xol_area *xol_area;
};

struct return_instance {
	unsigned long stack;
	unsigned long orig_ret_vaddr;
	bool chained;
	struct return_instance *next;
};

/* kernel/events/uprobes.c; only whether there is one. */
struct uprobe;

struct uprobe_task {
	unsigned int depth;
	struct return_instance *return_instances;
	struct {
		unsigned long vaddr;
	};
	struct uprobe *active_uprobe;
	unsigned long xol_vaddr;
};

/* linux/mm_types.h */
struct mm_struct {
	struct uprobes_state uprobes_state;
};

typedef struct {
	int counter;
} atomic_t;

/* linux/sched/signal.h */
struct signal_struct {
	atomic_t live;
	struct mm_struct *oom_mm; /* of a victim of the OOM killer */
};

/* linux/fs.h, linux/fdtable.h */
struct super_block {
	unsigned long s_magic;
};

struct inode {
	unsigned short i_mode;
	struct super_block *i_sb;
};

struct file {
	struct inode *f_inode;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

/* linux/sched.h */
struct sched_info { /* by the run queue's clock, which is not CLOCK_MONOTONIC */
	unsigned long long last_arrival; /* on a CPU */
	unsigned long long last_queued;	 /* in a run queue; 0 while it is on a CPU */
};

struct task_struct {
	unsigned int flags;
	unsigned int __state;
	int exit_state;
	int on_cpu;
	unsigned int in_iowait : 1;
	struct mm_struct *mm;
	pid_t pid;
	pid_t tgid;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	__u64 start_time; /* CLOCK_MONOTONIC */
	char comm[16];
	struct files_struct *files;
	struct sched_info sched_info;
	unsigned long min_flt; /* page faults, without and with a wait for a device */
	unsigned long maj_flt;
	struct signal_struct *signal;
	struct uprobe_task *utask;
	int exit_code;
	int wake_cpu;
};

/* linux/bpf.h: the context of iter/task programs */
struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

/* linux/signal_types.h, uapi/asm-generic/siginfo.h */
union __sifields {
	struct {
		void *_addr;
	} _sigfault;
};

struct kernel_siginfo {
	int si_code;
	union __sifields _sifields;
};

struct sigaction {
	void (*sa_handler)(int);
};

struct k_sigaction {
	struct sigaction sa;
};

/* linux/blkdev.h, linux/blk-mq.h */
struct gendisk {
	int major;
	int first_minor;
};

struct request_queue {
	struct gendisk *disk;
};

struct request {
	struct request_queue *q;
	unsigned int cmd_flags;
	unsigned int __data_len;
	__u64 __sector;
};

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

/*
 * include/uapi/linux/bpf_perf_event.h: the context of a perf_event program. Not a kernel type but
 * the verifier's contract, so without CO-RE; its registers are pt_regs (user_pt_regs on arm64).
 */
#if defined(__TARGET_ARCH_x86)
struct perf_event_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip,
		cs, flags, sp, ss;
};
#else
struct perf_event_regs {
	__u64 regs[31];
	__u64 sp;
	__u64 pc;
	__u64 pstate;
};
#endif

struct bpf_perf_event_data {
	struct perf_event_regs regs;
	__u64 sample_period;
	__u64 addr;
};

/* linux/sched.h: PF_* */
#define PF_EXITING   0x00000004
#define PF_IO_WORKER 0x00000010
#define PF_KTHREAD   0x00200000

/* linux/blk_types.h: the operation, the low byte of a request's cmd_flags. */
#define REQ_OP_WRITE   1
#define REQ_OP_FLUSH   2
#define REQ_OP_DISCARD 3

/* linux/sched.h: bits of __state */
#define TASK_INTERRUPTIBLE 0x0001
#define TASK_STOPPED	   0x0004
#define TASK_TRACED	   0x0008
#define TASK_PARKED	   0x0040
#define TASK_DEAD	   0x0080
#define TASK_WAKING	   0x0200
#define TASK_NEW	   0x0800

#endif
