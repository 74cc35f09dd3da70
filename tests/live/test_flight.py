# SPDX-License-Identifier: MIT
"""The flight recorder: each trigger fires once for its cause and not otherwise, and says who it was.

tests/workloads/flight_known.c does on demand what they wait for, and says what it did.
"""

import json
import os
import re
import signal
import time

import servers
from cgroup import MemoryCgroup
from flight import FlightTest
from harness import WORKLOADS, is_alive, periscope, wait_until
from test_timeline import Told, ended

WAIT_NS = 400000000


class Known(Told):
    """The workload; do() has it do what a letter stands for, and returns what it says."""

    def __init__(self):
        super().__init__("flight_known")

    def do(self, letter):
        self.process.stdin.write(letter)
        self.process.stdin.flush()
        return {
            line.split()[0]: list(map(int, line.split()[1:])) for line in self.lines_until("done")
        }

    def die(self, letter):
        self.process.stdin.write(letter)
        self.process.stdin.flush()
        self.process.wait(60)

    def tid(self, name):
        for tid in os.listdir(f"/proc/{self.pid}/task"):
            with open(f"/proc/{self.pid}/task/{tid}/comm", encoding="ascii") as comm:
                if comm.read() == name + "\n":
                    return int(tid)
        raise AssertionError(f"no thread {name}")


class Flight(FlightTest):
    def workload(self):
        known = Known()
        self.addCleanup(known.__exit__)
        wait_until(lambda: self.guilty(known), what="the thread")
        return known

    @staticmethod
    def guilty(known):
        try:
            return known.tid("guilty")
        except AssertionError:
            return 0

    def once(self, tool, text):
        """Ends the recorder: it has written one dump, because of this; the dump and its mark."""
        result = ended(tool)
        self.assert_ok(result)
        self.assertEqual(result.summary["dumps"], 1, result)
        self.assertEqual(self.causes(result), [text], result)
        (path,) = self.dumps(tool)
        trace, triggers = self.trace(path)
        self.assertEqual([e.fields["name"] for e in triggers], [text])
        return result, trace, triggers[0]


