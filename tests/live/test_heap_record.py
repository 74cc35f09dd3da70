# SPDX-License-Identifier: MIT
"""periscope heap --record: what heaptrack_print makes of it is what the program knows it did."""

import collections
import gzip
import os
import re
import signal
import subprocess

import harness
import heap

COSTS = ["allocations", "temporary", "leaked", "peak"]

Totals = collections.namedtuple("Totals", "allocations bytes temporary peak leaked")


class Recorded:
    """A recording, converted, as heaptrack_print sees it."""

    def __init__(self, test, record, *options, env=None):
        self._dir = test.temp_dir()
        self.path = os.path.join(self._dir, "x.heaptrack.gz")
        self.result = harness.periscope("convert", record, "-o", self.path, *options, env=env)

    def lines(self):
        with gzip.open(self.path, "rt", encoding="utf-8") as text:
            return text.read().splitlines()

    def command(self):
        return next(line[2:] for line in self.lines() if line.startswith("X "))

    def _print(self, *options):
        done = subprocess.run(
            ["heaptrack_print", *options, self.path], capture_output=True, text=True, check=False
        )
        assert not done.returncode, done
        assert "failed to parse" not in done.stderr, done
        return done.stdout

    def costs(self, cost):
        """{frames, outermost first: cost}"""
        out = os.path.join(self._dir, "folded")
        self._print("-p0", "-a0", "-T0", "--flamegraph-cost-type", cost, "-F", out)
        folded = collections.Counter()
        with open(out, encoding="utf-8") as lines:
            for line in lines:
                stack, _, value = line.rstrip("\n").rpartition(" ")
                # "name (file);", from main on.
                names = [frame.partition(" (")[0] for frame in stack.rstrip(";").split(";")]
                folded[tuple(names)] += int(value)
        return folded

    def by_function(self, cost, functions):
        found = collections.Counter()
        for stack, value in self.costs(cost).items():
            names = [name for name in stack if name in functions]
            if names and value:
                found[names[-1]] += value
        return found

    def totals(self):
        """The sums in words: what heaptrack_print says of everything together."""
        text = self._print("-p0", "-a0", "-T0")
        return {
            name: re.search(pattern, text)[1]
            for name, pattern in {
                "allocations": r"calls to allocation functions: (\d+)",
                "temporary": r"temporary memory allocations: (\d+)",
                "peak": r"peak heap memory consumption: (\S+)",
                "leaked": r"total memory leaked: (\S+)",
                "command": r"Debuggee command was: (.*)",
            }.items()
            if re.search(pattern, text)
        }


def human(n):
    """As heaptrack_print shows bytes."""
    for unit in ("B", "K", "M"):
        if n < 1000:
            return f"{n}B" if unit == "B" else f"{n:.2f}{unit}"
        n /= 1000
    return f"{n:.2f}G"


class RecordTest(heap.HeapTest):
    def record(self, *options, times=1, during=None):
        """heap_totals recorded: (its totals, the tool's result, the file)."""
        path = os.path.join(self.temp_dir(), "heap.periscope")
        workload = harness.Workload("heap_totals", [str(times)], stdin=subprocess.PIPE)
        self.addCleanup(workload.stop)
        self.addCleanup(workload.popen.stdin.close)
        tool = self.capture("-p", workload.pid, "--record", path, *options)
        if during:
            during(tool)
        os.write(workload.popen.stdin.fileno(), b"go\n")
        line = workload.popen.stdout.readline().decode().split()
        self.assertEqual(line[0], "totals")
        return Totals(*map(int, line[1:])), tool, path


