# SPDX-License-Identifier: MIT
"""periscope heap: views, intervals, filters, the report, and what others read in the files."""

import glob
import json
import os
import re
import subprocess
import time
import xml.etree.ElementTree

import harness
import heap
import pprof

KEPT, HANDED = 211, 503  # of heap_known.c, thread 0


def values_by_function(profile, functions):
    """{function: [values]} of the samples that have one of them on the stack."""
    found = {}
    for stack, values, _ in profile.samples:
        for name in functions:
            if name in stack:
                sums = found.setdefault(name, [0] * len(values))
                found[name] = [a + heap.signed(b) for a, b in zip(sums, values)]
    return found


class Views(heap.HeapTest):
    def run_known(self, *more, threads=1, rounds=1):
        """The whole run of the workload; its lines, and the files that `more` names are written."""
        exe = os.path.join(harness.WORKLOADS, "heap_known")
        result = harness.periscope(
            "heap", *heap.FORCE, *more, "--", exe, 60, threads, rounds, timeout=60
        )
        self.assert_exact(result)
        self.expected = heap.expected(result.out.splitlines())
        return result

    def path(self, name):
        if not hasattr(self, "dir"):
            self.dir = self.temp_dir()
        return os.path.join(self.dir, name)

    def test_views_have_files_of_their_own(self):
        path = {v: self.path(v + ".pb.gz") for v in ("heap", "peak", "temporary", "outstanding")}
        self.run_known(
            "-o", path["heap"], "--view", "peak", "-o", path["peak"], "--view", "temporary",
            "-o", path["temporary"], "--view", "outstanding", "--older", "1ms",
            "-o", path["outstanding"],
        )  # fmt: skip
        types = {view: pprof.read(file).sample_types for view, file in path.items()}
        self.assertEqual([name for name, _ in types["heap"]], heap.TYPES)
        for view in ("peak", "temporary", "outstanding"):
            self.assertEqual(
                types[view], [(f"{view}_objects", "count"), (f"{view}_space", "bytes")]
            )

    def test_peak(self):
        """When the largest block lives, for the first time, beside what was kept until then."""
        file = self.path("peak.pb.gz")
        result = self.run_known("--view", "peak", "-o", file, rounds=2)
        profile = pprof.read(file)
        found = {k: v for k, v in values_by_function(profile, self.functions()).items() if any(v)}
        # In the second round what was kept in the first is there, too.
        self.assertEqual(
            found, {"alloc_keep": [2 * KEPT, 2 * KEPT * 64], "grown": [1, 200000]}, result
        )

    def functions(self):
        return {row.function for row in self.expected}

    def test_temporary(self):
        """All that a thread frees before it allocates again; not what another thread frees."""
        file = self.path("temporary.pb.gz")
        self.run_known("--view", "temporary", "-o", file, threads=2)
        wanted = {}
        for row, n in self.expected.items():
            freed = n.allocs - n.held
            if freed and row.function != "handed":
                sums = wanted.setdefault(row.function, [0, 0])
                wanted[row.function] = [sums[0] + freed, sums[1] + freed * row.size]
        found = values_by_function(pprof.read(file), self.functions())
        self.assertEqual({k: v for k, v in found.items() if any(v)}, wanted)

    def test_temporary_with_others_in_between(self):
        """In sets of three, freed in the order of allocation: none, one and two others."""
        exe = os.path.join(harness.WORKLOADS, "heap_sets")
        for others, wanted in ((0, 1009), (1, 2 * 1009), (2, 3 * 1009), (3, 3 * 1009)):
            file = self.path(f"sets{others}.pb.gz")
            result = harness.periscope(
                "heap", *heap.FORCE, "--view", "temporary", "--temporary", others, "-o", file,
                "--", exe, 60,
            )  # fmt: skip
            self.assert_exact(result)
            found = values_by_function(pprof.read(file), {"sets_of_three"})
            self.assertEqual(found.get("sets_of_three", [0, 0])[0], wanted, others)

    def outstanding(self, file, older):
        """Two rounds, so far apart; None when the second was that old, too, before the end."""
        workload = self.known(1)
        tool = self.capture(
            "-p", workload.pid, "--view", "outstanding", "--older", f"{older}s", "-o", file
        )
        workload.round()
        time.sleep(older + 0.1)
        began = time.monotonic()
        workload.round()
        result = self.end(tool)
        return result if time.monotonic() - began < older else None

    def test_outstanding(self):
        file = self.path("old.pb.gz")
        # A machine that stands still for so long may not do so for longer.
        result = next(filter(None, (self.outstanding(file, older) for older in (1, 4, 16))))
        found = values_by_function(pprof.read(file), {"alloc_keep", "handed", "alloc_free"})
        self.assertEqual(
            {k: v for k, v in found.items() if any(v)}, {"alloc_keep": [KEPT, KEPT * 64]}, result
        )

    def test_sizes_filtered(self):
        file = self.path("some.pb.gz")
        exe = os.path.join(harness.WORKLOADS, "heap_known")
        result = harness.periscope(
            "heap", *heap.FORCE, "-z", 64, "-Z", 512, "-o", file, "--", exe, 60, 2, 1, timeout=60
        )
        wanted = {
            row: n
            for row, n in heap.expected(result.out.splitlines()).items()
            if 64 <= row.size <= 512
        }
        functions = {row.function for row in wanted}
        self.assertEqual(heap.counted(pprof.read(file), functions), wanted)
        self.assertGreater(result.summary["filtered"], 0)

    def test_threads_chosen(self):
        file = self.path("one.pb.gz")
        workload = self.known(3)
        workload.round()  # until then the threads may have no names
        workload.lines.clear()
        tids = sorted(int(tid) for tid in os.listdir(f"/proc/{workload.pid}/task"))
        names = {}
        for tid in tids:
            with open(f"/proc/{workload.pid}/task/{tid}/comm", encoding="ascii") as comm:
                names[comm.read().strip()] = tid
        tool = self.capture("--tid", names["worker1"], "-o", file)
        workload.round()
        result = self.end(tool)
        self.assertEqual(result.summary["lost"], 0)
        wanted = {
            row: n for row, n in heap.expected(workload.lines).items() if row.thread == "worker1"
        }
        got = heap.counted(pprof.read(file), {row.function for row in wanted})
        self.assertEqual(got, wanted)

    def test_alloc_only(self):
        file = self.path("calls.pb.gz")
        exe = os.path.join(harness.WORKLOADS, "heap_known")
        result = harness.periscope(
            "heap", *heap.FORCE, "--alloc-only", "-o", file, "--", exe, 60, 2, 1, timeout=60
        )
        self.assertEqual(result.summary["lost"], 0, result)
        self.assertNotIn("in-use", result.summary)
        wanted = {r: n[:2] for r, n in heap.expected(result.out.splitlines()).items()}
        functions = {row.function for row in wanted}
        got = {r: n[:2] for r, n in heap.counted(pprof.read(file), functions).items()}
        # Calls count, also those that then fail.
        failed = {r: n for r, n in got.items() if r.function == "failing" and r.size > 1 << 40}
        self.assertEqual(sum(n[0] for n in failed.values()), 2 * (13 + 14))
        self.assertEqual({r: n for r, n in got.items() if r not in failed}, wanted)


