# SPDX-License-Identifier: MIT
"""periscope requests: on a workload that measures itself, coworkingd under load, and by functions.

Where times are compared, both sides measured the same interval; the workload's is the shorter one, by
what a probe takes.
"""

import collections
import json
import os
import re
import signal
import socket
import threading
import time

import servers

from heap import malloc_byte
from harness import (WORKLOADS, LiveTest, Tool, Workload, periscope, read_stat, stolen_ns,
                     wait_until)

POINTS = ["--request", "work:begin(arg1,arg2:str)", "work:end(arg1,arg2:status)"]
PIECES = ["--run", "work:run(arg1)", "--pause", "work:pause(arg1)"]
WORKLOAD = os.path.join(WORKLOADS, "requests")
NOT_TIMES = {"route", "requests", "mean_ns"}


class Requests(LiveTest):
    ns_for_probes = 4000  # between a probe's hit and the workload's own clock

    def capture(self, *args, timeout=60, **kwargs):
        """Runs periscope to its end; result, and its report by table."""
        report = os.path.join(self.temp_dir(), "report.json")
        index = args.index("--") if "--" in args else len(args)
        result = periscope("requests", *args[:index], "-o", report, *args[index:],
                           timeout=timeout, **kwargs)
        self.assert_ok(result)
        with open(report, encoding="utf-8") as file:
            return result, json.load(file)

    def workload(self, kind, count, *args, points=(*POINTS, *PIECES)):
        # Where the kernel keeps a switch to itself, its time and its stack are nobody's: once more.
        for _ in range(10):
            self.stolen = stolen_ns()
            result, report = self.capture(*points, *args, "--", WORKLOAD, "0", kind, str(count))
            self.stolen = stolen_ns() - self.stolen
            if not result.summary.get("unreported"):
                break
        self.assertEqual(result.summary["lost"], 0, result)
        return result, report, self.told(result)

    def assert_cpu(self, states, told, hits):
        """A thread's own clock stands still while the host takes the CPU; for us it is on it."""
        self.assertGreaterEqual(states["on_cpu"], told["cpu"] * 0.99 - hits * self.ns_for_probes)
        self.assertLessEqual(states["on_cpu"],
                             told["cpu"] * 1.01 + hits * self.ns_for_probes + self.stolen)

    @staticmethod
    def told(result):
        """What the workload said of itself: "sum KEY VALUE", "latency ID NS"."""
        found = re.findall(r"^(sum|latency) (\w+) (\d+)$", result.out, re.MULTILINE)
        sums = {key: int(value) for kind, key, value in found if kind == "sum"}
        sums["latencies"] = [int(value) for kind, _, value in found if kind == "latency"]
        return sums

    def table(self, report, key, section="requests"):
        return self.rows(report, section, key)

    def routes(self, report):
        return {row["route"]: row for row in self.table(report, "routes")}

    def states(self, report, key="states"):
        """Sums over all requests, by state; and that they are the latency, in each route."""
        sums = collections.Counter()
        for row in self.table(report, key):
            times = {name: ns for name, ns in row.items() if name not in NOT_TIMES}
            # Means are rounded, each for itself.
            self.assertAlmostEqual(sum(times.values()), row["mean_ns"], delta=len(times), msg=row)
            for name, mean in times.items():
                sums[name.removesuffix("_ns")] += mean * row["requests"]
            sums["latency"] += row["mean_ns"] * row["requests"]
        return sums

    def assert_within(self, value, expected, share=0.01, also=0):
        self.assertLessEqual(abs(value - expected), expected * share + also, (value, expected))


