# SPDX-License-Identifier: MIT
"""periscope convert: what it makes of traces in which every number is known.

Each format is read by a reader that shares no code with periscope, and the sums of what it finds are
compared with what build/make_trace says that it put in.  python3 tests/convert/test_convert.py BUILD
"""

import collections
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path[:0] = [HERE, os.path.join(HERE, "..", "live")]
import pprof  # noqa: E402
import pftrace  # noqa: E402
import tracefile  # noqa: E402

BUILD = os.path.abspath("build")
WAITS = ("futex", "epoll", "network", "disk", "sleep", "fault", "other", "runnable", "preempted")
START = 5_000_000_000_000


class Trace:
    """A trace in a folder of its own, what is known of it, and what convert makes of it."""

    def __init__(self, *options, events=20000):
        self.folder = tempfile.mkdtemp(prefix="periscope-convert.")
        self.path = os.path.join(self.folder, "t.periscope")
        told = subprocess.run(
            [BUILD + "/make_trace", str(events), self.path, *options],
            check=True, stdout=subprocess.PIPE,
        ).stdout
        self.truth = json.loads(told)

    def convert(self, name, *options):
        """The path of the file that was made."""
        path = os.path.join(self.folder, name)
        result = convert(self.path, "-o", path, *options)
        assert result.returncode == 0 and not result.stderr, result
        return path

    def json(self, name, *options):
        with open(self.convert(name, *options), encoding="utf-8") as file:
            return json.load(file)

    def remove(self):
        shutil.rmtree(self.folder)


def convert(*arguments):
    return subprocess.run(
        [BUILD + "/periscope", "convert", *arguments],
        capture_output=True, timeout=120, text=True, check=False,
    )


def us(value):
    """A time of Chrome's format, in ns."""
    return round(value * 1000)


class Known(unittest.TestCase):
    """One trace without losses for all tests."""

    @classmethod
    def setUpClass(cls):
        cls.trace = Trace("--loops", "3", "--seed", "11")
        cls.truth = cls.trace.truth

    @classmethod
    def tearDownClass(cls):
        cls.trace.remove()

    def threads(self):
        return {t["tid"]: t for t in self.truth["threads"]}

    def running(self, thread):
        return thread["states"]["user"] + thread["states"]["syscall"]


class File(Known):
    def test_header_says_the_same_as_the_events(self):
        t = tracefile.Trace(self.trace.path)
        self.assertEqual(len(t.events), self.truth["events"])
        self.assertEqual(t.header.end - t.header.start, self.truth["span"])
        self.assertEqual(t.header.index, t.chunks[-1][0])
        self.assertEqual(t.size, os.path.getsize(self.trace.path))
        # The kinds and fields of the file's own table.
        kinds = collections.Counter(e.kind for e in t.events)
        syscalls = sum(thread["syscalls"] for thread in self.truth["threads"])
        self.assertEqual(kinds["syscall_enter"], syscalls)
        self.assertEqual(kinds["request_begin"], self.truth["requests"])
        paths = {e.args["path"] for e in t.events if e.kind == "request_begin"}
        self.assertEqual(paths, {f"/rooms/{n}" for n in range(self.truth["requests"])})
        waits = [e for e in t.events if e.kind == "switch_out" and e.fields["state"] == 5]
        self.assertEqual(
            t.stack(waits[0].fields["stack"]),
            ["futex_wait", "wait_for_work", "handle_one", "run_loop", "main"],
        )

    def test_bytes_an_event(self):
        self.assertLess(os.path.getsize(self.trace.path), 24 * self.truth["events"])


