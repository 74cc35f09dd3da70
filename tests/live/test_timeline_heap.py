# SPDX-License-Identifier: MIT
"""The heap in a timeline, to the byte, and what that is to cost; a thread that runs another program."""

import collections
import os
import re
import signal
import subprocess

import heap
import tracefile

from harness import PERISCOPE, WORKLOADS, Workload, children_of, periscope, wait_until
from test_timeline import Timeline, Told, ended

# tests/workloads/heap_peak.c; the call that must fail, for want of address space, is none.
MOST, LAST, CALLS = 131 * 4096 + 1000003, 17 * 59, 131 + 2 + 4 + 7


class Heap(Timeline):
    def counters(self, trace, name):
        """The values of a counter, in order."""
        return [e.fields["value"] for e in tracefile.Trace(trace).events
                if e.kind == "counter" and e.fields["counter"] == name]

    def known(self, *options):
        with Told("heap_peak") as workload:
            tool = self.record(workload, *options)
            workload.go()
            workload.lines_until("done")
            result = ended(tool)
        self.assert_ok(result)
        return result, tool.trace

    def test_most_and_last_to_the_byte(self):
        result, trace = self.known("--alloc")
        self.assertEqual(result.summary["allocs"], CALLS, result)
        self.assertNotIn("untracked-blocks", result.summary)
        facts = self.tables(trace)["summary"]["facts"]
        self.assertEqual(facts["heap_max_bytes"], MOST, facts)
        self.assertEqual(max(self.counters(trace, 13)), MOST)
        self.assertEqual(self.counters(trace, 2)[-1], LAST)
        text = self.assert_ok(periscope("convert", trace)).out
        self.assertRegex(text, r"heap at most +1\.47MB")
        self.assertIn("blocks from before are not", " ".join(text.split()))
        out = trace + ".json"
        self.assert_ok(periscope("convert", trace, "-o", out))
        with open(out, encoding="utf-8") as file:
            chrome = file.read()
        self.assertIn("heap since the start, at most", chrome)

    def test_of_a_command_from_its_begin(self):
        """What it had before the byte is known, too; and what it held at most when it is gone."""
        trace = os.path.join(self.temp_dir(), "t.periscope")
        tool = subprocess.Popen(
            [PERISCOPE, "timeline", "--alloc", "-o", trace, "--",
             os.path.join(WORKLOADS, "heap_peak"), "30"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.addCleanup(tool.communicate)
        self.assertEqual(tool.stdout.readline(), "ready\n")
        tool.stdin.write("x")
        tool.stdin.flush()
        self.assertEqual(tool.stdout.readline(), "done\n")
        pid, = children_of(tool.pid)
        os.kill(pid, signal.SIGTERM)
        self.assertEqual(tool.wait(30), 0)
        # Beside the blocks it has what makes a thread.
        most = max(self.counters(trace, 13))
        self.assertGreaterEqual(most, MOST + 101 * 1009)
        self.assertLess(most, MOST + 101 * 1009 + 10000)

    def test_each_process_has_its_own(self):
        """tests/workloads/heap_fork.c: what a child frees of its parent's is not known to be its own."""
        trace = os.path.join(self.temp_dir(), "t.periscope")
        command = [os.path.join(WORKLOADS, "heap_fork"), "30", "7", "exit"]
        self.assert_ok(periscope("timeline", "--alloc", "--children", "-o", trace, "--", *command))
        most = collections.Counter()
        for e in tracefile.Trace(trace).events:
            if e.kind == "counter" and e.fields["counter"] == 13:
                most[e.tid] = max(most[e.tid], e.fields["value"])
        self.assertEqual(sorted(most.values()), [101 * 56] * 7 + [1009 * 48])

    def test_unknown_where_not_all_is_watched(self):
        for options in ([], ["--alloc", "--tid"]):
            with Told("heap_peak") as workload:
                options += [workload.pid] if options else []
                tool = self.record(workload, *options)
                workload.go()
                workload.lines_until("done")
                result = ended(tool)
            self.assert_ok(result)
            facts = self.tables(tool.trace)["summary"]["facts"]
            self.assertNotIn("heap_max_bytes", facts)
            self.assertIn("rss_max_bytes", facts)
            self.assertEqual("allocations" in facts, bool(options))


class Cost(Timeline):
    LONGER = r"(?:about|at least) ([0-9]+)% longer"

    def refuse(self, *args):
        """A refusal, from a look at the target at which that had a CPU."""
        for _ in range(10):
            result = periscope(*args)
            if result.status:
                break
        return result

    def test_what_costs_too_much_is_refused_or_narrowed(self):
        with Workload("heap_steady", ["busy"]) as workload:
            trace = os.path.join(self.temp_dir(), "t.periscope")
            args = ["timeline", "-p", workload.pid, "--alloc", "-o", trace]
            refused = self.refuse(*args, "500ms")
            self.assert_refused(refused, 1, "--max-overhead is 10.0%", "--force goes on",
                                "even without frees")
            self.assertFalse(os.path.exists(trace))
            told = self.assert_ok(periscope(*args, "--max-overhead", "1000000", "500ms"))
            self.assertIn("heap_max_bytes", self.tables(trace)["summary"]["facts"], told)
            # Between what either costs, which two looks at it find alike enough, mostly.
            for _ in range(10):
                refused = self.refuse(*args, "500ms")
                less = float(re.search(r"([0-9]+)% longer", refused.err)[1])
                more = max(float(re.search(self.LONGER, told.err)[1]), less)
                result = periscope(*args, "--max-overhead", f"{(less * more) ** 0.5:.0f}", "500ms")
                if "with the frees" in result.err:
                    break
            self.assert_ok(result)
            self.assertIn("with the frees", result.err)
            facts = self.tables(trace)["summary"]["facts"]
            self.assertNotIn("heap_max_bytes", facts)
            self.assertGreater(facts["allocations"], 0)
            # Nobody has asked what it costs.
            forced = self.assert_ok(periscope(*args, "--force", "500ms"))
            self.assertNotIn("longer", forced.err)
            self.assertIn("heap_max_bytes", self.tables(trace)["summary"]["facts"])

    def test_hot_functions(self):
        with Workload("heap_steady", ["busy"]) as workload:
            trace = os.path.join(self.temp_dir(), "t.periscope")
            args = ["timeline", "-p", workload.pid, "--func", "libc*:malloc", "-o", trace, "500ms"]
            self.assert_refused(self.refuse(*args), 1, "what --func is to record", "longer; --max")
            self.assertFalse(os.path.exists(trace))
            self.assert_ok(periscope(*args, "--force"))


class ByThread(Timeline):
    """tests/workloads/exec_thread.c"""

    def until_done(self, workload):
        said = b""
        while b"done\n" not in said:
            more = os.read(workload.popen.stdout.fileno(), 100)
            self.assertTrue(more, "it ended early")
            said += more

    def capture(self, *options, args=()):
        with Workload("exec_thread", args, stdin=subprocess.PIPE) as workload:
            tids = collections.defaultdict(list)
            for line in workload.said[:-1]:
                _, name, tid = line.split()
                tids[name].append(int(tid))
            tool = self.record(workload, *options)
            os.write(workload.popen.stdin.fileno(), b"x")
            workload.popen.stdin.close()
            self.until_done(workload)
            result, events = self.finish(tool)
            self.assertEqual(result.summary["lost"], 0, result)
            return workload.pid, tids, tool.trace, events

    def test_goes_on_under_the_first_ones_number(self):
        pid, tids, trace, events = self.capture()
        caller, = tids["caller"]
        self.assertEqual(tids["first"], [pid])
        found = tracefile.Trace(trace)
        execs = [e for e in found.events if e.kind == "exec"]
        self.assertEqual([(e.tid, e.fields["old_tid"]) for e in execs], [(pid, caller)])
        sections = self.tables(trace)
        rows = sections["threads"]["tables"][0]["rows"]
        # Each thread once; the first one's number again for the second program.
        self.assertEqual(sorted(r["tid"] for r in rows),
                         sorted([pid, pid, caller, *tids["sleeper"]]), rows)
        names = {r["thread"]: r for r in rows}
        self.assertEqual(set(names), {"first", "second", "caller", "sleeper"}, rows)
        calls = collections.Counter((e["tid"], e["name"]) for e in events
                                    if e.get("cat") == "syscall" and e["name"] == "getppid")
        self.assertEqual(calls, {(caller, "getppid"): 13, (pid, "getppid"): 17})
        # From the caller's last state to the second program's first there is no gap.
        facts = sections["summary"]["facts"]
        both = names["caller"]["total_ns"] + names["second"]["total_ns"]
        self.assertLessEqual(abs(both - facts["span_ns"]), 20, rows)
        for row in rows:
            states = sum(n for key, n in row.items() if key.endswith("_ns") and key != "total_ns")
            self.assertLessEqual(abs(states - row["total_ns"]), 20, row)
        self.assertEqual(facts["threads"], 6, facts)

    def test_states_follow_each_other(self):
        pid, tids, _, events = self.capture()
        parts = [(e["ts"], e["ts"] + e["dur"]) for e in events if e["ph"] == "X"
                 and (e.get("cat") == "state" and e["tid"] in (pid, *tids["caller"]) or
                      e.get("cat") == "run" and e["name"] in ("caller", "first", "second"))]
        # Of two at a time none is longer than the span: first and caller, then second.
        self.assertGreater(len(parts), 4)
        mine = sorted((e["ts"], e["ts"] + e["dur"]) for e in events
                      if e.get("cat") == "state" and e["tid"] == pid)
        for (_, end), (start, _) in zip(mine, mine[1:]):
            self.assertLessEqual(end, start + 0.002)

    def test_probes_of_the_second_program(self):
        """Those of the first are bound to a task that is gone."""
        points = ["--request", "execs:begin(arg1)", "execs:end(arg1)"]
        for options, expected in ((["--usdt", "execs:*"], {"instant": 60}),
                                  (points, {"request_begin": 30, "request_end": 30})):
            _, _, trace, _ = self.capture(*options, args=["probes"])
            kinds = collections.Counter(e.kind for e in tracefile.Trace(trace).events)
            self.assertEqual({kind: kinds[kind] for kind in expected}, expected, options)

    def test_heap_of_the_second_program(self):
        """Like the others, those of the allocator."""
        with Workload("heap_exec", ["thread"], stdin=subprocess.PIPE) as workload:
            tool = self.record(workload, "--alloc")
            os.write(workload.popen.stdin.fileno(), b"x\n")

            def runs_again():
                with open(f"/proc/{workload.pid}/cmdline", "rb") as words:
                    return b"again" in words.read()

            wait_until(runs_again, 20, "the exec")
            wait_until(lambda: heap.malloc_byte(workload.pid) == 0xCC, 20, "probes")
            os.write(workload.popen.stdin.fileno(), b"x\n")
            self.until_done(workload)
            self.assert_ok(ended(tool))
        values = [e.fields["value"] for e in tracefile.Trace(tool.trace).events
                  if e.kind == "counter" and e.fields["counter"] == 2]
        self.assertEqual(values[-1], 211 * 80, values)