class KnownTimes(Requests):
    def test_each_kind_of_wait(self):
        result, report, told = self.workload("waits", 30)
        routes, states = self.routes(report), self.states(report)
        self.assertEqual({name: row["requests"] for name, row in routes.items()},
                         {"plain": 20, "third": 10})
        self.assertEqual(routes["third"]["status_5xx"], 10)
        self.assertEqual(routes["plain"]["status_2xx"], 20)
        # Whoever takes the CPU away beside a probe is not in the workload's own time.
        self.assertLessEqual(told["latency"], states["latency"])
        self.assertLessEqual(states["latency"] - states["runnable"],
                             told["latency"] * 1.01 + 30 * self.ns_for_probes + self.stolen)
        self.assert_cpu(states, told, 30)
        # A thread that is woken may have to wait for a CPU: in its own clock, but not blocked.
        blocked = {"sleep": "sleep", "lock": "lock", "pipe": "other_wait", "socket": "network"}
        for kind, state in blocked.items():
            self.assertLessEqual(states[state], told[kind] * 1.01, kind)
        own = sum(told[kind] for kind in blocked)
        seen = sum(states[state] for state in blocked.values())
        in_calls = told["cpu"] - 30 * 20e6  # CPU time that is not for spinning
        self.assertGreaterEqual(seen, 0.99 * (own - states["runnable"] - in_calls))
        # The kernel wakes a sleeper in time, whoever else wants the CPU then.
        self.assertGreaterEqual(states["sleep"], 30 * 20e6 * 0.99)
        self.assertEqual(set(states) - set(blocked.values()) - {"latency", "on_cpu", "runnable"},
                         set(), "waits that were not asked for")
        use = self.table(report, "use", "use")
        self.assertGreaterEqual(sum(row["waits"] for row in use), 30 * 4)
        self.assertEqual(result.summary["hits"], 60)

    def test_percentiles(self):
        _, report, told = self.workload("latencies", 400)
        raw = sorted(told["latencies"])
        row = self.routes(report)["latency"]
        self.assertEqual((len(raw), row["requests"]), (400, 400))
        for name, share in (("p50_ns", 0.5), ("p90_ns", 0.9), ("p99_ns", 0.99)):
            rank = int(-(-share * len(raw) // 1)) - 1
            # One that lost the CPU right beside a probe may stand a few ranks away.
            low, high = raw[max(0, rank - 2)], raw[min(len(raw) - 1, rank + 2)]
            self.assertGreaterEqual(row[name], low * 0.99, name)
            self.assertLessEqual(row[name], high * 1.01 + self.ns_for_probes, name)
        self.assertGreaterEqual(row["max_ns"], raw[-1])

    def test_200_interleaved_in_one_thread(self):
        result, report, told = self.workload("interleave", 600)
        states = self.states(report)
        self.assertEqual(self.routes(report)["interleaved"]["requests"], 600)
        self.assert_within(states["latency"], told["latency"], also=states["runnable"])
        self.assert_cpu(states, told, 5 * 600)
        self.assertGreater(states["loop"], states["latency"] * 0.9)
        use = self.table(report, "use", "use")[0]
        self.assertEqual((use["pieces"], use["moves"]), (5 * 600, 0))
        self.assertEqual(result.summary["hits"], 10 * 600)

    def test_a_request_that_moves_between_threads(self):
        _, report, told = self.workload("move", 200)
        states = self.states(report)
        use = self.table(report, "use", "use")[0]
        self.assertEqual((use["requests"], use["pieces"], use["moves"]), (200, 600, 400))
        self.assert_cpu(states, told, 3 * 200)

    def test_allocations(self):
        with Workload("requests", ["allocs", "37"]) as workload:
            _, report, _ = self.watch_while("requests", workload.signal_until_done, "-p", workload.pid,
                                      *POINTS, *PIECES, "--alloc")
        row, = self.table(report, "use", "use")
        self.assertEqual((row["requests"], row["allocations"], row["allocated_bytes"]),
                         (37, 4 * 37, 1421 * 37))
        self.assertEqual((row["allocations_each"], row["allocated_each_bytes"]), (4, 1421))

    def test_allocations_that_cost_too_much(self):
        workload = self.start("heap_steady", "busy")
        before = malloc_byte(workload.pid)
        result = periscope("requests", "-p", workload.pid, "--request", "libc:malloc", "return",
                           "--alloc", 1)
        self.assert_refused(result, 1, "allocations a second", r"--max-overhead is 10\.0%", "--force")
        self.assertEqual(malloc_byte(workload.pid), before)

    def test_without_pieces_nothing_is_claimed_of_a_request_that_left_its_thread(self):
        _, report, _ = self.workload("move", 50, points=POINTS)
        row = self.table(report, "states")[0]
        self.assertEqual(row["requests"], 50)
        # Their first thread has gone on to the next one, except perhaps for the last.
        self.assertGreaterEqual(row["not_known_ns"], row["mean_ns"] * 0.9)
        self.assertIn("--run and --pause", " ".join(report["sections"]["requests"]["notes"]))

    def test_ids(self):
        result, report, _ = self.workload("ids", 13)
        self.assertEqual({name: row["requests"] for name, row in self.routes(report).items()},
                         {"ended": 13, "begun again": 1})
        summary = result.summary
        self.assertEqual((summary["no-start"], summary["open"], summary["reused-ids"]), (13, 1, 12))
        row, = self.table(report, "open", "open")
        self.assertEqual((row["request"], row["id"], row["state"]),
                         ("never ends", 8, "behind loop"))
        self.assertGreater(row["age_ns"], 0)


class Details(Requests):
    def slow(self, report):
        fall, = report["sections"]["slow"]["waterfalls"]
        return fall["traces"]

    def test_the_failed_ones_with_a_stack_at_each_wait(self):
        # Before others: each time that these get the CPU is a change more.
        before = os.getpriority(os.PRIO_PROCESS, 0)
        os.setpriority(os.PRIO_PROCESS, 0, -20)
        self.addCleanup(os.setpriority, os.PRIO_PROCESS, 0, before)
        for _ in range(10):
            result, report, _ = self.workload("waits", 9, "--status", "5xx", "--slowest", "2")
            self.assertEqual(result.summary["matched"], 3)
            traces = self.slow(report)
            # Somebody else wanted the CPU dozens of times: what came last has no room.
            if not any("not kept" in trace["note"] for trace in traces):
                break
        self.assertEqual([trace["name"] for trace in traces], ["third", "third"])
        self.assertGreaterEqual(traces[0]["total_ns"], traces[1]["total_ns"])
        for trace in traces:
            spans = trace["spans"]
            self.assertEqual(sum(span["duration_ns"] for span in spans), trace["total_ns"])
            for wait, frame in (("sleep", "sleep_ns"), ("lock", "wait_lock"),
                                ("network", "wait_socket"), ("other wait", "wait_pipe")):
                stacks = ["\n".join(span["detail"]) for span in spans
                          if span["class"] == wait and span["duration_ns"] > 5e6]
                below = rf"\n{frame}\n(.*\n)*main\n(.*\n)*_start$"
                found = [stack for stack in stacks if re.search(below, stack)]
                self.assertTrue(found, (wait, traces))
                self.assertIn("do_syscall_64", found[0])
                self.assertNotIn("bpf_", found[0])

    def test_the_slow_ones_only(self):
        result, report, told = self.workload("latencies", 60, "--slow", "2ms", "--slowest", "1000")
        least = sum(ns >= 2e6 for ns in told["latencies"])
        most = sum(ns >= 2e6 - 10 * self.ns_for_probes for ns in told["latencies"])
        self.assertTrue(least <= result.summary["matched"] <= most + 2, result)
        self.assertEqual(len(self.slow(report)), result.summary["matched"])

    def test_none_that_matches(self):
        result, report, _ = self.workload("ids", 3, "--slow", "50s")
        self.assertEqual(result.summary["matched"], 0)
        self.assertNotIn("slow", report["sections"])


class Functions(Requests):
    def test_beginning_and_end_by_name(self):
        points = ["--request", "work_begin(arg1,arg2:str)", "work_end(arg1,arg2:status)"]
        _, report, _ = self.workload("waits", 6, points=points)
        routes = self.routes(report)
        self.assertEqual({name: row["requests"] for name, row in routes.items()},
                         {"plain": 4, "third": 2})
        self.assertEqual(routes["third"]["status_5xx"], 2)

    def test_names_that_are_numbers(self):
        points = ["--request", "work_begin(arg1,arg3:int)", "work_end(arg1)"]
        _, report, _ = self.workload("waits", 6, points=points)
        self.assertEqual({name: row["requests"] for name, row in self.routes(report).items()}, {"3": 6})

    def test_entry_and_return(self):
        _, report, told = self.workload("latencies", 50, points=["--request", "spin", "return"])
        row = self.routes(report)["spin"]
        self.assertEqual(row["requests"], 50)
        self.assertGreaterEqual(row["max_ns"], 0.99 * max(told["latencies"]))

    def test_a_library_from_its_first_call_on(self):
        """A command's libraries are probed as they are mapped: it would be over otherwise."""
        for _ in range(3):
            result = periscope("requests", "--request", "libc:setlocale", "return", "--", "echo", "x",
                               timeout=60)
            self.assertEqual(self.assert_ok(result).summary["requests"], 1, result)

    def test_folded(self):
        result = periscope("requests", *POINTS, *PIECES, "-f", "--", WORKLOAD, "0", "waits", "3",
                           timeout=60)
        self.assert_ok(result)
        lines = [line for line in result.out.splitlines() if ";" in line]
        self.assertTrue(all(re.fullmatch(r"requests;(plain|third);[a-zA-Z ]+ \d+", line)
                            for line in lines), result)
        sleeping = sum(int(line.split()[-1]) for line in lines if ";sleep " in line)
        self.assert_within(sleeping, 60000, 0.5)


class BadInput(Requests):
    def refuse(self, *args, status, words):
        result = periscope("requests", *args, timeout=60)
        self.assert_refused(result, status, *words)

    def test_command_lines(self):
        for args, words in (
                (["--request", "a:b"], ["wants two probes"]),
                (["--request", "a:b(arg0)", "c"], ["not arg1"]),
                (["--request", "a", "b(arg1)"], ["the end has an id"]),
                (["--run", "a:b(arg1)"], ["go with --request"]),
                (["--execute", "a:b"], ["go with --request"]),
                (["--request", "a:b", "null"], ["there is a name"]),
                (["--request", "a:b", "c", "--execute", "d"], ["goes with --request BEGIN null"]),
                (["--status", "6xx"], ["--status wants"]),
                (["--slow", "soon"], ["--slow wants"]),
                (["--tid", "1"], ["any thread"]),
                (["-i", "1", "-f"], ["-i"])):
            with self.subTest(args=args):
                target = [] if "--tid" in args else ["-p", str(os.getpid())]
                self.refuse(*target, "1", *args, status=2, words=words)

    def test_no_such_probe(self):
        workload = self.start_requests()
        self.refuse("-p", workload.pid, "--request", "work:begni(arg1)", "work:end(arg1)", "1",
                    status=1, words=["no probe or function 'work:begni'", "work:begin"])
        self.refuse("-p", workload.pid, "--request", "nothing_like_it", "return", "1",
                    status=1, words=["no probe or function 'nothing_like_it'", "work:begin"])

    def test_a_program_that_tells_of_no_requests(self):
        workload = self.start_requests()
        self.refuse("-p", workload.pid, "1", status=1,
                    words=["no probes that tell of requests", "--request", "work:begin"])

    def test_arguments_that_are_not_there(self):
        """The id must be; without a name, a request is known by its probe."""
        workload = self.start_requests()
        self.refuse("-p", workload.pid, "--request", "work:begin(arg9)", "work:end(arg1)", "1",
                    status=1, words=["arg9 is not there, it has 3"])
        result, report, _ = self.workload(
            "ids", 3, points=["--request", "work:begin(arg1,arg9:str)", "work:end(arg1)"])
        self.assertEqual(list(self.routes(report)), ["work:begin"])
        self.assertIn("arg9 is not there, it has 3: left out", result.err)

    def start_requests(self):
        workload = Workload("requests", ["ids", "1"])
        self.addCleanup(workload.stop)
        return workload


class Coworkingd(Requests):
    """Counts of every route are the load generator's, exactly."""

    def watch_load(self, server, load, *args):
        return self.watch_while("requests", lambda: servers.load(server, *load), "-p",
                          server.process.pid, *args)

    def assert_all(self, result, report, sent):
        self.assertEqual((result.summary["lost"], result.summary["no-start"],
                          result.summary["open"]), (0, 0, 0), result)
        self.assertNotIn("inconsistent", result.summary)
        routes = self.routes(report)
        self.assertEqual({name: row["requests"] for name, row in routes.items()}, sent)
        self.assertEqual(sum(row["status_4xx"] + row["status_5xx"] + row["aborted"]
                             for row in routes.values()), 0)
        states, phases = self.states(report), self.states(report, "phases")
        self.assertEqual(states["latency"], phases["latency"])
        return states, phases

    def test_counts_are_the_loads(self):
        server = servers.coworkingd(self)
        result, report, sent = self.watch_load(server, ["mix", "--seconds", "3"])
        states, _ = self.assert_all(result, report, sent)
        for state in ("on_cpu", "writer_queue", "commit", "reply", "loop", "sending", "hash_queue"):
            self.assertGreater(states[state], 0, state)
        calls = collections.Counter()
        for row in self.table(report, "statements", "sql"):
            calls[row["statement"].split()[0], row["route"]] += row["calls"]
        self.assertEqual(calls["INSERT", "POST /bookings"], sent["POST /bookings"])
        self.assertEqual(calls["DELETE", "DELETE /bookings/*"], sent["DELETE /bookings/*"])
        self.assertEqual(calls["SELECT", "GET /rooms"], sent["GET /rooms"])
        self.assertEqual(calls["COMMIT", "(no request's)"], calls["BEGIN", "(no request's)"])

    def test_hits_of_a_simple_read(self):
        server = servers.coworkingd(self)
        for args, hits in (([], 2), (["--slow", "100s"], 5)):
            result, report, sent = self.watch_load(server, ["reads", "--seconds", "1"], *args)
            self.assert_all(result, report, sent)
            for row in self.table(report, "use", "use"):
                if row["route"].startswith("GET /rooms"):
                    self.assertEqual(row["hits"], hits * row["requests"], row)

    def test_the_account_tells_what_the_probes_tell(self):
        """Two captures of the same requests, the one by the server's account, the other as it happens."""
        server = servers.coworkingd(self)

        def both():
            return self.watch_load(server, ["mix", "--seconds", "2"])

        all_told, as_it_happens, (by_account, account, sent) = self.watch_while(
            "requests", both, "-p", server.process.pid, "--slow", "100s")
        for result, report in ((by_account, account), (all_told, as_it_happens)):
            self.assert_all(result, report, sent)
            self.assertNotIn("unreadable-arguments", result.summary)
            # Only if its loop lost its CPU time and again while an answer was sent.
            self.assertLess(result.summary.get("unsettled", 0), result.summary["requests"] / 100)
        self.assertLess(by_account.summary["hits"], all_told.summary["hits"])
        tables = []
        for report in (account, as_it_happens):
            keys = ("route", "status_2xx", "status_4xx", "aborted")
            routes = [[row[key] for key in keys] for row in self.table(report, "routes")]
            use = [[row[key] for key in ("route", "requests", "pieces", "moves")]
                   for row in self.table(report, "use", "use")]
            sql = [[row[key] for key in ("statement", "route", "calls", "rows", "steps")]
                   for row in self.table(report, "statements", "sql")]
            tables.append([sorted(routes), sorted(use), sorted(sql)])
        self.assertEqual(*tables)

    def test_an_answer_that_nobody_reads(self):
        """It is being sent meanwhile, whatever its loop does; and is told of at its end."""
        server = servers.coworkingd(self)
        count, wait = 4000, 0.3
        request = b"GET /rooms HTTP/1.1\r\nHost: x\r\n"
        data = (request + b"\r\n") * (count - 1) + request + b"Connection: close\r\n\r\n"

        def asleep():
            tids = os.listdir(f"/proc/{server.process.pid}/task")
            return all(read_stat(f"{server.process.pid}/task/{tid}")[0] == "S" for tid in tids)

        def read_late():
            with socket.socket() as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.connect(("127.0.0.1", server.port))
                client.setblocking(False)
                sent = 0
                while sent < len(data):
                    try:
                        sent += client.send(data[sent:])
                    except BlockingIOError:
                        break
                # It has requests to read, and nothing to do but to wait for us.
                client.settimeout(60)
                wait_until(lambda: asleep() and client.recv(1, socket.MSG_PEEK) and asleep(), 30,
                           "the server to wait")
                time.sleep(wait)
                rest = threading.Thread(target=client.sendall, args=(data[sent:],))
                rest.start()
                while client.recv(1 << 20):
                    pass
                rest.join()

        result, report, _ = self.watch_while("requests", read_late, "-p", server.process.pid)
        states, _ = self.assert_all(result, report, {"GET /rooms": count})
        self.assertGreaterEqual(self.routes(report)["GET /rooms"]["max_ns"], wait * 1e9)
        self.assertGreaterEqual(states["sending"], wait * 1e9)
        self.assertEqual(states["poll"], 0)

    def test_phases(self):
        server = servers.coworkingd(self)
        result, report, sent = self.watch_load(server, ["mix", "--seconds", "2"], "--phases",
                                               "--syscalls")
        _, phases = self.assert_all(result, report, sent)
        for phase in ("parse", "auth", "sql", "hash", "json", "send", "other"):
            self.assertGreater(phases[phase], 0, phase)
        rows = {row["route"]: row for row in self.table(report, "phases")}
        self.assertEqual(rows["GET /rooms"]["auth_ns"], 0)
        self.assertGreater(rows["GET /bookings"]["auth_ns"], 0)
        # argon2id with 19 MB takes that long on any machine
        self.assertGreater(rows["POST /auth/login"]["hash_ns"], 2e6)
        for row in self.table(report, "use", "use"):
            self.assertGreater(row["syscalls"], 0, row)


class Programs(Requests):
    """Nothing in them was written for periscope."""

    def follow(self, points, work, *args):
        result, report, _ = self.watch_while("requests", work, *args, *points)
        self.assertEqual(result.summary["lost"], 0, result)
        return result, report

    def test_nginx_functions_by_name(self):
        nginx = servers.Nginx(self)
        points = ["--request", "ngx_http_process_request(arg1)", "ngx_http_free_request(arg1)"]
        paths = ["/a.txt"] * 60 + ["/none"] * 11
        _, report = self.follow(points, lambda: nginx.get(*paths), "-p", nginx.pid, "--children")
        self.assertEqual(self.routes(report)["ngx_http_process_request"]["requests"], 71)
        states = self.states(report)
        self.assertGreater(states["on_cpu"], 0)
