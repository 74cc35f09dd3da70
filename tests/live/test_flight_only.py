# SPDX-License-Identifier: MIT
"""timeline --only: all events of the requests that matter, sums of the others, the rest counted."""

import collections
import json
import os

import servers
from harness import Tool
from test_flight import Flight
from test_timeline import ended

SLOW_NS = 150000000


class Requests:
    """The requests of a trace by id: begin, end, sums by kind (None: whole)."""

    def __init__(self, trace):
        self.begin, self.end, self.sums = {}, {}, {}
        for e in trace.events:
            number = e.fields.get("request")
            if e.kind == "request_begin":
                self.begin[number] = e
            elif e.kind == "request_sum":
                sums = self.sums.setdefault(number, collections.Counter())
                sums[e.fields["what"]] += sum(e.args.values())
            elif e.kind == "request_end" and number in self.begin:
                self.end[number] = e

    def latency(self, number):
        return self.end[number].time - self.begin[number].time

    def whole(self):
        return sorted(number for number in self.end if number not in self.sums)


class Only(Flight):
    def capture(self, pid, work, *options):
        path = self.path = os.path.join(self.temp_dir(), "t.periscope")
        tool = Tool("timeline", "-p", pid, "-v", *options, "-o", path, "100")
        self.addCleanup(tool.stop)
        tool.wait_capturing()
        told = work()
        result = ended(tool)
        self.assert_ok(result)
        self.assertEqual(result.summary["lost"], 0, result)
        trace, _ = self.trace(path)
        requests = Requests(trace)
        self.assertEqual(result.summary["whole"], len(requests.whole()), result)
        left_out = sum(e.fields["count"] for e in trace.events if e.kind == "left_out")
        self.assertEqual(result.summary["left-out"], left_out, result)
        # The two partitions: in states or queues, and in phases, which may be none.
        for number, sums in requests.sums.items():
            self.assertEqual(sums[0] + sums[1], requests.latency(number), number)
            self.assertLessEqual(sums[2], requests.latency(number))
        report = self.tables(path)
        routes = report["requests"]["tables"][0]["rows"]
        self.assertEqual(sum(r["requests"] for r in routes), len(requests.end))
        self.assertEqual(sum(r["partial"] + r["lost"] for r in routes), 0, routes)
        return result, trace, requests, told

    def test_slow_ones(self):
        known = self.workload()
        _, trace, requests, told = self.capture(
            known.pid, lambda: known.do("f"), "--only", "latency>150ms"
        )
        self.assertEqual(len(requests.end), 10000)
        whole = requests.whole()
        self.assertIn(told["slow"][0], whole)
        self.assertEqual(whole, [n for n in requests.end if requests.latency(n) > SLOW_NS])
        begin, end = requests.begin[whole[0]], requests.end[whole[0]]
        self.assertEqual(begin.args["method"], "GET")
        mine = [e for e in trace.events if e.tid == begin.tid and begin.time <= e.time <= end.time]
        kinds = collections.Counter(e.kind for e in mine)
        for kind in ("switch_out", "switch_in", "syscall_enter", "syscall_exit", "request_pause"):
            self.assertGreaterEqual(kinds[kind], 1, kinds)
        with open(self.convert(self.path, ".json"), encoding="utf-8") as file:
            shown = [e for e in json.load(file)["traceEvents"] if e.get("cat") == "left_out"]
        left_out = sum(e.fields["count"] for e in trace.events if e.kind == "left_out")
        self.assertEqual(sum(e["args"]["count"] for e in shown), left_out)
        self.assertEqual(len(shown), len(whole) + 1)  # before it, and after
        # Of the others nothing but their begins and ends.
        pauses = [e for e in trace.events if e.kind == "request_pause"]
        self.assertLessEqual({e.fields["request"] for e in pauses}, set(whole))

    def test_every_hundredth_and_those_that_fail(self):
        known = self.workload()
        result, _, requests, told = self.capture(
            known.pid,
            lambda: (known.do("f"), known.do("s"))[1],
            "--only",
            "1/100",
            "--only",
            "status>=500",
        )
        whole = requests.whole()
        self.assertEqual(whole, sorted([*range(1, 10101, 100), told["failed"][0]]))
        self.assertNotIn("late", result.summary)

    def test_coworkingd(self):
        """Phases, queues, threads that share a request: the sums of each add up to its latency."""
        server = servers.coworkingd(self)
        _, _, requests, _ = self.capture(
            server.process.pid,
            lambda: servers.load(server, "mix", "--seconds", "1"),
            "--only",
            "1/50",
        )
        self.assertGreater(len(requests.end), 50)
        self.assertGreaterEqual(len(requests.whole()), len(requests.end) // 50)
        self.assertTrue(any(sums[2] for sums in requests.sums.values()))
        self.assertTrue(any(sums[1] for sums in requests.sums.values()))

    def test_recorder(self):
        """The request that a trigger marks is whole, whatever --only wants."""
        known = self.workload()
        tool = self.fly(
            known.pid, "--trigger", "status>=500", "--only", "latency>10s", "--after", "1ms"
        )
        failed = known.do("s")["failed"][0]
        self.wait_for_dumps(tool, 1)
        result, trace, mark = self.once(tool, "status>=500")
        self.assertEqual(mark.fields["request"], failed)
        self.assertEqual(Requests(trace).whole(), [failed])
        self.assertGreater(result.summary["left-out"], 0, result)

    def test_refused(self):
        known = self.workload()
        for text in ("blocked>1s", "latency>fast", "1/0", "1/x", ""):
            tool = Tool("timeline", "-p", known.pid, "--only", text, "1")
            self.assert_refused(tool.finish(), 2, "--only")
            tool.stop()
