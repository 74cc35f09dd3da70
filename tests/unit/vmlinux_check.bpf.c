/* SPDX-License-Identifier: MIT */
/*
 * A variable of each type of vmlinux.h, so that the object's BTF holds them all, used by our
 * programs or not. test_vmlinux fails when a type of the header is missing here.
 */
#include "vmlinux.h"

#define CHECK(name) struct name check_##name = {}

CHECK(pt_regs);
CHECK(ns_common);
CHECK(pid_namespace);
CHECK(upid);
CHECK(pid);
CHECK(xol_area);
CHECK(uprobes_state);
CHECK(return_instance);
CHECK(uprobe_task);
CHECK(mm_struct);
CHECK(signal_struct);
CHECK(super_block);
CHECK(inode);
CHECK(file);
CHECK(fdtable);
CHECK(files_struct);
CHECK(sched_info);
CHECK(task_struct);
CHECK(kernel_siginfo);
CHECK(sigaction);
CHECK(k_sigaction);
CHECK(gendisk);
CHECK(request_queue);
CHECK(request);
CHECK(bpf_iter_meta);
CHECK(bpf_iter__task);
CHECK(perf_event_regs);
CHECK(bpf_perf_event_data);
