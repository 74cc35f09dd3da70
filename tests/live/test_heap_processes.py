# SPDX-License-Identifier: MIT
"""periscope heap: processes that fork, run other programs, come and go."""

import os
import signal
import subprocess
import time

import harness
import heap
import pprof

OWN, CHILD, CHILD_FREES, OWN_FREES = 1009, 101, 50, 500  # of heap_fork.c


class Forks(heap.HeapTest):
    def forked(self, children, *more):
        path = os.path.join(self.temp_dir(), "heap.pb.gz")
        workload = harness.Workload("heap_fork", [str(children)], stdin=subprocess.PIPE)
        self.addCleanup(workload.popen.stdin.close)
        self.addCleanup(workload.stop)
        tool = self.capture("-p", workload.pid, "-o", path, *more)
        os.write(workload.popen.stdin.fileno(), b"go\n")
        self.assertEqual(workload.popen.stdout.readline(), b"done\n")
        result = self.end(tool)
        self.assert_exact(result)
        functions = {"parent_allocates", "child_works", "borrows_memory"}
        rows = heap.counted(pprof.read(path), functions)
        total = {name: heap.NOTHING for name in functions}
        for row, counts in rows.items():
            total[row.function] = heap.Counts(
                *(a + b for a, b in zip(total[row.function], counts))
            )
        return result.summary, total

    def test_children_ignored(self):
        """Their frees are not the parent's, although the addresses are."""
        summary, rows = self.forked(13)
        self.assertEqual(rows["parent_allocates"][0], OWN)
        self.assertEqual(rows["parent_allocates"][2], OWN - OWN_FREES)
        self.assertEqual(rows["child_works"], heap.NOTHING)
        self.assertEqual(summary["processes"], 1)

    def children(self, number):
        summary, rows = self.forked(number, "--children")
        self.assertEqual(rows["parent_allocates"][0], OWN)
        self.assertEqual(rows["parent_allocates"][2], OWN - OWN_FREES)
        self.assertEqual(rows["child_works"][0], number * CHILD)
        # Nobody holds what a process held that is gone.
        self.assertEqual(rows["child_works"][2], 0)
        self.assertEqual(summary["exited"], number * (CHILD - CHILD_FREES))
        self.assertEqual(summary["frees-inherited"], number * OWN)
        self.assertEqual(summary["processes"], number + 1)

    def test_children(self):
        self.children(13)

    def test_a_storm_of_forks(self):
        began = time.monotonic()
        self.children(401)
        print(f"       401 forks in {time.monotonic() - began:.1f} s, with attaching")

    def test_vfork(self):
        """A child that allocates in its parent's memory."""
        summary, rows = self.forked("vfork", "--children")
        self.assertEqual(rows["borrows_memory"], heap.Counts(77, 77 * 64, 0, 0))
        self.assertNotIn("frees-from-before", summary)

    def test_leftovers_of_all_when_all_are_gone(self):
        path = os.path.join(self.temp_dir(), "heap.pb.gz")
        exe = os.path.join(harness.WORKLOADS, "heap_fork")
        result = harness.periscope(
            "heap", *heap.FORCE, "--children", "-o", path, "--", exe, 60, 7, "exit", timeout=60
        )
        self.assert_exact(result)
        rows = heap.counted(pprof.read(path), {"parent_allocates", "child_works"})
        held = {row.function: counts.held for row, counts in rows.items() if counts.held}
        self.assertEqual(held["parent_allocates"], OWN - OWN_FREES)
        self.assertEqual(
            sum(c.held for r, c in rows.items() if r.function == "child_works"),
            7 * (CHILD - CHILD_FREES),
        )


class Execs(heap.HeapTest):
    def check(self, *args, children=False):
        path = os.path.join(self.temp_dir(), "heap.pb.gz")
        workload = harness.Workload("heap_exec", args, stdin=subprocess.PIPE)
        self.addCleanup(workload.popen.stdin.close)
        self.addCleanup(workload.stop)
        more = ["--children"] if children else []
        tool = self.capture("-p", workload.pid, "-o", path, *more)
        os.write(workload.popen.stdin.fileno(), b"go\n")
        if args:
            # The probes went with the first thread; they come back, but not at once.
            harness.wait_until(lambda: self.runs_again(workload), 30, "the exec")
            harness.wait_until(lambda: heap.malloc_byte(workload.pid) == 0xCC, 30, "probes")
            os.write(workload.popen.stdin.fileno(), b"go on\n")
        self.assertEqual(workload.popen.stdout.readline(), b"done\n")
        result = self.end(tool)
        self.assertEqual(result.summary["lost"], 0, result)
        self.assertNotIn("unprobed-processes", result.summary)
        # Right after the exec nobody knows the new program's mappings yet: such stacks are cut.
        found = {64: heap.NOTHING, 80: heap.NOTHING}
        for stack, values, labels in pprof.read(path).samples:
            where = {64: "before_exec", 80: "after_exec"}.get(labels.get("bytes"))
            if where in stack or (where and "truncated" in labels):
                size = labels["bytes"]
                found[size] = heap.Counts(*(a + b for a, b in zip(found[size], values)))
        self.assertEqual(found[64], heap.Counts(101, 101 * 64, 0, 0))
        self.assertEqual(found[80], heap.Counts(211, 211 * 80, 211, 211 * 80))
        self.assertGreaterEqual(result.summary["exec-dropped"], 101)

    @staticmethod
    def runs_again(workload):
        with open(f"/proc/{workload.pid}/cmdline", "rb") as words:
            return b"again" in words.read()

    def test_exec(self):
        self.check()

    def test_exec_by_another_thread(self):
        self.check("thread")

    def test_exec_with_children(self):
        self.check(children=True)


class Ends(heap.HeapTest):
    def test_target_killed_in_the_middle(self):
        workload = self.known(4)
        tool = self.capture("-p", workload.pid, "-f", "--sample-index", "alloc_objects")
        os.write(workload.popen.stdin.fileno(), b"round\n")
        time.sleep(0.05)
        workload.popen.kill()
        result = self.assert_ok(tool.finish(30))
        self.assertIn("the target has exited", result.err)
        self.assertEqual(sum(result.folded.values()), result.summary["allocations"])

    def test_tool_killed_leaves_nothing(self):
        """After SIGKILL no breakpoint is left, and a new capture counts exactly."""
        workload = self.known(1)
        before = heap.malloc_byte(workload.pid)
        tool = self.capture("-p", workload.pid)
        self.assertEqual(heap.malloc_byte(workload.pid), 0xCC)
        tool.popen.kill()
        tool.popen.wait()
        harness.wait_until(
            lambda: heap.malloc_byte(workload.pid) == before, 30, "the probes to be gone"
        )
        path = os.path.join(self.temp_dir(), "heap.pb.gz")
        tool = self.capture("-p", workload.pid, "-o", path)
        workload.round()
        self.assert_exact(self.end(tool))
        self.assert_rows(pprof.read(path), workload.lines)

    def test_probes_are_gone_at_the_end(self):
        workload = self.known(1)
        before = heap.malloc_byte(workload.pid)
        self.end(self.capture("-p", workload.pid))
        self.assertEqual(heap.malloc_byte(workload.pid), before)


class Duration(heap.HeapTest):
    def test_sigterm_ends_it_in_order(self):
        workload = self.known(1)
        tool = self.capture("-p", workload.pid)
        workload.round()
        tool.popen.send_signal(signal.SIGTERM)
        self.assert_exact(tool.finish(30), least=10000)