class Pftrace(Known):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.path = cls.trace.convert("t.pftrace")
        cls.p = pftrace.Pftrace(cls.path)
        cls.tids = {u: t["tid"] for u, t in cls.p.tracks.items() if "tid" in t}

    def test_cpus_have_the_time_of_threads(self):
        ran = collections.Counter()
        for run in self.p.runs:
            ran[run.tid] += run.end - run.start
        self.assertEqual(ran, {t: self.running(of) for t, of in self.threads().items()})
        # The kernel's letters: blocked on a disk is uninterruptible, preempted 0x100.
        states = collections.Counter(run.state for run in self.p.runs)
        self.assertLessEqual(set(states), {0, 1, 2, 0x100})
        self.assertTrue(states[2] and states[0x100])

    def test_states_of_threads(self):
        for tid, thread in self.threads().items():
            (track,) = (u for u, t in self.p.tracks.items()
                        if t["name"] == "off CPU" and self.tids[t["parent"]] == tid)
            found = collections.Counter()
            end = 0
            for s in sorted((s for s in self.p.slices if s.track == track), key=lambda s: s.start):
                self.assertGreaterEqual(s.start, end)
                end = s.end
                found[s.name] += s.end - s.start
                if s.name in ("futex", "epoll", "disk"):
                    self.assertEqual(s.stack[0], "main")
                    self.assertEqual(s.stack[-2], "wait_for_work")
            self.assertEqual(found, {n: ns for n, ns in thread["states"].items() if n in WAITS})

    def test_syscalls_and_spans_are_in_one_another(self):
        calls = collections.Counter()
        for s in self.p.slices:
            if s.category == ["syscall"] and "arg0" in s.args:
                calls[self.tids[s.track]] += 1
        self.assertEqual(calls, {t["tid"]: t["syscalls"] for t in self.truth["threads"]})
        spans = [s for s in self.p.slices if s.category == ["sql"]]
        self.assertTrue(spans)
        for s in spans:
            self.assertEqual(s.name, "db.stmt")
            self.assertEqual(s.args, {"sql": "SELECT id, name FROM rooms WHERE id = ?1", "rows": 3})
            self.assertTrue(s.correlation)

    def test_requests_with_their_phases_and_waits(self):
        requests = [s for s in self.p.slices if s.category == ["request"]]
        self.assertEqual(len(requests), self.truth["requests"])
        by_number = {s.correlation: s for s in requests}
        self.assertEqual(len(by_number), len(requests))
        for route in self.truth["routes"]:
            mine = [s for s in requests if s.name == route["route"]]
            self.assertEqual(len(mine), route["count"])
            self.assertEqual(sum(s.end - s.start for s in mine), route["latency"])
            self.assertTrue(all(self.p.tracks[s.track]["name"] == s.name for s in mine))
        sums = collections.Counter()
        for s in self.p.slices:
            if s.correlation and s.category[0] in ("phase", "state"):
                request = by_number[s.correlation]
                if s.track == request.track:
                    self.assertTrue(request.start <= s.start <= s.end <= request.end)
                    sums[s.name] += s.end - s.start
        for kind in ("phases", "states"):
            all_routes = collections.Counter()
            for route in self.truth["routes"]:
                all_routes.update(route[kind])
            for name, ns in all_routes.items():
                # Loop and outside are parts of one wait; "" is no phase.
                if ns and name not in ("", "user", "syscall", "loop", "outside"):
                    self.assertEqual(sums[name], ns, name)
            if kind == "states":
                paused = all_routes["loop"] + all_routes["outside"]
                self.assertEqual(sums["loop"] + sums["outside"], paused)
                told = sum(s.args.get("loop_ns", 0) for s in self.p.slices)
                self.assertEqual(told, all_routes["loop"])
        queued = [s for s in self.p.slices if s.name == "queued"]
        self.assertTrue(queued and all(s.args["queue"] == "writer" for s in queued))

    def test_wakeups(self):
        woken = collections.Counter(w.tid for w in self.p.wakings)
        self.assertEqual(woken, {t["tid"]: t["wakeups"] for t in self.truth["threads"]})
        begun = [f for m in self.p.moments for f in m.flows]
        ended = [f for s in self.p.slices for f in s.ended]
        self.assertEqual(len(begun), len(set(begun)))
        self.assertEqual(sorted(begun), sorted(ended))
        self.assertTrue(begun)
        where = {f: s for s in self.p.slices for f in s.ended}
        for m in self.p.moments:
            for flow in m.flows:
                self.assertEqual(m.name, "wakes")
                self.assertEqual(where[flow].start, m.time)
                self.assertEqual(where[flow].name, "runnable")
                self.assertEqual(where[flow].args["waker"], self.tids[m.track])

    def test_samples_and_counters(self):
        samples = collections.Counter(s.tid for s in self.p.samples)
        self.assertEqual(
            samples, {t["tid"]: t["samples"] for t in self.truth["threads"] if t["samples"]}
        )
        # Outermost first, inlined functions, too.
        for s in self.p.samples:
            self.assertEqual(s.stack, ["main", "run_loop", "handle_one", "sqlite3_step"])
            self.assertEqual(s.weight, 1001001)
        names = {self.p.tracks[u]["name"]: v for u, v in self.p.counters.items()}
        self.assertIn(max(v for _, v in names["requests in flight"]), range(2, 7))
        self.assertEqual(names["requests in flight"][-1][1], 0)
        self.assertEqual(names["resident memory"][0], (0, 10000000))
        # It grows by a fiftieth of the time, and is drawn as what it grows by in a second.
        rates = [v for _, v in names["time in the allocator a second"]]
        self.assertGreater(len(rates), 2)
        for rate in rates:
            self.assertAlmostEqual(rate, 10**9 // 50, delta=1000)

    def test_clocks_and_raw(self):
        self.assertEqual(self.p.clocks, {6: 0, 1: 1700000000000000000, 3: START})
        self.assertEqual(self.p.dropped_packets, 0)
        with open(self.path, "rb") as file:
            raw = subprocess.run(["protoc", "--decode_raw"], stdin=file, capture_output=True,
                                 timeout=120, check=False)
        self.assertEqual(raw.returncode, 0, raw.stderr)


class Chrome(Known):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.all = cls.trace.json("t.json")
        cls.events = cls.all["traceEvents"]

    def slices(self):
        rows = collections.defaultdict(list)
        for e in self.events:
            if e["ph"] == "X":
                rows[e["pid"], e["tid"]].append((us(e["ts"]), us(e["ts"]) + us(e["dur"]), e))
        return rows

    def test_no_slice_overlaps_another(self):
        for row in self.slices().values():
            opened = []
            # The longer first, as viewers have it.
            for start, end, e in sorted(row, key=lambda s: (s[0], -s[1])):
                while opened and opened[-1] <= start:
                    opened.pop()
                self.assertTrue(not opened or end <= opened[-1], e)
                opened.append(end)

    def test_threads(self):
        rows = self.slices()
        for tid, thread in self.threads().items():
            found, calls = collections.Counter(), 0
            for start, end, e in rows[1000, tid]:
                if e["cat"] == "state":
                    found[e["name"]] += end - start
                calls += e["cat"] == "syscall" and "arg0" in e["args"]
            self.assertEqual(found, {n: ns for n, ns in thread["states"].items() if n in WAITS})
            self.assertEqual(calls, thread["syscalls"])
        ran = collections.Counter()
        for (pid, _), row in rows.items():
            for start, end, e in row:
                if pid == 0:
                    ran[e["args"]["tid"]] += end - start
        self.assertEqual(ran, {t: self.running(of) for t, of in self.threads().items()})
        waits = [e for e in self.events if e["name"] == "futex"]
        self.assertEqual(
            waits[0]["args"]["stack"],
            "futex_wait < wait_for_work < handle_one < run_loop < main",
        )

    def test_names(self):
        names = {(e["name"], e["pid"], e["tid"]): e["args"]["name"]
                 for e in self.events if e["ph"] == "M" and "name" in e["args"]}
        for tid, thread in self.threads().items():
            self.assertEqual(names["thread_name", 1000, tid], thread["name"])
            self.assertEqual(names["process_name", 1000, tid], "server")
        self.assertEqual(names["thread_name", 0, 2], "CPU 2")

    def test_requests(self):
        opened, sums, count = {}, collections.Counter(), collections.Counter()
        for e in self.events:
            if e["ph"] == "b" and e["cat"] == "request":
                opened.setdefault(e["id"], []).append(e)
            elif e["ph"] == "e" and e["cat"] == "request":
                begun = opened[e["id"]].pop()
                self.assertEqual(begun["name"], e["name"])
                if not opened[e["id"]]:
                    sums[e["name"]] += us(e["ts"]) - us(begun["ts"])
                    count[e["name"]] += 1
        self.assertFalse(any(opened.values()))
        self.assertEqual(count, {r["route"]: r["count"] for r in self.truth["routes"]})
        self.assertEqual(sums, {r["route"]: r["latency"] for r in self.truth["routes"]})

    def test_flows(self):
        ends = collections.defaultdict(dict)
        for e in self.events:
            if e["ph"] in "sf":
                ends[e["id"]][e["ph"]] = e
        self.assertTrue(ends)
        for pair in ends.values():
            self.assertEqual(set(pair), {"s", "f"})
            self.assertEqual(pair["s"]["ts"], pair["f"]["ts"])


class Report(Known):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.tables = cls.trace.json("tables.json", "--format", "tables")["sections"]

    def table(self, section, key):
        (table,) = (t for t in self.tables[section]["tables"] if t["key"] == key)
        return table["rows"]

    def test_threads_add_up(self):
        rows = {row["tid"]: row for row in self.table("threads", "threads")}
        self.assertEqual(set(rows), set(self.threads()))
        for tid, thread in self.threads().items():
            row, states = rows[tid], thread["states"]
            self.assertEqual(row["total_ns"], self.truth["span"])
            times = {k: v for k, v in row.items() if k.endswith("_ns") and k != "total_ns"}
            self.assertEqual(sum(times.values()), row["total_ns"])
            self.assertEqual(row["execution_ns"], states["user"])
            self.assertEqual(row["sched_wait_ns"], states["runnable"] + states.get("preempted", 0))
            self.assertEqual(row["disk_ns"], states["disk"])
            self.assertEqual(row["runs"], thread["runs"])
            self.assertEqual(row["syscalls"], thread["syscalls"])

    def test_requests_add_up(self):
        for kind, key in (("states", "states"), ("phases", "phases")):
            rows = {row["route"]: row for row in self.table("requests", key)}
            for route in self.truth["routes"]:
                row = rows[route["route"]]
                times = {k: v for k, v in row.items() if k.endswith("_ns") and k != "latency_ns"}
                self.assertEqual(row["latency_ns"], route["latency"])
                self.assertEqual(sum(times.values()), route["latency"])
                self.assertEqual(row["requests"], route["count"])
                values = sorted(v for v in times.values() if v)
                expected = dict(route[kind])
                if kind == "states":
                    waited = expected.pop("preempted", 0)
                    expected["runnable"] = expected.get("runnable", 0) + waited
                self.assertEqual(values, sorted(v for v in expected.values() if v))

    def test_latencies(self):
        rows = {row["route"]: row for row in self.table("requests", "latency")}
        self.assertEqual(max(row["max_ns"] for row in rows.values()), self.truth["slowest"])
        for route in self.truth["routes"]:
            mean = rows[route["route"]]["mean_ns"]
            self.assertAlmostEqual(mean, route["latency"] / route["count"], delta=1)

    def test_summary_and_slowest(self):
        facts = self.tables["summary"]["facts"]
        self.assertEqual(facts["span_ns"], self.truth["span"])
        self.assertEqual(facts["requests"], self.truth["requests"])
        self.assertEqual(facts["threads"], len(self.truth["threads"]))
        rows = self.table("slowest", "slowest")
        self.assertEqual(rows[0]["latency_ns"], self.truth["slowest"])
        latencies = [row["latency_ns"] for row in rows]
        self.assertEqual(latencies, sorted(latencies, reverse=True))

    def test_text(self):
        result = convert(self.trace.path)
        self.assertEqual(result.returncode, 0)
        for line in ("What ran", "Threads", "Latency by route", "The slowest requests"):
            self.assertIn(line, result.stdout)
        row = re.search(r"^GET /rooms +(\d+) ", result.stdout, re.M)
        self.assertEqual(int(row[1]), self.truth["routes"][0]["count"])


class Profiles(Known):
    STATES = {
        "network": ("epoll", "network"),
        "sync": ("futex",),
        "syscall": ("disk", "sleep", "other"),
        "scheduler": ("runnable", "preempted"),
    }

    def expected(self, kind, tid):
        states = self.threads()[tid]["states"]
        return sum(states.get(name, 0) for name in self.STATES[kind])

    def test_time_by_thread(self):
        for kind in self.STATES:
            p = pprof.read(self.trace.convert(f"{kind}.pb.gz", "--profile", kind))
            self.assertEqual(p.sample_types, [("contentions", "count"), ("delay", "nanoseconds")])
            found = collections.Counter()
            for stack, values, labels in p.samples:
                found[labels["tid"]] += values[1]
                self.assertIn(labels["state"], self.STATES[kind])
                self.assertEqual(stack[0], "main")
            for tid in self.threads():
                self.assertEqual(found[tid], self.expected(kind, tid), (kind, tid))

    def test_samples(self):
        p = pprof.read(self.trace.convert("cpu.pb.gz"))
        count = sum(t["samples"] for t in self.truth["threads"])
        self.assertEqual(sum(values[0] for _, values, _ in p.samples), count)
        self.assertEqual(sum(values[1] for _, values, _ in p.samples), count * 1001001)

    def test_pprof_reads_them(self):
        path = self.trace.convert("sync.pb.gz", "--profile", "sync")
        top = subprocess.run(
            ["go", "tool", "pprof", "-top", "-unit=ns", path], capture_output=True, text=True,
            env={**os.environ, "HOME": self.trace.folder, "PPROF_TMPDIR": self.trace.folder},
            timeout=120, check=False,
        )
        self.assertEqual(top.returncode, 0, top.stderr)
        total = sum(self.expected("sync", tid) for tid in self.threads())
        self.assertIn(f"Showing nodes accounting for {total}ns, 100% of {total}ns total", top.stdout)
        self.assertRegex(top.stdout, r"futex_wait\n")

    def test_folded(self):
        result = convert(self.trace.path, "-f", "--profile", "scheduler")
        self.assertEqual(result.returncode, 0, result.stderr)
        count = sum(int(line.rpartition(" ")[2]) for line in result.stdout.splitlines())
        waits = sum(t["wakeups"] for t in self.truth["threads"])
        self.assertGreater(count, waits)  # and the times that they were preempted
        self.assertIn("loop-0;main;run_loop;handle_one", result.stdout)


class Filters(Known):
    def requests(self, *options):
        tables = self.trace.json("f.json", "--format", "tables", *options)["sections"]
        return tables["requests"]["tables"][0]["rows"] if "requests" in tables else []

    def test_route(self):
        (row,) = self.requests("--route", "POST *")
        self.assertEqual((row["route"], row["requests"]),
                         ("POST /bookings", self.truth["routes"][1]["count"]))
        p = pftrace.Pftrace(self.trace.convert("f.pftrace", "--route", "POST *"))
        names = {s.name for s in p.slices if s.category == ["request"]}
        self.assertEqual(names, {"POST /bookings"})
        for thread in (s for s in p.slices if s.category == ["syscall"]):
            self.assertTrue(thread.correlation)
        ran = sum(run.end - run.start for run in p.runs)
        states = self.truth["routes"][1]["states"]
        self.assertEqual(ran, states["user"] + states["syscall"])

    def test_slower(self):
        slowest = self.truth["slowest"]
        rows = self.requests("--slower", f"{slowest / 1e9:.9f}s")
        self.assertEqual(sum(row["requests"] for row in rows), 1)
        self.assertEqual(self.requests("--slower", "10s"), [])

    def test_tid(self):
        events = self.trace.json("f.json", "--tid", "1003")["traceEvents"]
        tids = {e["tid"] for e in events if e["ph"] == "X" and e["pid"]}
        self.assertEqual(tids, {1003})

    def test_nothing_left_is_said(self):
        for options, words in ((("--route", "nosuch"), "No request is left by --route 'nosuch'."),
                               (("--slower", "1h"), "No request is left by --slower."),
                               (("--tid", "2147483647"), "No thread is left by --tid.")):
            with open(self.trace.convert("f.txt", *options), encoding="utf-8") as text:
                self.assertIn(words, text.read())
        with open(self.trace.convert("f.txt"), encoding="utf-8") as text:
            self.assertNotIn("is left", text.read())

    def test_window(self):
        half = self.truth["span"] // 2
        count = 0
        for window in (("--to", f"{half / 1e9:.9f}s"), ("--from", f"{half / 1e9:.9f}s")):
            p = pftrace.Pftrace(self.trace.convert("f.pftrace", *window))
            requests = [s for s in p.slices if s.category == ["request"]]
            count += sum("partial" not in s.args for s in requests)
            times = [s.start for s in p.slices] + [s.end for s in p.slices]
            if "--to" in window:
                self.assertLessEqual(max(times), half)
            else:
                self.assertGreaterEqual(min(times), half)
        # One that was open in the middle begins in the first and ends in the second.
        self.assertLessEqual(abs(count - self.truth["requests"]), 4)


class Losses(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.trace = Trace("--lose", "997", "--seed", "3")

    @classmethod
    def tearDownClass(cls):
        cls.trace.remove()

    def test_pftrace_shows_them_in_their_places(self):
        p = pftrace.Pftrace(self.trace.convert("t.pftrace"))
        lost = [s for s in p.slices if s.category == ["lost"]]
        self.assertEqual(sum(int(s.name.split()[1]) for s in lost), self.trace.truth["lost"])
        self.assertEqual({p.tracks[s.track]["name"] for s in lost} - {f"CPU {n}" for n in range(4)},
                         set())
        self.assertGreaterEqual(p.dropped_packets, len(lost))
        self.assertGreater(p.lost_bundles, 0)

    def test_chrome(self):
        events = self.trace.json("t.json")["traceEvents"]
        lost = [e for e in events if e.get("cat") == "lost"]
        self.assertEqual(sum(e["args"]["count"] for e in lost), self.trace.truth["lost"])

    def test_requests_are_left_out_and_counted(self):
        tables = self.trace.json("t.tables", "--format", "tables")["sections"]
        rows = tables["requests"]["tables"][0]["rows"]
        lost = sum(row["lost"] for row in rows)
        counted = sum(row["requests"] for row in rows)
        self.assertGreater(lost, 0)
        partial = sum(row["partial"] for row in rows)
        self.assertLessEqual(counted + lost + partial, self.trace.truth["requests"] + lost)
        self.assertEqual(tables["summary"]["facts"]["lost"], self.trace.truth["lost"])
        for row in tables["threads"]["tables"][0]["rows"]:
            times = {k: v for k, v in row.items() if k.endswith("_ns") and k != "total_ns"}
            self.assertEqual(sum(times.values()), row["total_ns"])


class BadInput(unittest.TestCase):
    def setUp(self):
        self.trace = Trace(events=2000)
        self.addCleanup(self.trace.remove)

    def fails(self, status, text, *arguments):
        result = convert(*arguments)
        self.assertEqual(result.returncode, status, result)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        self.assertIn(text, result.stderr)
        self.assertEqual(result.stdout, "")

    def test_command_line(self):
        path, out = self.trace.path, os.path.join(self.trace.folder, "x")
        self.fails(2, "which trace?")
        self.fails(2, "one trace at a time", path, path)
        self.fails(2, "no format by the ending", path, "-o", out + ".xyz")
        self.fails(2, "no format 'xyz'", path, "--format", "xyz", "-o", out)
        self.fails(2, "--from wants a time", path, "--from", "yesterday")
        self.fails(2, "--from wants a time", path, "--from", "400d")
        for zero in ("0", "0s", "0.0ms"):
            self.assertEqual(convert(path, "--from", zero).returncode, 0)
        self.fails(2, "--to must be after", path, "--from", "2s", "--to", "1s")
        self.fails(1, "--from is after the end", path, "--from", "1h")
        self.fails(1, "No such file", "/nonexistent.periscope")
        self.fails(1, "no regular file", self.trace.folder)
        self.fails(1, "no trace file", __file__)
        self.fails(1, "cannot write", path, "-o", "/nonexistent/x.txt")

    def test_full_disk(self):
        for ending in ("pftrace", "json", "txt", "pb.gz"):
            result = convert(self.trace.path, "--format",
                             {"json": "chrome", "txt": "text", "pb.gz": "pprof"}.get(ending, ending),
                             "-o", "/dev/full")
            self.assertEqual(result.returncode, 1)
            self.assertIn("No space left", result.stderr)

    def test_unfinished(self):
        with open(self.trace.path, "r+b") as file:
            file.truncate(os.path.getsize(self.trace.path) - 100)
        result = convert(self.trace.path)
        self.assertEqual(result.returncode, 0)
        self.assertIn("was not finished", result.stderr)
        self.assertIn("The recording was not finished", result.stdout)


def main():
    global BUILD
    arguments = sys.argv[1:]
    if arguments and os.path.isdir(arguments[0]):
        BUILD = os.path.abspath(arguments.pop(0))
    unittest.main(argv=[sys.argv[0], *arguments], verbosity=1)


if __name__ == "__main__":
    main()