class Full(heap.HeapTest):
    def test_live_table_too_small(self):
        """What finds no room is counted, and all else is as it would be."""
        file = os.path.join(self.temp_dir(), "heap.pb.gz")
        exe = os.path.join(harness.WORKLOADS, "heap_many")
        result = harness.periscope(
            "heap", *heap.FORCE, "--max-live", 10000, "-o", file, "--", exe, 60, timeout=60
        )
        summary = self.assert_ok(result).summary
        self.assertEqual(summary["lost"], 0, result)
        found = values_by_function(pprof.read(file), {"many", "few"})
        self.assertEqual(found["many"][0], 100003)
        self.assertEqual(found["few"], [1009, 1009 * 48, 0, 0])
        self.assertGreater(summary["untracked"], 0, result)
        self.assertEqual(found["many"][2] + summary["untracked"], 100003)
        # There is room for what was promised.
        self.assertGreaterEqual(found["many"][2], 10000)

    def test_live_table_large_enough(self):
        file = os.path.join(self.temp_dir(), "heap.pb.gz")
        exe = os.path.join(harness.WORKLOADS, "heap_many")
        result = harness.periscope(
            "heap", *heap.FORCE, "--max-live", 101000, "-o", file, "--", exe, 60, timeout=60
        )
        self.assert_exact(result)
        found = values_by_function(pprof.read(file), {"many"})
        self.assertEqual(found["many"], [100003, 100003 * 32, 100003, 100003 * 32])


    def test_no_memory_for_the_table(self):
        """100 GB of kernel memory are refused, by whoever limits them."""
        workload = self.known(1)
        result = harness.periscope("heap", "--max-live", 1000000000, "-p", workload.pid, 1)
        self.assert_refused(result, 1, "kernel memory", "lower --max-live")


class Intervals(heap.HeapTest):
    def test_changes_add_up(self):
        directory = self.temp_dir()
        path = os.path.join(directory, "heap.pb.gz")
        workload = self.known(2)
        tool = self.capture("-p", workload.pid, "-i", "200ms", "--delta", "-o", path)
        for _ in range(3):
            workload.round()
            time.sleep(0.3)
        files = lambda: glob.glob(os.path.join(directory, "heap.*.pb.gz"))  # noqa: E731
        before = len(files())
        harness.wait_until(lambda: len(files()) >= before + 2, 30, "two more intervals")
        result = self.end(tool)
        self.assert_exact(result)
        self.assert_rows(pprof.read(path), workload.lines)
        wanted = heap.expected(workload.lines)
        functions = {row.function for row in wanted}
        sums = {}
        for file in files():
            for row, n in heap.counted(pprof.read(file), functions).items():
                sums[row] = heap.Counts(*(a + b for a, b in zip(sums.get(row, heap.NOTHING), n)))
        self.assertEqual(sums, wanted)

    def test_a_report_every_interval(self):
        workload = self.known(1)
        tool = self.capture("-p", workload.pid, "-i", "200ms")
        workload.round()

        def reports():
            tool.files[0].seek(0)
            return tool.files[0].read().count(b"Who allocates")

        harness.wait_until(lambda: reports() >= 2, 30, "two reports")
        before = reports()
        result = self.end(tool)
        # And one of all at the end.
        self.assertGreater(result.out.count("Who allocates"), before, result)
        self.assertNotIn("\033", result.out)


