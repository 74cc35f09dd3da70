# SPDX-License-Identifier: MIT
"""Periscope on an older kernel, in a guest of scripts/vm.

What the verifier says of each BPF program, our kernel types against that kernel's, and the live
tests of stacks, with the figures of each capture. Everything is emulated here: where a live test's
answer depends on the speed of the machine, it stands below with more time.
"""

import ctypes
import glob
import os
import re
import unittest

import test_attach
import test_flight
import test_funcs
import test_heap_counts
import test_heap_record
import test_heap_requests
import test_heap_verdicts
import test_offcpu
import test_requests
import test_stacks
import test_timeline
import test_timeline_heap
import test_usdt
import test_vmlinux
from harness import BUILD, cases, periscope, stack_regex, start

# The kernel's limit is a million; a program that needs this many has lost its way.
MOST_INSTRUCTIONS = 200_000
STATISTICS = 4  # BPF_LOG_STATS, include/linux/bpf_verifier.h
LOG_BYTES = 1 << 20


def read(path):
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read().strip()


class Libbpf:
    """The few calls that load an object with the verifier's statistics."""

    def __init__(self):
        self.lib = ctypes.CDLL("libbpf.so.1", use_errno=True)
        for name in ("bpf_object__open", "bpf_object__next_program", "bpf_program__name"):
            getattr(self.lib, name).restype = ctypes.c_void_p
        # Warnings would be the verifier's whole log.
        self.lib.libbpf_set_print(None)

    def load(self, path):
        """Loads all programs of a file; the statistics of each by name, or an AssertionError."""
        obj = ctypes.c_void_p(self.lib.bpf_object__open(path.encode()))
        if not obj:
            raise AssertionError(f"{path}: {os.strerror(ctypes.get_errno())}")
        logs = {}
        program = ctypes.c_void_p()
        while True:
            program = ctypes.c_void_p(self.lib.bpf_object__next_program(obj, program))
            if not program:
                break
            name = ctypes.string_at(self.lib.bpf_program__name(program)).decode()
            logs[name] = ctypes.create_string_buffer(LOG_BYTES)
            self.lib.bpf_program__set_autoload(program, True)
            self.lib.bpf_program__set_log_level(program, STATISTICS)
            self.lib.bpf_program__set_log_buf(program, logs[name], ctypes.c_size_t(LOG_BYTES))
        status = self.lib.bpf_object__load(obj)
        texts = {name: log.value.decode(errors="replace") for name, log in logs.items()}
        self.lib.bpf_object__close(obj)
        if status:
            raise AssertionError(f"{path}: {os.strerror(-status)}: {texts}")
        return texts


class Verifier(unittest.TestCase):
    def test_every_program(self):
        objects = sorted(glob.glob(os.path.join(BUILD, "bpf/x86/*.bpf.o")))
        self.assertTrue(objects)
        for path in objects:
            for name, log in Libbpf().load(path).items():
                tool = os.path.basename(path).partition(".")[0]
                figures = re.search(
                    r"verification time (\d+) usec\n(?:.*\n)?processed (\d+) insns", log
                )
                self.assertTrue(figures, f"{tool}: {name}: {log}")
                usec, instructions = map(int, figures.groups())
                print(f"       {tool}: {name}: {instructions} instructions verified, {usec} us")
                self.assertLessEqual(instructions, MOST_INSTRUCTIONS, path)


class Preemption(unittest.TestCase):
    def test_is_what_the_command_line_asks_for(self):
        asked = re.search(r"\bpreempt=(\w+)", read("/proc/cmdline"))
        model = re.search(r"\((\w+)\)", read("/sys/kernel/debug/sched/preempt"))[1]
        print(f"       Linux {os.uname().release}, {os.cpu_count()} CPUs, preemption {model}")
        self.assertEqual(os.cpu_count(), 2)
        if asked:
            self.assertEqual(model, asked[1])


class Figures:
    """Prints each capture's summary."""

    def assert_ok(self, result):
        # convert has none
        if result.status == 0 and re.search(r"=\S+$", result.err.strip()):
            print("      ", " ".join(f"{k}={v}" for k, v in result.summary.items()))
        return super().assert_ok(result)


class Probes(test_attach.Counts):
    test_other_allocators = None  # which the guest does not have


class ProbedProcesses(test_attach.Processes):
    pass


class ProbeFailures(test_attach.Failures):
    pass


class Usdt(test_usdt.Values):
    pass


class HeapFromTheStart(Figures, test_heap_counts.FromTheStart):
    pass


class HeapFromOutside(Figures, test_heap_counts.FromOutside):
    pass


