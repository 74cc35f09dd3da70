# SPDX-License-Identifier: MIT
"""periscope heap: what it may cost, and figures that stand for more than was counted."""

import os
import re

import harness
import heap
import pprof


class Governor(heap.HeapTest):
    def test_an_idle_process_is_followed(self):
        workload = self.known(1)
        result = harness.periscope("heap", "-p", workload.pid, 1)
        self.assert_ok(result)
        self.assertRegex(result.err, r"0 allocations a second: its work will take about 0% longer")
        self.assertIn("in-use", result.summary)

    def test_a_busy_one_is_only_counted(self):
        workload = self.start("heap_steady", "busy")
        result = harness.periscope("heap", "-p", workload.pid, "-f", 2)
        self.assert_ok(result)
        self.assertIn("without frees", result.err)
        self.assertNotIn("in-use", result.summary)
        self.assertGreater(result.summary["allocations"], 0)
        if "duty-percent" in result.summary:
            self.assertIn("estimates", result.err)
            self.assertGreater(result.summary["windows"], 0)
        # What is shown is what there is: bytes that were allocated.
        self.assertEqual(sum(result.folded.values()), result.summary["bytes"])

    def test_views_of_frees_are_refused(self):
        workload = self.start("heap_steady", "busy")
        for more in (["--view", "peak"], ["--sample-index", "inuse_objects"]):
            result = harness.periscope("heap", "-p", workload.pid, *more, 2)
            self.assert_refused(result, 1, "allocations", "--max-overhead", "--force")

    def test_nothing_is_probed_of_what_is_refused(self):
        workload = self.start("heap_steady", "busy")
        before = heap.malloc_byte(workload.pid)
        result = harness.periscope("heap", "-p", workload.pid, "--max-overhead", "0.1%", 2)
        self.assert_refused(result, 1, "--max-overhead is 0.1%")
        self.assertEqual(heap.malloc_byte(workload.pid), before)

    def test_force(self):
        workload = self.start("heap_steady", "busy")
        result = harness.periscope("heap", "--force", "-p", workload.pid, 1)
        self.assertIn("in-use", self.assert_exact(result))

    def test_a_larger_limit(self):
        workload = self.start("heap_steady", "paced")
        result = harness.periscope("heap", "--max-overhead", "100000%", "-p", workload.pid, 1)
        self.assertIn("in-use", self.assert_exact(result))


class Duty(heap.HeapTest):
    @staticmethod
    def with_error(run):
        """run(seconds), for so long that there are windows enough to tell the error by."""
        for seconds in (4, 12, 36):
            result = run(seconds)
            if "error-percent" in result:
                return result
        raise AssertionError(f"no error is told: {result}")

    def test_estimates_are_scaled_and_marked(self):
        path = os.path.join(self.temp_dir(), "heap.pb.gz")
        text = os.path.join(self.temp_dir(), "heap.txt")
        workload = self.start("heap_steady", "paced")
        options = ["--force", "--duty", "20%", "-p", workload.pid, "-o", path, "-o", text]
        summary = self.with_error(
            lambda seconds: self.assert_ok(
                harness.periscope("heap", *options, seconds, timeout=seconds + 30)
            ).summary
        )
        self.assertEqual(summary["lost"], 0)
        windows, counted = summary["windows"], summary["counted"]
        with open(text, encoding="utf-8") as file:
            estimated = re.search(r"(?m)^estimated +from (\d+) in (\d+) .* (\d+)% off$", file.read())
        self.assertEqual((int(estimated[1]), int(estimated[2])), (counted, windows))
        self.assertAlmostEqual(int(estimated[3]), float(summary["error-percent"]), delta=1)
        # A window is 50 ms, or longer where the machine is slow.
        factor = summary["allocations"] / counted
        seconds = float(summary["seconds"])
        self.assertLessEqual(factor, 1.05 * seconds / ((windows - 1) * 0.05))
        self.assertGreater(factor, 1)
        profile = pprof.read(path)
        self.assertEqual([name for name, _ in profile.sample_types], heap.TYPES[:2])
        self.assertIn("duty-percent: 20.0", profile.comments)
        self.assertEqual(
            sum(values[0] for _, values, _ in profile.samples), summary["allocations"]
        )
        self.assertEqual(
            sum(values[1] for _, values, _ in profile.samples), 100 * summary["allocations"]
        )

    def test_the_true_number_is_near(self):
        """At its pace it makes at most 40000 a second, on a slow machine fewer: counted beside."""
        workload = self.start("heap_steady", "paced")

        def both(seconds):
            tools = [
                harness.Tool("heap", "--force", *more, "-p", workload.pid, seconds)
                for more in (["--duty", "20%"], [])
            ]
            for tool in tools:
                self.addCleanup(tool.stop)
            estimate, exact = (self.assert_ok(tool.finish(seconds + 30)).summary for tool in tools)
            return dict(estimate, true=exact["allocations"])

        result = self.with_error(both)
        off = 100 * abs(result["allocations"] / result["true"] - 1)
        # Three times what holds in 95 of 100 cases.
        self.assertLess(off, 3 * max(float(result["error-percent"]), 10), result)

    def test_needs_links(self):
        workload = self.known(1)
        for bad in ("0.0001%x", "101%", "abc", "0"):
            result = harness.periscope("heap", "--duty", bad, "-p", workload.pid, 1)
            self.assert_refused(result, 2, "--duty")
