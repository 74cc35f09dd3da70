# SPDX-License-Identifier: MIT
"""periscope heap: what is allocated for requests, by route."""

import json
import os
import signal

import harness
import heap
import pprof
import servers

# The workload `requests` says what a request is by USDT probes of its own.
POINTS = ["--request", "work:begin(arg1, arg2:str)", "work:end(arg1)"]
PIECES = ["--run", "work:run(arg1)", "--pause", "work:pause(arg1)"]


class HeapRequests(heap.HeapTest):
    def setUp(self):
        directory = self.temp_dir()
        self.json = os.path.join(directory, "heap.json")
        self.pprof = os.path.join(directory, "heap.pb.gz")
        self.files = ["-o", self.json, "-o", self.pprof]

    def routes(self, path):
        """The rows of the table, by route; None without one."""
        with open(path, encoding="utf-8") as file:
            section = json.load(file)["sections"].get("routes")
        return section and {row["route"]: row for row in section["tables"][0]["rows"]}

    def labelled(self):
        """Allocations and bytes by the label `route` of the profile."""
        sums = {}
        for _, values, labels in pprof.read(self.pprof).samples:
            old = sums.get(labels.get("route"), (0, 0))
            sums[labels.get("route")] = (old[0] + values[0], old[1] + values[1])
        return sums


class Coworkingd(HeapRequests):
    def test_by_route(self):
        """The requests that the load has sent, and to the byte what `requests --alloc` counts."""
        server = servers.coworkingd(self)
        pid = server.process.pid
        other = os.path.join(self.temp_dir(), "requests.json")
        tool = self.capture("-p", pid, *self.files)
        with harness.Tool("requests", "--alloc", "-p", pid, "-v", "-o", other) as requests:
            requests.wait_capturing()
            sent = servers.load(server, "mix", "--seconds", "1", "--connections", "4")
            requests.popen.send_signal(signal.SIGINT)
            self.assert_ok(requests.finish())
        summary = self.assert_exact(self.end(tool))
        rows = self.routes(self.json)
        self.assertEqual({r: row["requests"] for r, row in rows.items() if r != "(no request)"}, sent)
        with open(other, encoding="utf-8") as file:
            use = json.load(file)["sections"]["use"]["tables"][0]["rows"]
        self.assertEqual(
            {row["route"]: (row["allocations"], row["allocated_bytes"]) for row in use},
            {r: (rows[r]["alloc_objects"], rows[r]["alloc_space_bytes"]) for r in sent},
        )
        self.assertEqual(sum(row["alloc_objects"] for row in rows.values()), summary["allocations"])
        labelled = self.labelled()
        labelled["(no request)"] = labelled.pop(None)
        self.assertEqual(
            labelled,
            {r: (row["alloc_objects"], row["alloc_space_bytes"]) for r, row in rows.items()},
        )


class Named(HeapRequests):
    """Requests that the user names."""

    def captured(self, *points):
        with harness.Workload("requests", ["allocs", "37"]) as workload:
            tool = self.capture("-p", workload.pid, *points, *self.files)
            os.kill(workload.pid, signal.SIGUSR1)
            harness.wait_until(lambda: b"done" in os.read(workload.popen.stdout.fileno(), 100))
            return self.end(tool)

    def test_by_probes(self):
        result = self.captured(*POINTS, *PIECES)
        self.assert_exact(result)
        rows = self.routes(self.json)
        inside = rows["(requests)"]
        self.assertEqual(
            (inside["requests"], inside["alloc_objects"], inside["alloc_space_bytes"]),
            (37, 4 * 37, 1421 * 37),
        )
        self.assertEqual((inside["alloc_objects_each"], inside["alloc_space_each"]), (4, 1421))
        self.assertGreaterEqual(rows["(no request)"]["alloc_objects"], 4 * 37)
        self.assertEqual(self.labelled()["(requests)"], (4 * 37, 1421 * 37))

    def test_without(self):
        """Of a program that tells nothing of requests, or of which they are not wanted."""
        for more in ([], ["--no-requests"]):
            self.assert_exact(self.captured(*more))
            self.assertIsNone(self.routes(self.json))
            self.assertEqual(list(self.labelled()), [None])

    def test_bad(self):
        with harness.Workload("requests", ["allocs", "37"]) as workload:
            begin, end = POINTS[1:]
            for args, status, words in (
                (["--request", begin], 2, ["two probes"]),
                (["--run", "work:run(arg1)"], 2, ["--request BEGIN END"]),
                ([*POINTS, "--no-requests"], 2, ["--no-requests"]),
                ([*POINTS, "--duty", "5%"], 2, ["--duty"]),
                (["--request", "work:began(arg1)", end], 1, ["work:began"]),
            ):
                result = harness.periscope("heap", *heap.FORCE, "-p", workload.pid, *args)
                self.assert_refused(result, status, *words)