class Exact(RecordTest):
    def test_totals(self):
        known, tool, path = self.record()
        summary = self.end(tool).summary
        self.assertEqual(summary["record-lost"], 0)
        # A realloc is one event; threads and the like are some more.
        self.assertGreaterEqual(summary["recorded"], 2 * known.allocations - 6 - 39)
        recorded = Recorded(self, path)
        self.assert_ok(recorded.result)
        self.assertEqual(recorded.result.err, "")
        for cost in COSTS:
            self.assertEqual(sum(recorded.costs(cost).values()), getattr(known, cost), cost)
        totals = recorded.totals()
        self.assertEqual(int(totals["allocations"]), known.allocations)
        self.assertEqual(int(totals["temporary"]), known.temporary)
        self.assertEqual(totals["peak"], human(known.peak))
        self.assertEqual(totals["leaked"], human(known.leaked))
        self.assertIn("heap_totals", recorded.command())
        self.assertNotIn("lost", recorded.command())
        # Our own report.
        self.assertEqual(summary["allocations"], known.allocations)
        self.assertEqual(summary["bytes"], known.bytes)
        self.assertEqual(summary["in-use-bytes"], known.leaked)
        functions = {"hot", "high", "grow", "leak"}
        self.assertEqual(
            recorded.by_function("allocations", functions),
            {"hot": 211, "high": 101, "grow": 52, "leak": 53},
        )
        self.assertEqual(recorded.by_function("leaked", functions), {"leak": known.leaked})

    def test_chosen(self):
        """Only what threads allocated that there are not."""
        _, tool, path = self.record()
        self.end(tool)
        recorded = Recorded(self, path, "--tid", "1")
        self.assert_ok(recorded.result)
        self.assertEqual(int(recorded.totals()["allocations"]), 0)

    def threads(self, threads):
        path = os.path.join(self.temp_dir(), "heap.periscope")
        workload = self.known(threads)
        workload.round()
        workload.lines.clear()
        tool = self.capture("-p", workload.pid, "--record", path)
        for _ in range(2):
            workload.round()
        summary = self.assert_exact(self.end(tool))
        self.assertEqual(summary["record-lost"], 0)
        recorded = Recorded(self, path)
        wanted = {"allocations": collections.Counter(), "leaked": collections.Counter()}
        for row, counts in heap.expected(workload.lines).items():
            wanted["allocations"][row.function] += counts.allocs
            wanted["leaked"][row.function] += counts.held_bytes
        functions = set(wanted["allocations"])
        for cost, rows in wanted.items():
            self.assertEqual(recorded.by_function(cost, functions), +rows, cost)
            # And nothing besides.
            self.assertEqual(sum(recorded.costs(cost).values()), rows.total(), cost)
        return recorded, summary

    def test_one_thread(self):
        recorded, summary = self.threads(1)
        self.assertEqual(int(recorded.totals()["allocations"]), summary["allocations"])

    def test_eight_threads(self):
        """Blocks that others free, reallocs whose old addresses others are given meanwhile."""
        self.threads(8)

    def test_command(self):
        """From its first instruction, constructors and what libc allocates included."""
        path = os.path.join(self.temp_dir(), "heap.periscope")
        exe = os.path.join(harness.WORKLOADS, "heap_known")
        result = harness.periscope(
            "heap", *heap.FORCE, "--record", path, "--", exe, 60, 2, 1, timeout=60
        )
        summary = self.assert_exact(result)
        recorded = Recorded(self, path)
        self.assertEqual(
            sum(recorded.costs("allocations").values()), summary["allocations"]
        )
        self.assertEqual(sum(recorded.costs("leaked").values()), summary["in-use-bytes"])
        self.assertIn(f"{exe} 60 2 1", recorded.command())


class Lines(RecordTest):
    """The lines themselves, for machines without heaptrack."""

    def test_eight_threads(self):
        path = os.path.join(self.temp_dir(), "heap.periscope")
        exe = os.path.join(harness.WORKLOADS, "heap_known")
        result = harness.periscope(
            "heap", *heap.FORCE, "--record", path, "--", exe, 60, 8, 1, timeout=60
        )
        summary = self.assert_exact(result)
        self.assertEqual(summary["record-lost"], 0)
        recorded = Recorded(self, path)
        self.assert_ok(recorded.result)
        given, sizes = 0, {}
        for line in recorded.lines():
            letter, *words = line.split(" ")
            if letter == "+":
                given += 1
                self.assertNotIn(words[2], sizes)
                sizes[words[2]] = int(words[0], 16)
            elif letter == "-":
                del sizes[words[0]]
        self.assertEqual(given, summary["allocations"])
        self.assertEqual(sum(sizes.values()), summary["in-use-bytes"])
        self.assertEqual(len(sizes), summary["in-use"])


