# SPDX-License-Identifier: MIT
"""The timeline beside perf and the load generator, and where it is hard: a thousand threads, numbers of
threads that come again, another program in the same process, a clock that is set, a disk that is full.
"""

import collections
import os
import re
import signal
import subprocess
import sys
import time

import servers
import tracefile

from harness import REPO, Workload, cpu_seconds, periscope, wait_until
from test_timeline import ROUNDS, Timeline, Told, ended

sys.path.append(os.path.join(REPO, "tests", "convert"))
import pftrace  # noqa: E402  pylint: disable=wrong-import-position


class Hard(Timeline):
    def rows_of_threads(self, trace):
        return self.tables(trace)["threads"]["tables"][0]["rows"]

    def assert_covered(self, row):
        """A thread's states add up to the time that it was there."""
        states = sum(n for key, n in row.items() if key.endswith("_ns") and key != "total_ns")
        self.assertLessEqual(abs(states - row["total_ns"]), 20, row)


class AgainstPerf(Hard):
    def test_runs_are_those_of_perf_sched(self):
        """Both at once. A difference in a time is what is between two handlers of one event."""
        with Told("timeline_known") as workload:
            data = os.path.join(self.temp_dir(), "perf.data")
            perf = subprocess.Popen(
                ["perf", "sched", "record", "-m", "4096", "-a", "-o", data, "--", "sleep", "60"],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            self.addCleanup(perf.wait)
            self.addCleanup(lambda: perf.poll() is None and perf.kill())
            tool = self.record(workload)
            wait_until(lambda: os.path.exists(data) and os.path.getsize(data), 20, "perf")
            workload.go()
            workload.lines_until("done")
            tids = {int(tid) for tid in os.listdir(f"/proc/{workload.pid}/task")}
            self.assert_ok(ended(tool))
            perf.send_signal(signal.SIGINT)
            perf.wait(60)
        theirs = self.runs(data, tids)
        out = tool.trace + ".pftrace"
        self.assert_ok(periscope("convert", tool.trace, "-o", out))
        ours = collections.defaultdict(list)
        for run in sorted(pftrace.Pftrace(out).runs, key=lambda run: run.start):
            ours[run.tid].append(run.end - run.start)
        self.assertEqual(len(theirs), 2, theirs)
        for tid, runs in theirs.items():
            self.assertEqual(len(ours[tid]), len(runs), (tid, runs, ours[tid]))
            known = [(a, b) for a, b in zip(ours[tid], runs) if b is not None]
            self.assertGreater(len(known), ROUNDS // 3)
            close = [abs(a - b) < 100000 for a, b in known]
            self.assertGreater(sum(close), 0.9 * len(close), known)

    @staticmethod
    def runs(data, tids):
        """Of each thread the time from each switch to it until that away from it, which is what
        perf sched timehist calls its run time; None where the kernel told nobody of the former."""
        text = subprocess.run(
            ["perf", "script", "-i", data, "--ns", "-F", "cpu,time,trace"],
            capture_output=True, text=True, timeout=100, check=False,
        ).stdout  # fmt: skip
        found, last = collections.defaultdict(list), {}
        pattern = r"\[(\d+)\] +(\d+)\.(\d{9}): .*prev_pid=(\d+) .*next_pid=(\d+)"
        for cpu, s, ns, prev, new in re.findall(pattern, text):
            time, prev = int(s) * 10**9 + int(ns), int(prev)
            if prev in tids:
                to, since = last.get(cpu, (None, 0))
                found[prev].append(time - since if to == prev else None)
            last[cpu] = (int(new), time)
        return found


class AgainstTheLoad(Hard):
    def test_requests_are_the_load_generators(self):
        server = servers.coworkingd(self)
        tool = self.record(server.process)
        sent = servers.load(server, "mix", "--seconds", "1")
        result = ended(tool)
        self.assert_ok(result)
        self.assertEqual(result.summary["lost"], 0, result)
        sections = self.tables(tool.trace)
        latency = next(t for t in sections["requests"]["tables"] if t["key"] == "latency")
        seen = collections.Counter()
        for row in latency["rows"]:
            seen[re.sub(":id", "*", row["route"])] += row["requests"]
            self.assertEqual((row["partial"], row["lost"], row["failed"]), (0, 0, 0), row)
        self.assertEqual(seen, collections.Counter(sent))
        # A part of it for Perfetto keeps the rules, by a strict reader and by Google's.
        out = tool.trace + ".pftrace"
        self.assert_ok(periscope("convert", tool.trace, "--to", "500ms", "-o", out))
        found = {s.category[0] for s in pftrace.Pftrace(out).slices if s.category}
        self.assertLessEqual({"request", "phase", "state", "syscall", "sql"}, found)
        with open(out, "rb") as file:
            raw = subprocess.run(["protoc", "--decode_raw"], stdin=file, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE, timeout=120, check=False)
        self.assertEqual(raw.returncode, 0, raw.stderr)


class Threads(Hard):
    def test_a_thousand(self):
        with Workload("many_threads") as workload:
            tool = self.record(workload)
            time.sleep(0.5)
            result = ended(tool)
        self.assert_ok(result)
        self.assertEqual(result.summary["lost"], 0, result)
        rows = self.rows_of_threads(tool.trace)
        self.assertEqual(len({row["tid"] for row in rows}), 1001)
        for row in rows:
            self.assert_covered(row)
        busy = [row for row in rows if row["execution_ns"] > 0.1 * row["total_ns"]]
        self.assertLessEqual(len(busy), 3)

    def test_numbers_that_come_again(self):
        with Told("tid_reuse") as workload:
            tool = self.record(workload)
            workload.go()
            told = workload.lines_until("done")
            _, events = self.finish(tool)
        turns = [line.split() for line in told if line.startswith("turn")]
        self.assertEqual(len(turns), 4, told)
        self.assertEqual(len({tid for _, _, tid in turns}), 1)
        rows = {row["thread"]: row for row in self.rows_of_threads(tool.trace)
                if row["thread"].startswith("turn")}
        self.assertEqual(sorted(rows), ["turn0", "turn1", "turn2", "turn3"])
        for row in rows.values():
            self.assertEqual(row["tid"], int(turns[0][2]))
            self.assert_covered(row)
        calls = [e for e in events if e.get("cat") == "syscall" and e["name"] == "getppid"
                 and e["tid"] == int(turns[0][2])]
        self.assertEqual(len(calls), 101 + 103 + 107 + 109)
        # Each thread has its own calls, besides what libc does for it.
        own = [rows[f"turn{n}"]["syscalls"] - calls for n, calls in enumerate((101, 103, 107, 109))]
        self.assertLess(max(own) - min(own), 3, own)

    @staticmethod
    def works(workload):
        """Long enough for some samples."""
        until = cpu_seconds(workload.pid) + 0.3
        wait_until(lambda: cpu_seconds(workload.pid) >= until, 60, "CPU time")

    def test_another_program_in_the_same_process(self):
        with Workload("exec_mid", ["0"]) as workload:
            tool = self.record(workload)
            self.works(workload)
            os.kill(workload.pid, signal.SIGUSR1)
            # It has its new name before the exec is told: what the new program says comes after.
            self.assertEqual(workload.popen.stdout.readline(), b"ready\n")
            self.works(workload)
            result = ended(tool)
        self.assert_ok(result)
        self.assertEqual(result.summary["lost"], 0, result)
        trace = tracefile.Trace(tool.trace)
        execs = [e for e in trace.events if e.kind == "exec"]
        self.assertEqual([(e.tid, e.fields["name"]) for e in execs], [(workload.pid, "exec_after")])
        functions = {True: set(), False: set()}
        for e in trace.events:
            if e.kind == "sample":
                functions[e.time > execs[0].time].update(trace.stack(e.fields["stack"]))
        self.assertIn("leaf_before", functions[False])
        self.assertIn("leaf_after", functions[True])
        self.assertNotIn("leaf_before", functions[True])
        row, = self.rows_of_threads(tool.trace)
        self.assertEqual(row["thread"], "exec_after")
        self.assert_covered(row)


class Clocks(Hard):
    STEP = 5_000_000_000

    @staticmethod
    def set_back(by):
        time.clock_settime_ns(time.CLOCK_REALTIME, time.clock_gettime_ns(time.CLOCK_REALTIME) - by)

    @staticmethod
    def clocks(trace):
        """The distances between the clocks that a trace tells of."""
        return [e.fields["realtime"] - e.time for e in trace.events if e.kind == "clock"]

    def told(self, tool, n):
        """Of a recording that goes on: the clocks, when there are so many."""

        def enough():
            return len(self.clocks(tracefile.Trace(tool.trace))) >= n

        wait_until(enough, 30, f"clock {n}")

    def test_time_of_day_is_set_back_and_forth(self):
        with Told("timeline_known") as workload:
            tool = self.record(workload)
            workload.go()
            self.told(tool, 1)
            self.set_back(self.STEP)
            try:
                self.told(tool, 2)
            finally:
                self.set_back(-self.STEP)
            self.told(tool, 3)
            workload.lines_until("done")
            result = ended(tool)
        self.assert_ok(result)
        self.assertEqual((result.summary["lost"], result.summary.get("bad", 0)), (0, 0), result)
        trace = tracefile.Trace(tool.trace)
        clocks = self.clocks(trace)
        self.assertEqual(len(clocks), 3, clocks)
        for before, after, step in zip(clocks, clocks[1:], (-self.STEP, self.STEP)):
            self.assertAlmostEqual(after - before, step, delta=self.STEP / 10)
        calls = collections.Counter(e.fields["nr"] for e in trace.events if e.kind == "syscall_enter")
        getppid = next(nr for nr, name in trace.syscalls.items() if name == "getppid")
        self.assertEqual(calls[getppid], ROUNDS * 7)
        for row in self.rows_of_threads(tool.trace):
            self.assert_covered(row)


class FullDisk(Hard):
    def test_while_it_streams(self):
        """It ends, says why, and what is on the disk can be read."""
        folder = self.temp_dir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", folder], check=True)
        self.addCleanup(subprocess.run, ["umount", folder], check=True)
        trace = os.path.join(folder, "t.periscope")
        with Workload("waits", ["handoff"]) as workload:
            result = periscope("timeline", "-p", workload.pid, "-o", trace, "60")
        self.assert_refused(result, 1, "cannot write the trace: No space left")
        self.assertGreater(os.path.getsize(trace), 100000)
        report = periscope("convert", trace)
        self.assert_ok(report)
        self.assertIn("was not finished", report.out)
        self.assertRegex(report.out, r"events +[1-9][0-9]{3}")