class Files(heap.HeapTest):
    def setUp(self):
        self.dir = self.temp_dir()
        endings = ("pb.gz", "folded", "svg", "charts.svg", "speedscope.json", "json", "txt")
        self.path = {e: os.path.join(self.dir, "heap." + e) for e in endings}
        exe = os.path.join(harness.WORKLOADS, "heap_known")
        self.result = harness.periscope(
            "heap", *heap.FORCE, *(w for path in self.path.values() for w in ("-o", path)),
            "--", exe, 60, 2, 1, timeout=60,
        )  # fmt: skip
        self.assert_exact(self.result)
        self.summary = self.result.summary
        self.expected = heap.expected(self.result.out.splitlines())

    def test_go_reads_every_value(self):
        keys = dict(zip(heap.TYPES, ("allocations", "bytes", "in-use", "in-use-bytes")))
        env = dict(os.environ, HOME=self.dir, PPROF_TMPDIR=self.dir)
        for name, key in keys.items():
            total = subprocess.run(
                ["go", "tool", "pprof", "-top", "-unit=B", f"-sample_index={name}",
                 self.path["pb.gz"]],
                capture_output=True, text=True, timeout=60, env=env, check=True,
            ).stdout  # fmt: skip
            of = re.search(r"of (\d+)B? total|(\d+)B?, 100% of", total)
            self.assertTrue(of, total)
            self.assertEqual(int(of[1] or of[2]), self.summary[key], name)

    def test_default_of_go_is_what_is_in_use(self):
        env = dict(os.environ, HOME=self.dir, PPROF_TMPDIR=self.dir)
        done = subprocess.run(
            ["go", "tool", "pprof", "-top", self.path["pb.gz"]],
            capture_output=True, text=True, timeout=60, env=env, check=True,
        )  # fmt: skip
        self.assertIn("Type: inuse_space", done.stdout)
        self.assertRegex(done.stdout, r"(?m)^.* alloc_keep$")

    def test_labels(self):
        profile = pprof.read(self.path["pb.gz"])
        threads = {labels["thread"] for _, _, labels in profile.samples}
        self.assertLessEqual({"worker0", "worker1"}, threads)
        for _, _, labels in profile.samples:
            self.assertIn("bytes", labels)
            self.assertIn("tid", labels)

    def test_folded_is_the_value_in_use(self):
        with open(self.path["folded"], encoding="utf-8") as file:
            folded = harness.parse_folded(file.read())
        self.assertEqual(sum(folded.values()), self.summary["in-use-bytes"])

    def test_pictures(self):
        for ending in ("svg", "charts.svg"):
            root = xml.etree.ElementTree.parse(self.path[ending]).getroot()
            self.assertTrue(root.tag.endswith("svg"))

    def test_tables(self):
        with open(self.path["json"], encoding="utf-8") as file:
            sections = json.load(file)["sections"]
        facts = sections["heap"]["facts"]
        self.assertEqual(facts["allocations"], self.summary["allocations"])
        self.assertEqual(facts["inuse_bytes"], self.summary["in-use-bytes"])
        # Sizes: all of them, and each exact.
        wanted = {}
        for row, n in self.expected.items():
            wanted[row.size] = wanted.get(row.size, 0) + n.allocs
        common = {
            row["size_bytes"]: row["allocations"]
            for table in sections["sizes"]["tables"]
            for row in table["rows"]
        }
        for size in (100, 91, 80, 64, 24, 72, 5000, 200000):
            self.assertEqual(common[size], wanted[size], size)
        histogram = sections["sizes"]["histograms"][0]["buckets"]
        self.assertEqual(sum(b["count"] for b in histogram), self.summary["allocations"])
        between = sum(n for size, n in wanted.items() if 64 <= size < 128)
        found = [b["count"] for b in histogram if b["low_bytes"] == 64 and b["high_bytes"] == 127]
        # The threads' stacks and the like are of other sizes.
        self.assertEqual(found, [between])
        lives = sections["lifetimes"]["histograms"][0]["buckets"]
        self.assertEqual(sum(b["count"] for b in lives), self.summary["frees"])
        callers = {row["caller"].split()[0]: row for row in sections["callers"]["tables"][0]["rows"]}
        kept = sum(n.held for row, n in self.expected.items() if row.function == "alloc_keep")
        self.assertEqual(callers["alloc_keep"]["inuse_objects"], kept)
        self.assertRegex(callers["alloc_keep"]["caller"], r"^alloc_keep \(heap_known\.c:\d+\)$")
        series = sections["growth"]["series"][0]["points"]
        self.assertEqual(series[-1]["inuse_bytes"], self.summary["in-use-bytes"])
        self.assertGreater(max(point["rss_bytes"] for point in series), 0)