class Triggers(Flight):
    def test_one_slow_request_among_10000(self):
        known = self.workload()
        tool = self.fly(known.pid, "--trigger", "latency>150ms", "--trigger", "status>=500")
        slow = known.do("f")["slow"]
        self.wait_for_dumps(tool, 1)
        result, trace, mark = self.once(tool, "latency>150ms")
        self.assertEqual(result.summary["lost"], 0, result)
        self.assertEqual(mark.fields["request"], slow[0])
        self.assertEqual(mark.tid, known.tid("guilty"))
        self.assertGreaterEqual(mark.args["lasted_ns"], WAIT_NS)
        # The whole of it is there: its begin, where it waited, its end.
        begin = next(
            e
            for e in trace.events
            if e.kind == "request_begin" and e.fields["request"] == slow[0]
        )
        self.assertEqual(begin.args["path"], "/slow")
        self.assertEqual(begin.time, mark.time - mark.args["lasted_ns"])
        left = [
            trace.stack(e.fields["stack"])
            for e in trace.events
            if e.kind == "switch_out" and e.tid == mark.tid and begin.time < e.time < mark.time
        ]
        self.assertTrue(any("slow_here" in stack for stack in left), left)
        served = [e for e in trace.events if e.kind == "request_end"]
        self.assertEqual(len(served), 10000)

    def test_what_is_asked_and_nothing_else(self):
        known = self.workload()
        conditions = ["status>=500", "check(arg1==0)", "check(arg1<0)", "rss>40MB", "signal"]
        options = [word for c in conditions for word in ("--trigger", c)]
        tool = self.fly(known.pid, *options, "--cooldown", "1ms", "--after", "1ms")
        failed = known.do("s")["failed"][0]
        self.wait_for_dumps(tool, 1)
        zero = known.do("c")["zero"][0]
        self.wait_for_dumps(tool, 2)
        known.do("m")
        self.wait_for_dumps(tool, 3)
        known.do("k")  # a signal that has a handler ends nobody
        known.die("d")
        result = tool.finish()
        self.assert_ok(result)
        # The next call after the one with 0 is that with -5: too soon for another dump.
        self.assertEqual(
            self.causes(result), ["status>=500", "check(arg1==0)", "rss>40MB", "signal"], result
        )
        marks = [self.trace(path)[1][-1] for path in self.dumps(tool)]
        self.assertEqual(marks[0].fields["request"], failed)
        self.assertEqual(marks[1].tid, zero)
        self.assertEqual(marks[2].tid, known.pid)
        self.assertEqual(marks[3].tid, zero)
        # Of the calls only those for which a condition holds were recorded, and no returns.
        trace, _ = self.trace(self.dumps(tool)[-1])
        calls = [e for e in trace.events if e.fields.get("category") == "function"]
        self.assertLessEqual({e.kind for e in calls}, {"instant"})

    def test_condition_is_judged_in_the_kernel(self):
        known = self.workload()
        tool = self.fly(known.pid, "--trigger", "check(arg1==0)")
        zero = known.do("c")["zero"][0]
        self.wait_for_dumps(tool, 1)
        _, trace, mark = self.once(tool, "check(arg1==0)")
        calls = [e for e in trace.events if e.fields.get("category") == "function"]
        self.assertEqual([(e.kind, e.tid, e.time) for e in calls], [("instant", zero, mark.time)])

    def test_blocked(self):
        known = self.workload()
        tool = self.fly(known.pid, "--trigger", "blocked>200ms")
        known.do("c")
        known.do("s")
        known.do("b")
        self.wait_for_dumps(tool, 1)
        _, trace, mark = self.once(tool, "blocked>200ms")
        self.assertEqual(mark.tid, known.tid("guilty"))
        self.assertEqual(mark.fields["request"], 101)
        self.assertGreaterEqual(mark.args["lasted_ns"], WAIT_NS * 0.99)
        begin = mark.time - mark.args["lasted_ns"]
        out = [
            e for e in trace.events if e.kind == "switch_out" and (e.tid, e.time) == (mark.tid, begin)
        ]
        self.assertIn("wait_here", trace.stack(out[0].fields["stack"]))

    def test_runqueue(self):
        known = self.workload()
        tool = self.fly(known.pid, "--trigger", "runqueue>200ms", "--after", "1ms")
        waited = known.do("r")["waited"][0]
        self.assertGreaterEqual(waited, WAIT_NS)
        guilty = known.tid("guilty")

        def told():
            for path in self.dumps(tool):
                for mark in self.trace(path)[1]:
                    if mark.tid == guilty and mark.args["lasted_ns"] > 200000000:
                        return True
            return False

        wait_until(told, 20, "the thread that waited for its CPU")

    def test_exit(self):
        known = self.workload()
        tool = self.fly(known.pid, "--trigger", "exit", "--trigger", "oom")
        known.do("s")
        known.die("x")
        result = tool.finish()
        self.assert_ok(result)
        self.assertEqual(self.causes(result), ["exit"], result)
        trace, marks = self.trace(self.dumps(tool)[0])
        codes = [e.fields["code"] >> 8 for e in trace.events if e.kind == "exit" and e.fields["flags"] & 1]
        self.assertEqual(codes, [3])
        self.assertEqual(len(marks), 1)

    def test_oom(self):
        """A group that may have less than it wants: once, by the process, and no mere exit."""
        group = MemoryCgroup(self, 32)
        group.never_swap()
        known = self.workload()
        tool = self.fly(known.pid, "--trigger", "oom", "--trigger", "exit")
        group.take(known.pid)
        known.die("m")  # 64 MB
        self.assertEqual(group.kills(), 1)
        self.assertEqual(known.process.returncode, -signal.SIGKILL)
        result = tool.finish()
        self.assert_ok(result)
        self.assertEqual(self.causes(result), ["oom"], result)
        trace, (mark,) = self.trace(self.dumps(tool)[0])
        self.assertEqual(mark.fields["name"], "oom")
        ends = [e for e in trace.events if e.kind == "exit"]
        self.assertEqual([e.fields["flags"] for e in ends if e.tid != mark.tid], [2])
        (last,) = [e for e in ends if e.tid == mark.tid]
        self.assertEqual((last.fields["flags"], last.fields["code"]), (3, signal.SIGKILL))
        # What it did when it was killed: the thread that wanted more.
        guilty = next(tid for tid, name in self.names(trace).items() if name == "guilty")
        killed = next(e for e in trace.events if e.kind == "signal" and e.tid == guilty)
        self.assertIn("more_memory", trace.stack(killed.fields["stack"]))

    def test_thousand_triggers_a_second(self):
        known = self.workload()
        tool = self.fly(
            known.pid, "--trigger", "status>=500", "--cooldown", "100ms", "--after", "1ms", "--keep", "3"
        )
        told = 0
        for n in (1, 2):  # however long the first dump takes, the second run has its cool-down behind it
            told += known.do("t")["told"][0]
            self.wait_for_dumps(tool, n)
        result = ended(tool)
        self.assert_ok(result)
        summary = result.summary
        self.assertGreater(told, 0)
        self.assertEqual(summary["lost"], 0, result)
        self.assertEqual(summary["dumps"] + summary["suppressed"], told, result)
        self.assertGreaterEqual(summary["dumps"], 2, result)
        self.assertEqual(len(self.dumps(tool)), min(3, summary["dumps"]))
        self.assertEqual(summary["removed"], summary["dumps"] - len(self.dumps(tool)), result)
        self.assertTrue(is_alive(known.pid))

    def test_get_trace(self):
        server = servers.coworkingd(self)
        tool = self.fly(server.process.pid)
        token = server.login()
        answer = server.request("GET", "/trace", token=token)
        self.assertEqual(answer.status, 202, answer)
        self.wait_for_dumps(tool, 1)
        _, _, mark = self.once(tool, "GET /trace")
        self.assertTrue(mark.fields["request"])


