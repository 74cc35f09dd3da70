# SPDX-License-Identifier: MIT
"""periscope heap: whatever allocator a process has."""

import os
import re
import shutil
import subprocess

import harness
import heap
import pprof

LIBS = "/usr/lib/x86_64-linux-gnu/"


def workload(name):
    return os.path.join(harness.WORKLOADS, name)


class AllocatorTest(heap.HeapTest):
    def whole_run(self, *command, preload=None):
        """The result of a command's whole run, and its profile."""
        path = os.path.join(self.temp_dir(), "heap.pb.gz")
        env = dict(os.environ)
        if preload:
            env["LD_PRELOAD"] = preload
        result = harness.periscope(
            "heap", *heap.FORCE, "-o", path, "--", *command, timeout=60, env=env
        )
        self.assert_ok(result)
        return result, pprof.read(path)

    def assert_known(self, result, profile):
        self.assert_exact(result)
        self.assert_rows(profile, result.out.splitlines())


class Preloaded(AllocatorTest):
    def check(self, library):
        path = library if "/" in library else LIBS + library
        self.assert_known(*self.whole_run(workload("heap_known"), 60, 3, 1, preload=path))
        self.assert_known(*self.whole_run(workload("heap_new"), 60, preload=path))

    def test_jemalloc(self):
        self.check("libjemalloc.so.2")

    def test_tcmalloc(self):
        self.check("libtcmalloc_minimal.so.4")

    def test_mimalloc(self):
        self.check("libmimalloc.so.2")

    def test_a_wrapper_of_malloc(self):
        self.check(workload("heap_wrap"))

    def attached(self, library):
        """The same while it runs."""
        path = os.path.join(self.temp_dir(), "heap.pb.gz")
        process = self.known(2, env=dict(os.environ, LD_PRELOAD=LIBS + library))
        process.round()
        process.lines.clear()
        tool = self.capture("-p", process.pid, "-o", path)
        process.round()
        self.assert_exact(self.end(tool))
        self.assert_rows(pprof.read(path), process.lines)

    def test_jemalloc_attached(self):
        self.attached("libjemalloc.so.2")

    def test_tcmalloc_attached(self):
        self.attached("libtcmalloc_minimal.so.4")

    def test_mimalloc_attached(self):
        self.attached("libmimalloc.so.2")


class Cxx(AllocatorTest):
    def test_operator_new(self):
        """libstdc++'s calls malloc: each counts once, and is not whom it is charged to."""
        result, profile = self.whole_run(workload("heap_new"), 60)
        self.assert_known(result, profile)
        for stack, _, _ in profile.samples:
            self.assertNotIn("operator new", stack[-1])


class BuiltIn(AllocatorTest):
    def test_static(self):
        self.assert_known(*self.whole_run(workload("heap_static"), 60, 2, 1))

    def test_static_attached(self):
        path = os.path.join(self.temp_dir(), "heap.pb.gz")
        process = self.known(1, "heap_static")
        tool = self.capture("-p", process.pid, "-o", path)
        process.round()
        self.assert_exact(self.end(tool))
        self.assert_rows(pprof.read(path), process.lines)

    def odd(self, result, profile):
        counts = re.search(r"counts missed (\d+) unseen (\d+) nested (\d+)", result.out)
        missed, unseen, nested = map(int, counts.groups())
        summary = result.summary
        self.assertEqual(summary["missed"], missed)
        self.assertEqual(summary["unseen-frees"], unseen)
        self.assertEqual(summary["nested"], nested)
        self.assertEqual(summary["lost"], missed)
        self.assertEqual(summary["complete"], summary["allocations"])
        self.assert_rows(profile, result.out.splitlines())

    def test_a_strange_one(self):
        """Calls inside calls, jumps, longjmp out of malloc, memory that goes back unseen."""
        self.odd(*self.whole_run(workload("heap_own"), 60, 1))

    def test_constructors_and_destructors(self):
        result, profile = self.whole_run(workload("heap_start"), 60)
        self.assert_exact(result)
        rows = heap.counted(profile, {"before_main", "in_main", "after_main"})
        rows = {(row.function, row.size): counts[::2] for row, counts in rows.items()}
        self.assertEqual(
            rows,
            {("before_main", 24): (1013, 0), ("in_main", 72): (31, 31), ("after_main", 40): (211, 211)},
        )  # fmt: skip


class None_(AllocatorTest):
    """No allocator that can be probed: a clear line."""

    def refused(self, name, *words, exe=None):
        with harness.Process([exe or workload(name)], stdout=subprocess.DEVNULL) as process:
            harness.wait_until(lambda: harness.is_alive(process.pid), 5, "the program")
            result = harness.periscope("heap", "-p", process.pid, 1)
        self.assert_refused(result, 1, *words)
        result = harness.periscope("heap", "--", exe or workload(name))
        self.assert_refused(result, 1, *words)

    def test_no_c_library(self):
        self.refused("heap_none", "no allocator found")

    def test_an_ifunc(self):
        self.refused("heap_ifunc", "IFUNC", "heap_ifunc")

    def test_static_without_symbols(self):
        exe = os.path.join(self.temp_dir(), "stripped")
        shutil.copy(workload("heap_static"), exe)
        subprocess.run(["strip", exe], check=True)
        self.refused(None, "no allocator found", "symbols", exe=exe)