class Losses(RecordTest):
    def test_too_fast(self):
        """A tool that does not get to read: what is missing is counted, in its place, and said."""
        known, tool, path = self.record(
            times=4739, during=lambda tool: tool.popen.send_signal(signal.SIGSTOP)
        )
        tool.popen.send_signal(signal.SIGCONT)
        result = self.end(tool)
        lost = result.summary["record-lost"]
        self.assertGreater(lost, 0)
        self.assertIn(f"{lost} events came too fast", result.err)
        # The figures do not depend on the recording.
        self.assertEqual(result.summary["allocations"], known.allocations)
        self.assertEqual(result.summary["in-use-bytes"], known.leaked)
        recorded = Recorded(self, path)
        lines = recorded.lines()
        comments = [int(line.split()[2]) for line in lines if line.startswith("# lost: ")]
        self.assertEqual(sum(comments), lost)
        self.assertIn(f"{lost} events lost", recorded.command())
        self.assertIn(f"{lost} events lost", recorded.totals()["command"])
        # Of the events that there were, each is there or lost; of one whose other half is lost the
        # end has no line.
        frees = known.allocations - 6
        there = sum(line[:1] in "+-" for line in lines if line)
        self.assertLessEqual(there + lost, known.allocations + frees)
        self.assertGreater(there, 0)

    def killed(self):
        """A recording whose tool was killed when allocations were already in it."""
        _, tool, path = self.record(times=101)

        def written():
            so_far = Recorded(self, path)
            return not so_far.result.status and so_far.by_function("allocations", {"leak", "hot"})

        harness.wait_until(written, 60, "allocations in the recording")
        tool.popen.kill()
        tool.popen.wait()
        return path

    def test_killed(self):
        path = self.killed()
        recorded = Recorded(self, path)
        self.assert_ok(recorded.result)
        self.assertIn("was not finished", recorded.result.err)
        self.assertIn("not recorded to its end", recorded.command())
        # Names are found afterwards.
        self.assertTrue(recorded.by_function("allocations", {"leak", "hot"}))

    def test_full_disk(self):
        """The recording ends, with what fitted in; the capture does not."""
        small = self.temp_dir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", small], check=True)
        self.addCleanup(subprocess.run, ["umount", small], check=True)
        path = os.path.join(small, "heap.periscope")
        workload = harness.Workload("heap_totals", ["947"], stdin=subprocess.PIPE)
        self.addCleanup(workload.stop)
        self.addCleanup(workload.popen.stdin.close)
        tool = self.capture("-p", workload.pid, "--record", path)
        os.write(workload.popen.stdin.fileno(), b"go\n")
        line = workload.popen.stdout.readline().decode().split()
        tool.popen.send_signal(signal.SIGINT)
        result = tool.finish(60)
        self.assertEqual(result.status, 1, result)
        self.assertIn(f"cannot write '{path}': No space left on device", result.err)
        self.assertIn(f"allocations={line[1]} ", result.err)
        recorded = Recorded(self, path)
        self.assert_ok(recorded.result)
        self.assertIn("was not finished", recorded.result.err)
        self.assertGreater(int(recorded.totals()["allocations"]), 0)

    def test_damaged(self):
        """Whatever was done to the file: an error or what is left, and heaptrack_print reads it."""
        _, tool, path = self.record(times=101)
        self.end(tool)
        with open(path, "rb") as file:
            whole = file.read()
        damaged = os.path.join(self.temp_dir(), "damaged.periscope")
        read = 0
        for part in range(1, 8):
            at = len(whole) * part // 8
            bad = bytes(b ^ 0x55 for b in whole[at : at + 16])
            for data in (whole[:at], whole[:at] + bad + whole[at + 16 :]):
                with open(damaged, "wb") as file:
                    file.write(data)
                recorded = Recorded(self, damaged)
                self.assertIn(recorded.result.status, (0, 1), recorded.result)
                if recorded.result.status:
                    self.assertRegex(recorded.result.err, "cannot read|holds no allocations")
                    continue
                self.assertRegex(recorded.result.err, "not finished|is damaged")
                recorded.totals()
                read += 1
        self.assertGreater(read, 0)


class Refused(RecordTest):
    def test_without_frees(self):
        for option in ("--alloc-only", "--duty=5"):
            result = harness.periscope("heap", "-p", os.getpid(), "--record", "/dev/null", option)
            self.assertEqual(result.status, 2, result)
            self.assertIn("nothing to --record", result.err)

    def test_other_formats(self):
        path = os.path.join(self.temp_dir(), "heap.periscope")
        exe = os.path.join(harness.WORKLOADS, "heap_start")
        self.assert_ok(harness.periscope("heap", *heap.FORCE, "--record", path, "--", exe, 1))
        for options in ([], ["-o", os.path.join(self.temp_dir(), "x.html")], ["-f"]):
            result = harness.periscope("convert", path, *options)
            self.assertEqual(result.status, 1, result)
            self.assertIn("-o FILE.heaptrack.gz", result.err)

    def test_not_writable(self):
        result = harness.periscope(
            "heap", "-p", os.getpid(), "--record", "/nonexistent/x.periscope", "1"
        )
        self.assertEqual(result.status, 1, result)
        self.assertIn("cannot write '/nonexistent/x.periscope': No such file", result.err)