class Limits(Flight):
    def test_window(self):
        """Not what was long before, but what came after."""
        known = self.workload()
        tool = self.fly(
            known.pid, "--trigger", "status>=500", "--before", "500ms", "--after", "700ms", "--usdt", "coworking:*"
        )
        known.do("b")  # request 1
        time.sleep(2.5)
        known.do("s")  # 2 to 101
        known.do("k")
        (path,) = self.wait_for_dumps(tool, 1)
        _, trace, mark = self.once(tool, "status>=500")
        requests = {e.fields["request"] for e in trace.events if e.kind == "request_begin"}
        self.assertNotIn(1, requests)
        self.assertIn(mark.fields["request"], requests)
        self.assertGreaterEqual(trace.header.end, mark.time + 700000000)
        events = [chunk for _, chunk in trace.chunks if chunk[1] == 2]
        wanted = mark.time - mark.args["lasted_ns"] - 500000000
        self.assertLessEqual(trace.header.start, wanted)
        self.assertTrue(all(chunk[7] >= wanted for chunk in events))
        # Whole chunks; what is shown of them begins at the moment that was asked for.
        self.assertEqual(trace.begin, wanted)
        sections = self.tables(path)
        (row,) = sections["triggers"]["tables"][0]["rows"]
        self.assertEqual(row["at_ns"], mark.time - wanted)
        span = sections["summary"]["facts"]["span_ns"]
        self.assertEqual(span, trace.header.end - wanted)

    def test_cooldown_counts_from_a_triggered_dump(self):
        known = self.workload()
        tool = self.fly(known.pid, "--trigger", "status>=500", "--after", "1ms", "--cooldown", "1h")
        self.assert_ok(periscope("timeline", "--dump", "-p", known.pid))
        known.do("s")
        self.wait_for_dumps(tool, 2)
        known.do("s")
        known.do("s")
        self.assert_ok(periscope("timeline", "--dump", "-p", known.pid))
        result = ended(tool)
        self.assertEqual(self.causes(result), ["asked", "status>=500", "asked"], result)
        self.assertEqual(result.summary["suppressed"], 2, result)

    def test_other_limits_while_it_runs(self):
        known = self.workload()
        tool = self.fly(known.pid, limits="16MB,1h")
        known.do("b")

        def first():
            asked = periscope("timeline", "--dump", "-p", known.pid)
            self.assert_ok(asked)
            trace, _ = self.trace(asked.out.strip())
            return [e.fields["request"] for e in trace.events if e.kind == "request_begin"]

        self.assertEqual(first(), [1])
        time.sleep(2)
        self.assertEqual(first(), [1])
        limits = periscope("timeline", "--limits", "16MB,1s", "-p", known.pid)
        self.assert_ok(limits)
        self.assertEqual(first(), [])
        # And back: what is gone is gone, what comes stays.
        self.assert_ok(periscope("timeline", "--limits", "16MB,1h", "-p", known.pid))
        known.do("b")
        time.sleep(1.5)
        self.assertEqual(first(), [2])
        self.assert_refused(
            periscope("timeline", "--limits", "16MB", "-p", known.pid), 2, "64MB,30s"
        )
        self.assert_ok(ended(tool))

    def test_bytes_on_disk(self):
        known = self.workload()
        tool = self.fly(known.pid, "--disk", "1MB", "--keep", "0", limits="1MB,1h")
        sizes, failed, dumps = [], 0, 0
        # Until one had to go, or had no room.
        while not failed and len(self.dumps(tool)) == dumps and len(sizes) < 40:
            known.do("f")
            asked = periscope("timeline", "--dump", "-p", known.pid)
            failed += asked.status != 0
            dumps += asked.status == 0
            sizes.append(sum(map(os.path.getsize, self.dumps(tool))))
        self.assertGreater(sizes[0], 0)
        self.assertLessEqual(max(sizes), 1 << 20)
        result = ended(tool)
        self.assertEqual(result.summary["failed"], failed)
        self.assertGreater(result.summary["removed"] + failed, 0, result)

    def test_several_at_once(self):
        """Two of one target, into one folder, for one cause: neither writes over the other's."""
        known = self.workload()
        folder = self.temp_dir()
        options = ("--trigger", "status>=500", "--after", "1ms")
        tools = [self.fly(known.pid, *options, folder=folder) for _ in range(2)]
        failed = known.do("s")["failed"][0]
        for tool in tools:
            self.wait_for_dumps(tool, 1)
        for tool in tools:
            result = ended(tool)
            self.assert_ok(result)
            self.assertEqual(result.summary["dumps"], 1, result)
        for path in self.dumps(tools[0]):
            _, marks = self.trace(path)
            self.assertEqual([m.fields["request"] for m in marks], [failed])
        self.assertEqual(len(os.listdir(folder)), 2)

    def test_killed_while_it_writes(self):
        """What is there under its name is whole; nothing else is there."""
        known = self.workload()
        tool = self.fly(
            known.pid, "--trigger", "status>=500", "--cooldown", "1ms", "--after", "1ms", "--keep", "0"
        )
        known.process.stdin.write("t")
        known.process.stdin.flush()
        self.wait_for_dumps(tool, 3)
        os.kill(tool.pid, signal.SIGKILL)
        tool.popen.wait()
        self.assertGreaterEqual(len(self.dumps(tool)), 3)
        self.assertEqual(len(os.listdir(tool.folder)), len(self.dumps(tool)))
        for path in self.dumps(tool):
            self.assertTrue(self.trace(path)[1])
        known.lines_until("done")


