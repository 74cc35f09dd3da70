# SPDX-License-Identifier: MIT
"""The timeline of programs whose requests are named on the command line, and of their allocations."""

import json
import os
import signal

import servers

from harness import WORKLOADS, Workload, periscope, wait_until
from test_requests import PIECES, POINTS
from test_timeline import Timeline, ended

WORKLOAD = os.path.join(WORKLOADS, "requests")


class Requests(Timeline):
    """tests/workloads/requests.c"""

    def of_command(self, kind, count, *options):
        """Records the workload from its first instruction; result, tables, events."""
        trace = os.path.join(self.temp_dir(), "t.periscope")
        result = periscope("timeline", *options, "-o", trace, "-o", trace + ".json", "--", WORKLOAD,
                           "0", kind, str(count))
        self.assert_ok(result)
        self.assertEqual(result.summary["lost"], 0, result)
        with open(trace + ".json", encoding="utf-8") as file:
            return result, self.tables(trace), json.load(file)["traceEvents"]

    @staticmethod
    def routes(sections, table="latency"):
        found = [t for t in sections["requests"]["tables"] if t["key"] == table]
        return {row["route"]: row for row in found[0]["rows"]}

    def test_pieces_in_one_thread(self):
        _, sections, events = self.of_command("interleave", 600, *POINTS, *PIECES)
        self.assertEqual(self.routes(sections)["interleaved"]["requests"], 600)
        row = self.routes(sections, "states")["interleaved"]
        times = [n for key, n in row.items() if key.endswith("_ns") and key != "latency_ns"]
        self.assertAlmostEqual(sum(times), row["latency_ns"], delta=600)
        # 200 at a time, each worked on for a two hundredth of its life.
        self.assertGreater(row["loop_ns"], row["latency_ns"] * 0.9)
        ends = [e for e in events if e.get("cat") == "request" and e["ph"] == "e"
                and "status" in e.get("args", {})]
        self.assertEqual({e["args"]["status"] for e in ends}, {200})

    def test_calls_of_a_function(self):
        _, sections, _ = self.of_command("latencies", 23, "--request", "spin(arg1:int)", "return")
        self.assertEqual(sum(row["requests"] for row in self.routes(sections).values()), 23)

    def test_ids_that_begin_again_or_never_end(self):
        _, sections, _ = self.of_command("ids", 13, *POINTS)
        rows = self.routes(sections)
        self.assertEqual((rows["ended"]["requests"], rows["begun again"]["requests"]), (13, 1))
        # 12 whose number was used again, and the one that was open at the end.
        self.assertEqual(sum(row["partial"] for row in rows.values()), 13)

    def test_what_is_not_there(self):
        with Workload("requests", ["allocs", "1"]) as workload:
            args = ["timeline", "-p", workload.pid, "1"]
            result = periscope(*args, "--request", "work:begim", "work:end")
            self.assert_refused(result, 1, "'work:begim'; similar: .*work:begin")
            result = periscope(*args, "--run", "work:run(arg1)")
            self.assert_refused(result, 2, "--run, --pause and --execute go with --request")
        result = periscope("timeline", "--request", "work:begim", "work:end", "--", WORKLOAD, "0",
                           "ids", "1")
        self.assertIn("no probe or function 'work:begim'", result.err)

    # ---- allocations ----

    def allocations(self, *options):
        with Workload("requests", ["allocs", "37"]) as workload:
            tool = self.record(workload, *POINTS, *PIECES, *options)
            os.kill(workload.pid, signal.SIGUSR1)
            wait_until(lambda: b"done" in os.read(workload.popen.stdout.fileno(), 100))
            result = ended(tool)
        self.assert_ok(result)
        return result, tool.trace

    def test_allocations_by_request_and_thread(self):
        result, trace = self.allocations("--alloc")
        sections = self.tables(trace)
        row = self.routes(sections)["allocates"]
        self.assertEqual((row["requests"], row["allocs"], row["allocated_bytes"]),
                         (37, 4 * 37, 1421 * 37))
        thread, = sections["threads"]["tables"][0]["rows"]
        # As much outside of requests.
        self.assertGreaterEqual(thread["allocs"], 8 * 37)
        self.assertGreaterEqual(thread["allocated_bytes"], 2 * 1421 * 37)
        self.assertEqual(result.summary["allocs"], thread["allocs"])
        facts = sections["summary"]["facts"]
        self.assertEqual((facts["allocations"], facts["allocated_bytes"]),
                         (thread["allocs"], thread["allocated_bytes"]))

    def test_allocations_of_a_command_are_counted_from_the_first_on(self):
        result, sections, events = self.of_command("allocs", 37, *POINTS, *PIECES, "--alloc")
        row = self.routes(sections)["allocates"]
        self.assertEqual((row["allocs"], row["allocated_bytes"]), (4 * 37, 1421 * 37))
        self.assertGreaterEqual(result.summary["allocs"], 8 * 37)
        # Each request ends with its own.
        ends = [e["args"] for e in events if e.get("cat") == "request" and e["ph"] == "e"
                and "status" in e.get("args", {})]
        self.assertEqual([(a["allocs"], a["allocated"]) for a in ends], [(4, 1421)] * 37)

    def test_without_alloc_nothing_is_said_of_it(self):
        result, trace = self.allocations()
        self.assertNotIn("allocs", result.summary)
        self.assertNotIn("allocs", self.routes(self.tables(trace))["allocates"])

    def test_rates_add_up_to_what_was_allocated(self):
        with Workload("heap_steady", ["paced"]) as workload:
            tool = self.record(workload, "--alloc", "--force")
            wait_until(lambda: os.path.getsize(tool.trace) > 20000, 20, "some allocations")
            result, events = self.finish(tool)
        self.assertEqual(result.summary["lost"], 0, result)
        rates = [(e["ts"], e["args"]["count"]) for e in events
                 if e["ph"] == "C" and e["name"] == "allocations a second"]
        rates.sort()
        # A rate holds until the next one; of the last, until when is not told.
        told = sum(rate * (to - at) / 1e6 for (at, rate), (to, _) in zip(rates, rates[1:]))
        self.assertGreater(told, 0)
        self.assertLessEqual(told, result.summary["allocs"] * 1.001 + 1)


class Databases(Timeline):
    def test_queries_of_postgresql(self):
        """Its probes are known; BEGIN and END come as often as transactions."""
        postgres = servers.Postgres(self)
        by_hand = ["--request", "postgresql:query__start(arg1:str)", "postgresql:query__done"]
        for options, each in (([], 53), (by_hand, 47)):
            tool = self.record(postgres, "--children", *options)
            postgres.pgbench("-c", "2", "-t", str(each), "-n")
            result = ended(tool)
            self.assert_ok(result)
            self.assertEqual(result.summary["lost"], 0, result)
            rows = Requests.routes(Requests.tables(self, tool.trace))
            self.assertEqual((rows["BEGIN;"]["requests"], rows["END;"]["requests"]),
                             (2 * each, 2 * each))