class Verdicts(Figures, test_heap_verdicts.Known):
    pass


class Requests(Figures, test_requests.KnownTimes):
    ns_for_probes = 2_000_000  # emulated
    test_percentiles = None  # of the emulator


class RequestDetails(Figures, test_requests.Details):
    ns_for_probes = 2_000_000


class Timeline(Figures, test_timeline.Known):
    test_counts_of_strace = None  # which the guest does not have
    test_every_event_in_order = None  # whose clock is a system call here


class FlightCrash(Figures, test_flight.Crash):
    pass


class TimelineHeap(Figures, test_timeline_heap.Heap):
    pass


class TimelineExec(Figures, test_timeline_heap.ByThread):
    pass


class FunctionCounts(Figures, test_funcs.Counts):
    pass


class FunctionTimes(Figures, test_funcs.Times):
    ns_for_probes = 2_000_000


class FunctionValues(Figures, test_funcs.Values):
    pass


class Callers(Figures, test_funcs.Callers):
    pass


class Stacks(Figures, test_stacks.Stacks):
    pass


class ReturnProbes(Figures, test_stacks.ReturnProbes):
    pass


class SpecialStacks(Figures, test_stacks.SpecialStacks):
    def between(self, name, *args, seconds):
        """A program that changes after some seconds: both its sides are seen."""
        case = cases(name)["plain"]._replace(args=list(args))
        with start(case) as workload:
            result = periscope(
                "cpu", "-p", workload.pid, "-F", 199, "-f", "-U", seconds, timeout=120
            )
        self.assert_ok(result)
        self.assertEqual(result.summary["lost"], 0, result)
        self.assert_seen(result, "leaf_before", 20)
        return case, result

    def test_exec_in_the_middle(self):
        case, result = self.between("exec_mid", "6000", seconds=10)
        self.assert_seen(result, "leaf_after", 20)
        strange = sum(self.strange_stacks(result, case.stacks).values())
        self.assertLessEqual(strange, result.summary["samples"] // 5, result)

    def test_dlopen_in_the_middle(self):
        case, result = self.between("dlopen_mid", "big_library", "6000", seconds=20)
        self.assert_seen(result, "library_leaf", 20)
        # Until the library's 320,000 rows are read, walks may end in it; they must say so.
        strange = sum(self.strange_stacks(result, case.stacks).values())
        cut = result.summary["samples"] - result.summary["complete"]
        self.assertLessEqual(strange, cut, result)
        self.assertLessEqual(cut, result.summary["samples"] // 2, result)

    def test_thread_started_while_running(self):
        case = cases("thread_churn")["plain"]
        with start(case) as workload:
            result = periscope("cpu", "-p", workload.pid, "-F", 499, "-f", "-U", 2)
        self.assert_nearly_whole(result, 0.05, least=20)
        self.assert_seen(result, "leaf", result.summary["samples"] // 2)
        # main() itself is long enough here to be met.
        stacks = [*case.stacks, stack_regex("%main"), stack_regex("\\[truncated.*;.*(;.*)?")]
        self.assertEqual(self.strange_stacks(result, stacks), {}, result)


class Patient(Figures):
    """Of tests/live/test_offcpu.py, where a look at a clock and 1,000 threads take their time."""

    settle = 10
    patience = 250
    per_round = 2_000_000
    least_sampled = 0.2
    # The guest's files are in memory.
    kinds = tuple(kind for kind in test_offcpu.REASONS if kind != "disk")


class Waits(Patient, test_offcpu.Exactness):
    test_against_perf_sched_timehist = None


class Sleepers(Patient, test_offcpu.Sleepers):
    test_stacks_are_those_of_gdb = None


class Wakers(Patient, test_offcpu.Wakers):
    pass


class WallClock(Patient, test_offcpu.WallClock):
    pass


class Lives(Patient, test_offcpu.Life):
    pass


CLASSES = [
    Preemption,
    Verifier,
    test_vmlinux.KernelTypes,
    Stacks,
    SpecialStacks,
    ReturnProbes,
    HeapFromTheStart,
    HeapFromOutside,
    test_heap_record.Lines,
    test_heap_requests.Named,
    Verdicts,
    Requests,
    RequestDetails,
    Timeline,
    TimelineHeap,
    TimelineExec,
    FunctionCounts,
    FunctionTimes,
    FunctionValues,
    Callers,
    FlightCrash,
    Probes,
    ProbedProcesses,
    ProbeFailures,
    Usdt,
    Waits,
    Sleepers,
    Wakers,
    WallClock,
    Lives,
]
