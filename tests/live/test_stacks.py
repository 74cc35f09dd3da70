# SPDX-License-Identifier: MIT
"""Stacks of programs with known answers: each is the one that the workload's source tells."""

import os
import time
import unittest
from unittest import mock

from harness import WORKLOADS, LiveTest, cases, periscope, start

# Captured with nothing special: the workload spins, every sample is whole.
PLAIN = [
    "recursion",
    "qsort_callback",
    "signal_handler",
    "alloca_big",
    "plt_calls",
    "threads_first_last",
    "tail_calls",
    "drap",
    "shares",
    "many_threads",
    "crypto_gcm",
    "static_bin",
    "stripped",
    "fp_only",
    "debug_frame",
    "exec_after",
]


class Stacks(LiveTest):
    """Filled below with a test for each case of PLAIN."""

    def check(self, case):
        with start(case) as workload:
            result = periscope("cpu", "-p", workload.pid, "-F", 499, "-f", "-U", 1)
        self.assert_whole(result)
        self.assert_stacks(result, case)


def add_plain_tests():
    for workload in PLAIN:
        for case in cases(workload).values():
            name = f"test_{workload}_{case.name}"
            setattr(Stacks, name, lambda self, case=case: self.check(case))


add_plain_tests()


class SpecialStacks(LiveTest):
    def test_loaded_library_is_larger_than_any_slack(self):
        case = cases("dlopen_mid")["loaded"]
        with start(case) as workload:
            result = periscope("cpu", "-p", workload.pid, "-F", 499, "-f", "-U", 1)
        self.assert_whole(result)
        self.assert_stacks(result, case)

    def test_dlopen_in_the_middle(self):
        case = cases("dlopen_mid")["plain"]
        with start(case) as workload:
            result = periscope("cpu", "-p", workload.pid, "-F", 999, "-f", "-U", 4)
        self.assert_ok(result)
        summary = result.summary
        self.assertEqual(summary["lost"], 0, result)
        # Until the new object's 320,000 rows are read, walks may end in it; they must say so.
        self.assertGreaterEqual(summary["complete"], summary["samples"] - 200, result)
        self.assert_seen(result, "leaf_before", 20)
        self.assert_seen(result, "library_leaf", 20)
        strange = sum(self.strange_stacks(result, case.stacks).values())
        self.assertLessEqual(strange, summary["samples"] - summary["complete"], result)

    def test_vfork_child_in_its_parents_memory(self):
        case = cases("vfork_child")["child"]
        with start(case) as workload:
            result = periscope("cpu", "-p", workload.told_pid(), "-F", 499, "-f", "-U", 1)
        self.assert_whole(result)
        self.assert_stacks(result, case)

    def test_vfork_in_a_loop(self):
        case = cases("vfork_child")["loop"]
        with start(case) as workload:
            result = periscope("cpu", "-p", workload.pid, "-F", 999, "-f", "-U", 2)
        self.assert_whole(result)
        self.assert_stacks(result, case)
        self.assertTrue(
            any("fork" in frame for user in result.user_stacks() for frame in user[4:]), result
        )

    def test_vfork_children_followed(self):
        case = cases("vfork_child")["loop"]
        with start(case) as workload:
            result = periscope(
                "cpu", "--children", "-p", workload.pid, "-F", 999, "-f", "-U", 2
            )
        # Thousands of processes, each of which lives for some hundred microseconds.
        self.assert_nearly_whole(result, 0.02)
        for stack in self.strange_stacks(result, case.stacks):
            self.assertTrue(stack.startswith("[truncated"), stack)
        self.assert_seen(result, "leaf", 20)

    def test_posix_spawn(self):
        case = cases("vfork_child")["spawn"]
        with start(case) as workload:
            result = periscope("cpu", "-p", workload.pid, "-F", 999, "-f", "-U", 2)
        self.assert_whole(result, least=1)
        self.assert_stacks(result, case)

    def test_thread_started_while_running(self):
        case = cases("thread_churn")["plain"]
        with start(case) as workload:
            result = periscope("cpu", "-p", workload.pid, "-F", 499, "-f", "-U", 2)
        # Of a thread that has no caller's address on its stack yet, or no memory any more, since it
        # is exiting, nothing but the function it is in can be known.
        self.assert_nearly_whole(result, 0.02, least=20)
        for stack in self.strange_stacks(result, case.stacks):
            self.assertRegex(stack, r"^(\[truncated: [^;]+\];)?(\[[^;]*\];)?(clone3|start_thread)$")
        self.assert_seen(result, "leaf", result.summary["samples"] // 2)

    def test_generated_code_of_a_process_that_exits(self):
        """The names' file was taken away by the process itself; in one case it came late, too."""
        for case in cases("jit").values():
            with self.subTest(case.name), start(case, seconds=2) as workload:
                result = periscope("cpu", "-p", workload.pid, "-F", 499, "-f", "-U", 20)
                self.assert_whole(result)
                self.assert_stacks(result, case)
                self.assertFalse(os.path.exists(f"/tmp/perf-{workload.pid}.map"))

    def test_lazy_binding(self):
        case = cases("lazy_binding")["plain"]
        with mock.patch.dict(os.environ):
            os.environ.pop("LD_BIND_NOW", None)
            workload = start(case)
        with workload:
            result = periscope("cpu", "-p", workload.pid, "-F", 999, "-f", "-U", 2)
        self.assert_whole(result)
        self.assert_stacks(result, case)
        self.assert_seen(result, "_dl_fixup", 20)

    def test_neither_tables_nor_frame_pointers(self):
        case = cases("no_eh")["truncated"]
        with start(case) as workload:
            result = periscope("cpu", "-p", workload.pid, "-F", 499, "-f", "-U", 1)
        self.assert_ok(result)
        summary = result.summary
        self.assertGreaterEqual(summary["samples"], 20, result)
        self.assertEqual(summary["complete"], 0, result)
        for user in result.user_stacks():
            self.assertRegex(user[0], r"^\[truncated: .+\]$")
            self.assertEqual(user[-1], "leaf", result)
            # No frame is made up: the only others that can be there are the recursion's.
            self.assertLessEqual(set(user[1:-1]), {"descend", "main"}, result)

    def test_exec_in_the_middle(self):
        case = cases("exec_mid")["plain"]
        with start(case) as workload:
            result = periscope("cpu", "-p", workload.pid, "-F", 999, "-f", "-U", 3)
        self.assert_ok(result)
        summary = result.summary
        self.assertEqual(summary["lost"], 0, result)
        self.assert_seen(result, "leaf_before", 20)
        self.assert_seen(result, "leaf_after", 20)
        # Between the two, the new program's own loading: ld.so's stacks begin at its _start.
        # On a busy machine the new mappings take a while to become known.
        strange = self.strange_stacks(result, case.stacks)
        self.assertLessEqual(sum(strange.values()), max(10, summary["samples"] * 0.15), strange)
        self.assert_nearly_whole(result, 0.1)
        comms = {comm for comm, _, _ in result.folded}
        self.assertLessEqual(comms, {"exec_mid", "exec_after"})
        for comm, user, _ in result.folded:
            if "leaf_after" in user:
                self.assertEqual(comm, "exec_after")

    def test_forked_children(self):
        case = cases("fork_tree")["plain"]
        with start(case) as workload:
            result = periscope(
                "cpu", "--children", "-p", workload.pid, "-F", 199, "-f", "-U", 4
            )
        self.assert_whole(result)
        # A sample may come while the late child is being forked.
        strange = self.strange_stacks(result, case.stacks)
        self.assertLessEqual(sum(strange.values()), 10, strange)
        for stack in strange:
            self.assertIn("main;begin_child;", stack)
        self.assert_seen(result, "leaf_late", 5)

    def test_children_that_are_there_already(self):
        case = cases("fork_tree")["plain"]
        with start(case) as workload:
            result = periscope(
                "cpu", "--children", "-p", workload.pid, "-F", 499, "-f", "-U", 1
            )
        self.assert_whole(result)
        self.assert_stacks(result, case)
        for leaf in ("leaf_a", "leaf_b", "leaf_g"):
            self.assert_seen(result, leaf, 5)

    def test_children_only_when_asked(self):
        with self.start("fork_tree") as workload:
            result = periscope("cpu", "-p", workload.pid, "-F", 199, "-f", "-U", 1)
        self.assert_ok(result)
        for leaf in ("leaf_a", "leaf_b", "leaf_g"):
            self.assertFalse(any(leaf in user for user in result.user_stacks()), result)

    def test_kernel_frames_are_marked_and_innermost(self):
        with self.start("vfork_child", "loop") as workload:
            both = periscope("cpu", "-p", workload.pid, "-F", 999, "-f", 3)
            kernel = periscope("cpu", "-p", workload.pid, "-F", 999, "-f", "-K", 1)
        self.assert_whole(both)
        self.assertTrue(any(frames for _, _, frames in both.folded), both)
        self.assertTrue(any("fork" in f or "clone" in f for _, _, k in both.folded for f in k))
        # parse_folded() has refused kernel frames that are not innermost.
        self.assert_ok(kernel)
        self.assertTrue(any(frames for _, _, frames in kernel.folded), kernel)
        for _, user, _ in kernel.folded:
            self.assertIn(user, ((), ("[user mode]",)), kernel)


class ReturnProbes(LiveTest):
    """Stacks while another tool's return probes replace return addresses on the target's stack."""

    def attach(self, program, *functions):
        """Puts return probes on functions by perf probe's kernel interface; gone with the test."""
        from uprobes import ReturnProbe

        path = os.path.join(WORKLOADS, program)
        for function in functions:
            probe = ReturnProbe(path, function)
            self.addCleanup(probe.close)

    def check(self, how, *functions):
        case = cases("uretprobed")[how]
        with start(case) as workload:
            before = periscope("cpu", "-p", workload.pid, "-F", 499, "-f", "-U", 1)
            self.attach("uretprobed", *functions)
            time.sleep(0.3)
            result = periscope("cpu", "-p", workload.pid, "-F", 499, "-f", "-U", 1)
            self.assertIsNone(workload.popen.poll())
        self.assert_whole(before, least=20)
        # The kernel changes the address on the stack shortly before it notes the old one.
        self.assert_nearly_whole(result, 0.02, least=20)
        for capture in (before, result):
            # [uprobes] may be the leaf only: the trampoline itself, while it runs.
            inner = [u[:-1] if u[-1].startswith("[uprobes]") else u for u in capture.user_stacks()]
            inner = [u for u in inner if not u[0].startswith("[truncated")]
            for user in inner:
                self.assertTrue(
                    any(stack.fullmatch(";".join(user)) for stack in case.stacks), ";".join(user)
                )
            depth = [u.count("descend") for u in inner if u[-1] == "leaf"]
            self.assertEqual(set(depth), {12}, capture)

    def test_recursion_under_return_probes(self):
        self.check("plain", "descend")

    def test_probed_tail_call(self):
        self.check("tail", "descend", "jump_to_descend")


if __name__ == "__main__":
    unittest.main()
