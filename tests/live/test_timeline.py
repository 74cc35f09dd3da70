# SPDX-License-Identifier: MIT
"""The timeline: a sequence known to the last event, states that cover the span, the flight recorder."""

import collections
import glob
import json
import os
import re
import signal
import subprocess
import time

from harness import WORKLOADS, LiveTest, Tool, is_alive, periscope, wait_until

ROUNDS, CALLS, SPINS = 13, 7, 11
SLEEP_NS, HOLD_NS = 3000000, 2000000


def ended(tool):
    """Ends a recording in order; its result."""
    tool.popen.send_signal(signal.SIGINT)
    return tool.finish()


def threads(pid):
    return os.listdir(f"/proc/{pid}/task")


def traced(tid):
    with open(f"/proc/{tid}/status", encoding="ascii") as status:
        return "TracerPid:\t0\n" not in status.read()


class Told:
    """A workload that is told on standard input when to begin and when to end."""

    def __init__(self, name):
        self.process = subprocess.Popen(
            [os.path.join(WORKLOADS, name)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self.process.pid
        assert self.process.stdout.readline() == "ready\n"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def go(self):
        self.process.stdin.write("x")
        self.process.stdin.flush()

    def lines_until(self, last):
        lines = []
        while not lines or lines[-1] != last:
            line = self.process.stdout.readline()
            assert line, "the workload ended early"
            lines.append(line.rstrip("\n"))
        return lines


class Timeline(LiveTest):
    @staticmethod
    def tells(tool):
        try:
            return os.path.getsize(tool.trace) > 64
        except OSError:
            return False

    def record(self, workload, *options, seconds="60"):
        """Starts a recording; its .trace is the file."""
        trace = os.path.join(self.temp_dir(), "t.periscope")
        tool = Tool("timeline", "-p", workload.pid, *options, "-o", trace, seconds)
        self.addCleanup(tool.stop)
        tool.trace = trace
        wait_until(lambda: self.tells(tool), 60, "the recording to begin")
        return tool

    def finish(self, tool):
        """Ends a recording; its result and its events as of the Chrome format."""
        result = ended(tool)
        self.assert_ok(result)
        out = tool.trace + ".json"
        self.assert_ok(periscope("convert", tool.trace, "-o", out))
        with open(out, encoding="utf-8") as file:
            return result, json.load(file)["traceEvents"]


class Known(Timeline):
    """tests/workloads/timeline_known.c"""

    def capture(self, *options):
        with Told("timeline_known") as workload:
            tool = self.record(workload, "--usdt", "known:*", *options)
            workload.go()
            told = workload.lines_until("done")
            result, events = self.finish(tool)
            self.assertEqual(result.summary["lost"], 0, result)
            rounds = [list(map(int, line.split()[2:])) for line in told if line[0] == "r"]
            self.assertEqual(len(rounds), ROUNDS)
            return workload.pid, rounds, events

    def test_every_event_in_order(self):
        pid, _, events = self.capture("--func", "step")
        main = [e for e in events if e.get("tid") == pid and e["ph"] == "X"]
        main.sort(key=lambda e: e["ts"])
        names = [e["name"] for e in main if e["cat"] in ("syscall", "known", "function")]
        # Where the vDSO has no clock, a look at it is a call.
        names = [name for name in names if name != "clock_gettime"]
        first = names.index("round")
        one = ["round"] + ["getppid"] * CALLS + ["clock_nanosleep", "write", "read"]
        one += ["step"] * SPINS
        self.assertEqual(names[first : first + ROUNDS * len(one)], one * ROUNDS)
        counts = collections.Counter(
            e["name"] for e in events if e["ph"] == "X" and e["cat"] in ("syscall", "function")
        )
        self.assertEqual(counts["getppid"], ROUNDS * CALLS)
        self.assertEqual(counts["step"], ROUNDS * SPINS + ROUNDS)  # the partner's
        self.assertEqual(counts["clock_nanosleep"], ROUNDS)
        self.assertFalse([n for n in counts if n.startswith("syscall ")], counts)

    def test_spans_have_the_programs_own_times(self):
        pid, rounds, events = self.capture()
        spans = [e for e in events if e.get("cat") == "known"]
        self.assertEqual(len(spans), ROUNDS)
        self.assertEqual([e["args"]["arg1"] for e in spans], list(range(ROUNDS)))
        sleeps = [e for e in events if e.get("cat") == "state" and e["name"] == "sleep"]
        self.assertEqual(len(sleeps), ROUNDS)
        for span, sleep, at in zip(spans, sleeps, rounds):
            self.assertEqual(span["tid"], pid)
            # The program looked at its clock just outside of the probes.
            self.assertLessEqual(span["dur"] * 1000, at[3] - at[0] + 2)
            # A thread may be kept from its CPU after the timer was set: the sleep as a state is
            # shorter then, but never over before the timer's end.
            woken = sleep["ts"] + sleep["dur"]
            self.assertGreaterEqual((woken - span["ts"]) * 1000, SLEEP_NS)
            self.assertLessEqual(sleep["dur"] * 1000, at[1] - at[0])
            self.assertGreaterEqual(sleep["ts"], span["ts"])
            self.assertIn("one_round", sleep["args"]["stack"])

    def test_states_cover_the_span_without_gap_or_overlap(self):
        pid, _, events = self.capture()
        names = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
        partner = next(tid for tid, name in names.items() if name == "partner")
        for tid, name in ((pid, "timeline_known"), (partner, "partner")):
            parts = [
                (e["ts"], e["ts"] + e["dur"])
                for e in events
                if e.get("cat") == "state" and e["tid"] == tid
                or e.get("cat") == "run" and e["name"] == name
            ]
            parts.sort()
            self.assertGreater(len(parts), 2 * ROUNDS)
            for (_, end), (start, _) in zip(parts, parts[1:]):
                self.assertAlmostEqual(start, end, delta=0.002)

    def test_who_woke_whom(self):
        pid, _, events = self.capture()
        partner = next(
            e["tid"] for e in events if e["ph"] == "M" and e["args"].get("name") == "partner"
        )
        woken = [e for e in events if e["ph"] == "X" and e["cat"] == "wakes"]
        by = collections.Counter((e["tid"], e["args"]["wakee"]) for e in woken)
        # Once a round each way, unless the other had not got to sleep yet.
        for pair in ((pid, partner), (partner, pid)):
            self.assertLessEqual(by[pair], ROUNDS)
            self.assertGreater(by[pair], ROUNDS // 2)

    def test_counts_of_strace(self):
        with Told("timeline_known") as workload:
            tool = self.record(workload)
            workload.go()
            workload.lines_until("done")
            _, events = self.finish(tool)
        ours = collections.Counter(e["name"] for e in events if e.get("cat") == "syscall")
        with Told("timeline_known") as workload:
            out = os.path.join(self.temp_dir(), "strace")
            strace = subprocess.Popen(
                ["strace", "-f", "-c", "-o", out, "-p", str(workload.pid)],
                stderr=subprocess.DEVNULL,
            )
            self.addCleanup(strace.wait)
            wait_until(lambda: all(map(traced, threads(workload.pid))), what="strace")
            workload.go()
            workload.lines_until("done")
            strace.send_signal(signal.SIGINT)
            strace.wait(20)
        with open(out, encoding="utf-8") as file:
            # % time, seconds, usecs/call, calls, errors if any, syscall
            rows = [line.split() for line in file if re.search(r"[a-z]\w+$", line)]
            theirs = {row[-1]: row[3] for row in rows}
        for name in ("getppid", "clock_nanosleep"):
            self.assertEqual(str(ours[name]), theirs[name])


class Streams(Timeline):
    def test_killed_recorder_leaves_a_trace(self):
        with Told("timeline_known") as workload:
            tool = self.record(workload)
            workload.go()
            workload.lines_until("done")
            time.sleep(1.5)  # what is older than that is in the file
            tool.popen.kill()
            tool.popen.wait()
            out = periscope("convert", tool.trace)
            self.assert_ok(out)
            self.assertIn("was not finished", out.out)
            self.assertIn("partner", out.out)
            self.assertTrue(is_alive(workload.pid))

    def test_target_that_exits(self):
        with Told("timeline_known") as workload:
            tool = self.record(workload)
            workload.process.kill()
            result = tool.finish()
            self.assert_ok(result)
            self.assertIn("exited", result.err)
            self.assert_ok(periscope("convert", tool.trace))

    def test_full_disk(self):
        full = os.path.join(self.temp_dir(), "full.periscope")
        os.symlink("/dev/full", full)
        with Told("timeline_known") as workload:
            result = periscope("timeline", "-p", workload.pid, "-o", full, "1")
            self.assert_refused(result, 1, "cannot write", "No space left")

    def test_refused(self):
        with Told("timeline_known") as workload:
            out = os.path.join(self.temp_dir(), "no.periscope")
            for words, options in (
                ("no function of the target matches", ["--func", "nosuch*"]),
                ("no USDT probe of the target matches", ["--usdt", "known:nosuch"]),
                ("--max-funcs", ["--func", "*", "--max-funcs", "2"]),
            ):
                result = periscope("timeline", "-p", workload.pid, *options, "-o", out, "1")
                self.assert_refused(result, 1, words)
                self.assertFalse(os.path.exists(out))
            for words, options in (
                ("--events", ["--events", "sched,moon"]),
                ("heap --record", ["-o", out + ".heaptrack.gz"]),
                ("--trigger", ["--trigger", "exit"]),
                ("64MB,30s", ["--flight", "64MB"]),
                ("is no condition", ["--flight", "64MB,30s", "--trigger", "moon>1"]),
            ):
                result = periscope("timeline", "-p", workload.pid, *options, "1")
                self.assert_refused(result, 2, words)


class Flight(Timeline):
    def fly(self, workload, *options):
        folder = self.temp_dir()
        tool = Tool(
            "timeline", "-p", workload.pid, "--flight", "16MB,20s", "-o", folder, "-v", *options
        )
        self.addCleanup(tool.stop)
        tool.folder = folder
        tool.wait_capturing()
        return tool

    def dumps(self, tool):
        return sorted(glob.glob(os.path.join(tool.folder, "*.periscope")))

    def test_crash_has_the_faulting_function_on_top(self):
        with Told("crash") as workload:
            tool = self.fly(workload, "--trigger", "signal")
            workload.go()
            result = tool.finish()
            self.assert_ok(result)
            self.assertEqual(result.summary["dumps"], 1, result)
            (dump,) = self.dumps(tool)
            self.assertIn("signal", os.path.basename(dump))
            sections = self.tables(dump)
            rows = sections["signals"]["tables"][0]["rows"]
            fault = next(r for r in rows if r["signal"] == "SIGSEGV")
            self.assertIn("doomed", fault["thread"])
            self.assertEqual(fault["stack"][:3], ["crash_here", "crash_caller", "doomed"])
            others = [r for r in rows if r["signal"] == "SIGKILL"]
            self.assertTrue(any("wait_here" in r["stack"] for r in others), rows)
            self.assertEqual(sections["triggers"]["tables"][0]["rows"][0]["trigger"], "signal")

    def test_probe_with_a_condition_fires_once_for_its_cause(self):
        with Told("timeline_known") as workload:
            tool = self.fly(
                workload, "--trigger", "known:round__start(arg1==5)", "--after", "100ms"
            )
            workload.go()
            workload.lines_until("done")
            wait_until(lambda: self.dumps(tool), what="a dump")
            result = ended(tool)
            self.assert_ok(result)
            self.assertEqual(result.summary["dumps"], 1, result)
            rows = self.tables(self.dumps(tool)[0])["triggers"]["tables"][0]["rows"]
            self.assertEqual([r["trigger"] for r in rows], ["known:round__start(arg1==5)"])

    def test_condition_that_never_holds(self):
        with Told("timeline_known") as workload:
            tool = self.fly(workload, "--trigger", "known:round__start(arg1>12)", "--trigger", "oom")
            workload.go()
            workload.lines_until("done")
            result = ended(tool)
            self.assert_ok(result)
            self.assertEqual(result.summary["dumps"], 0, result)
            self.assertEqual(self.dumps(tool), [])

    def test_asked_from_elsewhere_and_by_signal(self):
        with Told("timeline_known") as workload:
            tool = self.fly(workload)
            asked = periscope("timeline", "--dump", "-p", workload.pid)
            self.assert_ok(asked)
            self.assertTrue(os.path.exists(asked.out.strip()), asked)
            os.kill(tool.pid, signal.SIGUSR2)
            wait_until(lambda: len(self.dumps(tool)) == 2, what="the second dump")
            # A killed recorder leaves whole dumps.
            tool.popen.kill()
            tool.popen.wait()
            for dump in self.dumps(tool):
                self.tables(dump)
            refused = periscope("timeline", "--dump", "-p", workload.pid)
            self.assert_refused(refused, 1, "no flight recorder")

    def test_only_the_last_dumps_stay(self):
        with Told("timeline_known") as workload:
            tool = self.fly(workload, "--keep", "2")
            names = []
            for _ in range(4):
                asked = periscope("timeline", "--dump", "-p", workload.pid)
                self.assert_ok(asked)
                names.append(asked.out.strip())
            self.assertEqual(self.dumps(tool), sorted(names[-2:]))
            result = ended(tool)
            self.assertEqual(result.summary["removed"], 2)