class Crash(Flight):
    def test_registers(self):
        """All of them, as the kernel gave them to the program's own handler for the same fault."""
        known = Told("crash_registers")
        self.addCleanup(known.__exit__)
        tool = self.fly(known.pid, "--trigger", "signal")
        known.process.stdin.write("go\n")
        known.process.stdin.flush()
        told = dict(line.split() for line in known.lines_until("done")[:-1])
        told = {name: int(value) for name, value in told.items()}
        fault = {name: told.pop(name) for name in ("signo", "code", "address", "tid")}
        result = tool.finish()
        self.assert_ok(result)
        self.assertEqual(self.causes(result), ["signal"], result)
        (path,) = self.dumps(tool)
        trace, (mark,) = self.trace(path)
        signals = [e for e in trace.events if e.kind == "signal" and e.tid == mark.tid]
        # The one that has a handler, and the same again, which ends the process.
        self.assertEqual([e.fields["flags"] for e in signals], [1, 0])
        for e in signals:
            self.assertEqual({**e.fields, "tid": e.tid}, {**e.fields, **fault})
            self.assertEqual(e.args, told)
            self.assertEqual(trace.stack(e.fields["stack"])[0], "fault_here")
        if "r15" in told:
            self.assertEqual(told["r15"], 0xEEEEEEEEEEEEEE2B)
        self.assertEqual(mark.tid, fault["tid"])
        self.assertEqual(mark.time, signals[1].time)
        rows = self.tables(path)["registers"]["tables"][0]["rows"]
        shown = {r["register"]: int(r["value"], 16) for r in rows[: len(told)]}
        self.assertEqual(shown, told)
        # Those of the thread that the kernel killed with it are there, too.
        others = [e for e in trace.events if e.kind == "signal" and e.tid != mark.tid]
        self.assertEqual([set(e.args) for e in others], [set(told)])
        with open(self.convert(path, ".json"), encoding="utf-8") as file:
            events = json.load(file)["traceEvents"]
        (last,) = [e for e in events if e.get("cat") == "signal" and e["tid"] == mark.tid][1:]
        self.assertEqual(int(last["args"][next(iter(told))], 16), next(iter(told.values())))

    def test_stacks_and_mappings(self):
        """The innermost frame is where the program counter was; each mapping is in the dump."""
        known = self.workload()
        tool = self.fly(known.pid, "--trigger", "signal")
        with open(f"/proc/{known.pid}/maps", encoding="ascii") as file:
            maps = re.findall(r"^(\w+)-(\w+) r.xp \w+ \S+ [1-9]\d* +(/.*)$", file.read(), re.M)
        known.die("d")
        result = tool.finish()
        self.assert_ok(result)
        trace, (mark,) = self.trace(self.dumps(tool)[0])
        fault = next(
            e for e in trace.events if e.kind == "signal" and e.fields["signo"] == signal.SIGSEGV
        )
        self.assertEqual((fault.tid, fault.fields["address"]), (mark.tid, 0))
        self.assertEqual(trace.stack(fault.fields["stack"])[:3], ["crash_here", "obey", "guilty"])
        told = {
            (start, end, trace.objects[number][0])
            for _, _, start, end, _, number in trace.mappings
            if number in trace.objects
        }
        for start, end, path in maps:
            self.assertIn((int(start, 16), int(end, 16), path), told)
        dying = {e.tid for e in trace.events if e.kind == "signal"}
        self.assertEqual(dying, {known.pid, mark.tid})
