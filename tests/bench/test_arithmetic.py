#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The arithmetic and the readers of scripts/bench, against answers worked out by hand.

Needs no root and no tool: python3 tests/bench/test_arithmetic.py
"""

import gzip
import os
import subprocess
import sys
import tempfile
import unittest

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(REPO, "scripts"))

import bench_cost  # noqa: E402
import bench_report  # noqa: E402
import bench_run  # noqa: E402
import bench_stats  # noqa: E402
import bench_tools  # noqa: E402


class Stats(unittest.TestCase):
    def test_quantiles(self):
        self.assertEqual(bench_stats.median([5, 1, 3]), 3)
        self.assertEqual(bench_stats.median([4, 1, 3, 2]), 2.5)
        self.assertEqual(bench_stats.spread([0, 10, 20, 30, 40]), (20, 10, 30, 5))
        self.assertEqual(bench_stats.spread([7]), (7, 7, 7, 1))
        self.assertEqual(bench_stats.quantile([1, 2], 0.25), 1.25)
        with self.assertRaises(ValueError):
            bench_stats.median([])

    def test_bootstrap(self):
        self.assertEqual(bench_stats.bootstrap_median([3] * 20), (3, 3))
        values = [i - 10 for i in range(21)]
        low, high = bench_stats.bootstrap_median(values)
        # The order statistics of the exact sign-test interval for n = 21 are the 6th and the 16th.
        self.assertAlmostEqual(low, -5, delta=1.01)
        self.assertAlmostEqual(high, 5, delta=1.01)
        self.assertEqual((low, high), bench_stats.bootstrap_median(values))

    def test_sample_cost(self):
        # 40 samples of 2000 ns among 1000 hits, of which the other 960 took 50 ns each.
        self.assertEqual(bench_stats.sample_ns(40 * 2000 + 960 * 50, 1000, 40, 50), 2000)
        with self.assertRaises(ValueError):
            bench_stats.sample_ns(1000, 10, 0, 50)
        frame = bench_stats.slope(21, 1500, 221, 9500)
        self.assertEqual(frame, 40)
        self.assertEqual(bench_stats.at_depth(2000, 15, frame, 10), 1800)

    def test_share(self):
        self.assertEqual(bench_stats.share(1, 8), 12.5)
        self.assertIsNone(bench_stats.share(0, 0))


class PerfScript(unittest.TestCase):
    ENTRY = [range(0x1000, 0x1040), range(0x555500001000, 0x555500001040)]

    def count(self, *stacks):
        text = "".join(
            "redis-server 17 \n" + "".join(f"\t {frame}\n" for frame in stack) + "\n" for stack in stacks
        )
        return bench_tools.count_complete(text.encode().splitlines(True), self.ENTRY)

    def test_outermost_frame_decides(self):
        self.assertEqual(self.count(["5 leaf", "9 main", "1 _start"]), (1, 1, 1))
        self.assertEqual(self.count(["1 _start", "9 main", "5 leaf"]), (1, 0, 0))
        self.assertEqual(self.count(["5 leaf", "9 __clone3"], ["5 leaf", "9 clone_it"]), (2, 1, 1))
        self.assertEqual(self.count(["5 leaf", "9 start_thread"]), (1, 0, 1))
        self.assertEqual(self.count(["5 f", "9 __libc_start_main@@GLIBC_2.34"]), (1, 0, 1))

    def test_entry_code_without_a_symbol(self):
        self.assertEqual(self.count(["5 leaf", "103f [unknown]"]), (1, 1, 1))
        self.assertEqual(self.count(["5 leaf", "1040 [unknown]"]), (1, 0, 0))
        self.assertEqual(self.count(["5 leaf", "555500001020 [unknown]"]), (1, 1, 1))

    def test_samples_without_frames_count(self):
        self.assertEqual(self.count([], ["1 _start"], []), (3, 1, 1))
        self.assertEqual(self.count(), (0, 0, 0))


class Bpftrace(unittest.TestCase):
    def test_depth(self):
        text = "\n\n@[\n    one+1\n    two+2\n    three\n]: 2\n@[\n    0x7f00\n]: 1\n@[]: 1\n@n: 4\n"
        self.assertEqual(bench_cost.bpftrace_depth(text), (4, (3 * 2 + 1) / 4))
        self.assertEqual(bench_cost.bpftrace_depth(""), (0, None))


class Pprof(unittest.TestCase):
    def depth(self, data):
        with tempfile.NamedTemporaryFile() as file:
            file.write(gzip.compress(bytes(data)))
            file.flush()
            return bench_tools.mean_depth(file.name)

    def test_mean_depth(self):
        # Profile.sample = 2; Sample.location_id = 1, Sample.value = 2, both packed.
        deep = [0x0A, 4, 1, 2, 0x80, 1, 0x12, 2, 3, 9]  # locations 1, 2, 128; values 3, 9
        flat = [0x0A, 1, 1, 0x12, 2, 1, 3]
        data = [0x12, len(deep), *deep, 0x48, 0x96, 1, 0x12, len(flat), *flat]
        self.assertEqual(self.depth(data), (3 * 3 + 1 * 1) / 4)

    def test_nothing(self):
        with self.assertRaises(bench_run.CannotMeasure):
            self.depth([])


class Elf(unittest.TestCase):
    def test_text_is_what_readelf_says(self):
        done = subprocess.run(
            ["readelf", "-lW", "/bin/true"], capture_output=True, text=True, check=True
        )
        loads = [line.split() for line in done.stdout.splitlines() if line.startswith("  LOAD")]
        text = sum(int(words[4], 16) for words in loads if "E" in words[6:-1])
        self.assertGreater(text, 0)
        self.assertEqual(bench_tools.text_bytes("/bin/true"), text)


class Report(unittest.TestCase):
    def test_verdicts(self):
        self.assertEqual(bench_report.verdict(2.0, 2.0), "ok")
        self.assertEqual(bench_report.verdict(2.01, 2.0), "MISSED")
        self.assertEqual(bench_report.verdict(99.9, (99.9,)), "ok")
        self.assertEqual(bench_report.verdict(99.89, (99.9,)), "MISSED")


    def test_growth(self):
        row = bench_report.growth([(1000, 1100), (2000, 2100), (4000, 4040)], 6)
        self.assertEqual((row["without"].median, row["with"].median), (2, 2.1))
        self.assertAlmostEqual(row["growth"], 5)
        self.assertAlmostEqual(row["low"], 1)
        self.assertAlmostEqual(row["high"], 10)
        self.assertEqual((row["pairs"], row["verdict"]), (3, "ok, not certain"))
        self.assertEqual(bench_report.growth([(1, 2)] * 5, 6)["verdict"], "MISSED")
        self.assertNotIn("verdict", bench_report.growth([(1, 2)]))


class Processes(unittest.TestCase):
    def test_peak_memory(self):
        program = f"{sys.executable} -c 'x = b\"x\" * 150_000_000'"
        with bench_run.Workbench() as bench:
            done = bench.run(["sh", "-c", "exec " + program])
            self.assertEqual(done.status, 0)
            self.assertGreater(done.peak_kb, 150_000_000 / 1024)
            self.assertLess(done.peak_kb, 190_000_000 / 1024)
            # Smaller than this interpreter, from which it is forked.
            self.assertLess(bench.run(["sleep", "0.1"]).peak_kb, 8192)

    def test_everything_is_stopped(self):
        with bench_run.Workbench() as bench:
            home = bench.directory()
            alone = bench.spawn(["sleep", "60"])
            group = bench.spawn(["sh", "-c", "sleep 60 & wait"], group=True)
            pids = bench_run.wait_for(
                lambda: len(bench_run.family(group.pid)) == 2 and bench_run.family(group.pid), 5, "sh"
            )
        self.assertIsNotNone(alone.returncode)
        bench_run.wait_for(lambda: not os.path.exists(f"/proc/{pids[1]}"), 5, "the end of the group")
        self.assertFalse(os.path.exists(home))

    def test_cpu_time(self):
        with bench_run.Workbench() as bench:
            before = bench_run.cpu_ns(bench.spawn(["sleep", "60"]).pid)
        self.assertLess(before, 1_000_000_000)
        self.assertGreater(bench_run.cpu_ns(os.getpid()), 0)
        with self.assertRaises(bench_run.CannotMeasure):
            bench_run.cpu_ns(2**22 + 1)


if __name__ == "__main__":
    unittest.main()
