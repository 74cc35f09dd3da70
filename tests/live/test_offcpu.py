# SPDX-License-Identifier: MIT
"""Waits: times and counts that the program knows itself, sleepers, filters, wakers, wall clock."""

import collections
import json
import os
import re
import signal
import subprocess
import tempfile
import time

import pgwire
import pprof
import servers
from harness import (WORKLOADS, LiveTest, Tool, cases, children_of, is_alive, periscope, start,
                     wait_until)
from test_gdb import gdb_stacks, normal

WAITS = os.path.join(WORKLOADS, "waits")
# How each kind of tests/workloads/waits.c waits.
REASONS = {
    "sleep": ("wait_sleep", "sleep", "S"),
    "mutex": ("wait_mutex", "futex", "S"),
    "pipe": ("wait_pipe", "other", "S"),
    "socket": ("wait_socket", "network", "S"),
    "epoll": ("wait_epoll", "epoll", "S"),
    "disk": ("wait_disk", "disk", "D"),
    "fault": ("wait_fault", "page-fault", None),
}

Done = collections.namedtuple("Done", "kind tid rounds ns voluntary involuntary")
Sum = collections.namedtuple("Sum", "waits blocked runqueue offcpu")


def what_was_done(text):
    """What the workload says of itself, in the order of its threads."""
    lines = re.findall(r"^did (\w+) (\d+) (\d+) (\d+) (\d+) (\d+)$", text, re.MULTILINE)
    return [Done(kind, *map(int, rest)) for kind, *rest in lines]


def add_up(profile, wanted):
    """Sums of the samples for which wanted(stack, labels) holds."""
    sums = [0, 0, 0, 0]
    for stack, values, labels in profile.samples:
        if wanted(stack, labels):
            sums = [a + b for a, b in zip(sums, values)]
    return Sum(*sums)


def thread_rows(path):
    """Rows of the threads' table."""
    with open(path, encoding="utf-8") as file:
        report = json.load(file)
    return report["sections"]["threads"]["tables"][0]["rows"]


class Waits(LiveTest):
    settle = 1  # seconds before the first round, so that the mappings are known by then
    per_round = 20000  # ns that a look at two clocks may take, with an interrupt in between
    kinds = tuple(REASONS)
    least_sampled = 0.5  # of the time that threads ran
    patience = 90  # seconds for a capture of a few, and for what it looks at

    def start(self, workload, case="plain"):
        return super().start(workload, case, seconds=2 * self.patience)

    def run_periscope(self, *args, **kwargs):
        return periscope(*args, timeout=self.patience, **kwargs)

    def capture(self, *kinds, options=()):
        """Runs the workload under periscope; the result, its profile, and what was done."""
        directory = self.temp_dir()
        self.profile = os.path.join(directory, "offcpu.pb.gz")
        self.json = os.path.join(directory, "offcpu.json")
        result = self.run_periscope(
            "offcpu", *options, "-o", self.profile, "-o", self.json, "--", WAITS, self.settle, *kinds,
        )  # fmt: skip
        self.assert_ok(result)
        self.assertEqual(result.summary["lost"], 0, result)
        self.assertNotIn("no-stack", result.summary)
        return result, pprof.read(self.profile), what_was_done(result.out)

    def watch(self, workload, seconds, *options):
        """Captures a running workload; the result, its profile, and the rows of its threads."""
        directory = self.temp_dir()
        profile, table = os.path.join(directory, "p.pb.gz"), os.path.join(directory, "t.json")
        result = self.run_periscope(
            "offcpu", "-p", workload.pid, *options, "-o", profile, "-o", table, seconds
        )
        self.assert_ok(result)
        self.assertEqual(result.summary["lost"], 0, result)
        return result, pprof.read(profile), thread_rows(table)

    def assert_adds_up(self, result, rows):
        """Each thread's time is the capture's, within 1 %."""
        span = float(result.summary["seconds"]) * 1e9
        for row in rows:
            time = row["offcpu_ns"] + row["running_ns"]
            self.assertLessEqual(abs(time - span), 0.01 * span, (row, span))
            self.assertEqual(row["offcpu_ns"], row["blocked_ns"] + row["runqueue_ns"])


class Exactness(Waits):
    def test_times_and_counts_of_every_kind(self):
        result, profile, done = self.capture(*self.kinds)
        self.assertEqual(tuple(d.kind for d in done), self.kinds, result)
        for d in done:
            function, reason, state = REASONS[d.kind]

            def round_(stack, labels, d=d, function=function):
                return labels["tid"] == d.tid and function in stack

            def around(stack, labels, d=d):
                return labels["tid"] == d.tid and "run_worker" in stack and not any(
                    frame.startswith("before_") for frame in stack
                )

            def blocked(stack, labels, round_=round_):
                return round_(stack, labels) and labels["reason"] != "preempted"

            def at_all(_, labels, d=d):
                return labels["tid"] == d.tid and labels["reason"] != "preempted"

            with self.subTest(d.kind):
                least, most = add_up(profile, round_), add_up(profile, around)
                of_blocked = add_up(profile, blocked)
                # It may also be preempted between the clocks, outside of the round's function.
                slack = 0.01 * d.ns + self.per_round * d.rounds
                if d.kind == "disk":
                    # The disk's interrupts take time from it that is nobody's CPU time.
                    slack += 200000 * d.rounds
                self.assertGreaterEqual(d.ns, least.offcpu - slack, d)
                self.assertLessEqual(d.ns, most.offcpu + slack, d)
                self.assertGreaterEqual(d.involuntary, least.waits - of_blocked.waits, d)
                self.assertLessEqual(d.involuntary, most.waits - of_blocked.waits, d)
                # Also for the process's memory, which other threads change, before the round or after.
                self.assertLessEqual(of_blocked.waits, d.voluntary, d)
                self.assertGreaterEqual(add_up(profile, at_all).waits, d.voluntary, d)
                if d.kind not in ("disk", "fault"):
                    # Of a kernel that is preempted itself: one that was on its way to wait.
                    self.assertLessEqual(of_blocked.waits, d.rounds, d)
                if d.kind != "disk":
                    self.assertGreaterEqual(of_blocked.waits + d.involuntary, d.rounds, d)
                for stack, _, labels in profile.samples:
                    if blocked(stack, labels):
                        self.assertEqual(labels["reason"], reason, (stack, labels))
                        if state:
                            self.assertEqual(labels["state"], state, (stack, labels))

    def test_two_on_one_cpu_preempt_each_other(self):
        _, profile, done = self.capture("cpu", "cpu")
        self.assertEqual(len(done), 2)
        for d in done:
            least = add_up(profile, lambda s, l, d=d: l["tid"] == d.tid and "wait_cpu" in s)
            most = add_up(profile, lambda s, l, d=d: l["tid"] == d.tid and "run_worker" in s)
            slack = 0.01 * d.ns + self.per_round * d.rounds
            self.assertGreaterEqual(d.ns, least.offcpu - slack, d)
            self.assertLessEqual(d.ns, most.offcpu + slack, d)
            self.assertEqual((least.blocked, least.runqueue), (0, least.offcpu), d)
            self.assertGreaterEqual(d.involuntary, least.waits, d)
            self.assertLessEqual(d.involuntary, most.waits, d)
            self.assertGreater(least.waits, 0, d)
        reasons = {l["reason"] for s, _, l in profile.samples if "wait_cpu" in s}
        self.assertEqual(reasons, {"preempted"})

    def test_all_time_of_busy_threads(self):
        with self.start("many_threads") as workload:
            result, _, rows = self.watch(workload, 2)
            threads = len(os.listdir(f"/proc/{workload.pid}/task"))
        self.assertEqual(len(rows), threads, rows)
        self.assert_adds_up(result, rows)
        busy = [row for row in rows if row["running_ns"] > 0.1e9]
        self.assertEqual(len(busy), 3, rows)

    def test_all_time_of_a_thousand_threads(self):
        with self.start("waits", "crowd") as workload:
            result, profile, rows = self.watch(workload, 2)
        self.assertEqual(len(rows), 1001)
        self.assert_adds_up(result, rows)
        self.assertEqual(result.summary["complete"], result.summary["waits"], result)
        asleep = add_up(profile, lambda s, l: "crowd_member" in s and l["reason"] == "sleep")
        rounds = 1000 * 2 / 0.05
        # Each waits 50 ms or longer, and two times at an edge of the capture.
        self.assertLessEqual(asleep.waits, 1.1 * rounds + 2000)
        self.assertGreaterEqual(asleep.blocked, 0.5 * 1000 * 2e9)

    def test_against_perf_sched_timehist(self):
        """The same waits by perf's eyes. It sees the whole machine, thus needs none of our filters."""
        with self.start("waits", "crowd") as workload, tempfile.TemporaryDirectory() as home:
            data = os.path.join(home, "perf.data")
            perf = ["perf", "record", "-q", "-k", "CLOCK_MONOTONIC", "-m", "4096", "-a", "-o", data]
            events = ["-e", "sched:sched_switch", "-e", "sched:sched_waking"]
            recorder = subprocess.Popen(
                [*perf, *events, "--", "sleep", "30"], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            wait_until(lambda: os.path.exists(data) and os.path.getsize(data), 20, "perf")
            try:
                _, profile, _ = self.watch(workload, 3)
            finally:
                recorder.send_signal(signal.SIGINT)
                recorder.wait(60)
            text = subprocess.run(
                ["perf", "sched", "timehist", "-i", data, "-p", str(workload.pid)],
                capture_output=True, text=True, timeout=100, check=False,
            ).stdout  # fmt: skip
        # time cpu task[tid/pid] wait-time sch-delay run-time, in ms
        rows = re.findall(r"\[\d+(?:/\d+)?\] +([0-9.]+) +([0-9.]+) +([0-9.]+)", text)
        theirs = [(float(wait), float(delay)) for wait, delay, _ in rows if float(wait) > 0]
        self.assertGreater(len(theirs), 1000, text[:2000])
        ours = add_up(profile, lambda s, l: "crowd_member" in s and l["reason"] == "sleep")
        wait = sum(wait for wait, _ in theirs) / len(theirs)
        delay = sum(delay for _, delay in theirs) / len(theirs)
        # perf's wait time is without its sch delay from version to version: both are allowed.
        mean = ours.offcpu / ours.waits / 1e6
        self.assertLessEqual(min(abs(mean - wait), abs(mean - wait - delay)), 0.1 * mean)


class Sleepers(Waits):
    def test_threads_that_never_wake(self):
        case = cases("waits")["asleep"]
        with start(case) as workload:
            result, profile, rows = self.watch(workload, 1, "-U")
            user = self.run_periscope("offcpu", "-p", workload.pid, "-U", "-f", 1)
        self.assert_adds_up(result, rows)
        self.assertEqual(result.summary["waits"], 5, result)
        self.assertEqual(result.summary["complete"], 5, result)
        self.assertEqual(self.strange_stacks(user, case.stacks), {}, user)
        span = float(result.summary["seconds"]) * 1e9
        for stack, values, labels in profile.samples:
            self.assertLessEqual(abs(values[1] - span), 0.01 * span, (stack, labels))
        reasons = {next(f for f in s if f.startswith("asleep_") and f != "asleep_outer"): l["reason"]
                   for s, _, l in profile.samples if "asleep_outer" in s}  # fmt: skip
        self.assertEqual(
            reasons,
            {"asleep_timer": "sleep", "asleep_pipe": "other", "asleep_mutex": "futex",
             "asleep_epoll": "epoll"},
        )  # fmt: skip

    def test_stacks_are_those_of_gdb(self):
        case = cases("waits")["asleep"]
        with start(case) as workload:
            result = self.run_periscope("offcpu", "-p", workload.pid, "-U", "-f", 0.5)
            self.assert_ok(result)
            found = gdb_stacks(workload.pid, os.path.join(self.temp_dir(), "stacks.py"))
            self.assertTrue(is_alive(workload.pid))

        def known(names):
            """Down to the workload's own function, and how many of libc's are below."""
            last = max(i for i, name in enumerate(names) if re.match("asleep_|run_", name))
            return names[: last + 1], len(names)

        ours = {known(tuple(map(normal, user))) for user in result.user_stacks()}
        self.assertEqual(len(found), 5)
        for whole, physical in found:
            self.assertTrue(known(whole) in ours or known(physical) in ours, f"{whole}\n{ours}")

    def test_kernel_frames_are_those_of_a_thread_that_woke(self):
        """A sleeping thread's are read in another way; the same wait is one stack all the same."""
        with self.start("waits", "crowd") as workload:
            result = self.run_periscope(
                "offcpu", "-p", workload.pid, "-f", "--reason", "sleep", 2
            )
        self.assert_ok(result)
        stacks = {key for key in result.folded if "crowd_member" in key[1]}
        self.assertEqual(len(stacks), 1, stacks)

    def test_another_tracer_comes_and_goes(self):
        """The kernel calls several programs of one event by a function more: none of it is shown."""
        with self.start("waits", "crowd") as workload:
            with Tool("offcpu", "-p", workload.pid, "-f", "--reason", "sleep", 4) as tool:
                time.sleep(1.5)
                for _ in range(2):
                    self.assert_ok(
                        self.run_periscope("offcpu", "-p", workload.pid, "-f", 0.3)
                    )
                result = tool.finish()
        self.assert_ok(result)
        stacks = {key for key in result.folded if "crowd_member" in key[1]}
        self.assertEqual(len(stacks), 1, stacks)

    def test_nothing_is_stopped(self):
        with self.start("waits", "asleep") as workload:
            # Not its first thread, which may still be on its way to sleep.
            tasks = sorted(os.listdir(f"/proc/{workload.pid}/task"))[1:]

            def switches():
                found = []
                for tid in tasks:
                    with open(f"/proc/{workload.pid}/task/{tid}/status", encoding="ascii") as file:
                        found += re.findall(r"ctxt_switches:\s+(\d+)", file.read())
                return found

            before = switches()
            self.assert_ok(self.run_periscope("offcpu", "-p", workload.pid, 0.5))
            self.assertEqual(switches(), before)


class InFlight(LiveTest):
    """--no-idle: who waits for events with a request in flight waits for what that needs."""

    number = 13

    def waits_for_events(self, pid, work, *options):
        """Threads that waited for events meanwhile: name -> waits."""
        path = os.path.join(self.temp_dir(), "offcpu.pb.gz")
        options = ("--no-idle", "--reason", "epoll", *options)
        result, _, _ = self.watch_while("offcpu", work, "-p", pid, *options, "-o", path)
        self.assertNotIn("lost-requests", result.summary)
        waits = collections.Counter()
        for _, values, labels in pprof.read(path).samples:
            waits[labels["thread"]] += values[0]
        return waits

    def test_a_loop_waits_for_its_writer(self):
        server = servers.coworkingd(self)
        token = server.login()
        day = servers.server_harness().day
        connection = server.connection()

        def read():
            for _ in range(self.number):
                server.request("GET", "/rooms", connection=connection)

        def book():
            for n in range(self.number):
                server.book(token, day(n), connection=connection)

        self.assertEqual(self.waits_for_events(server.process.pid, read), {})
        waits = self.waits_for_events(server.process.pid, book)
        self.assertTrue(waits and all(name.startswith("cw-loop-") for name in waits), waits)
        connection.close()

    def test_a_statement_waits_for_the_clock(self):
        """pg_sleep waits for its backend's latch, as the backend does between statements."""
        postgres = servers.Postgres(self)

        def work():
            connection = postgres.connect()
            for _ in range(self.number):
                connection.run(pgwire.query("SELECT pg_sleep(0.01)"))
                connection.run(pgwire.query("SELECT 1"))
            connection.close()

        waits = self.waits_for_events(postgres.pid, work, "--children")
        self.assertEqual(sum(waits.values()), self.number, waits)


class Filters(Waits):
    def functions(self, *options, case="asleep", seconds=1):
        """Which of the workload's functions are seen to wait."""
        with self.start("waits", case) as workload:
            result, profile, _ = self.watch(workload, seconds, *options)
        found = {frame for stack, _, _ in profile.samples for frame in stack}
        return {f for f in found if re.match("asleep_(?!outer)|crowd_member", f)}, result

    def test_no_idle(self):
        self.assertEqual(
            self.functions("--no-idle")[0], {"asleep_timer", "asleep_pipe", "asleep_mutex"}
        )

    def test_reason(self):
        found, _ = self.functions("--reason", "futex,epoll")
        self.assertEqual(found, {"asleep_mutex", "asleep_epoll"})

    def test_state(self):
        self.assertEqual(self.functions("--state", "D,T")[0], set())
        self.assertEqual(len(self.functions("--state", "S")[0]), 4)

    def test_length(self):
        # The crowd sleeps for 50 ms, all else for as long as the capture.
        self.assertEqual(self.functions("-m", 40000, case="crowd")[0], {"crowd_member"})
        self.assertEqual(self.functions("-m", 900000, "-M", 10000000, case="crowd")[0], set())
        self.assertEqual(self.functions("-M", 900000)[0], set())

    def test_thread(self):
        with self.start("waits", "asleep") as workload:
            tids = sorted(map(int, os.listdir(f"/proc/{workload.pid}/task")))
            result, profile, rows = self.watch(workload, 0.5, "--tid", tids[2])
        self.assertEqual([row["tid"] for row in rows], [tids[2]])
        self.assertEqual({l["tid"] for _, _, l in profile.samples}, {tids[2]})
        self.assertEqual(result.summary["threads"], 1)

    def test_user_and_kernel_only(self):
        with self.start("waits", "asleep") as workload:
            kernel = self.run_periscope("offcpu", "-p", workload.pid, "-K", "-f", 0.5)
            user = self.run_periscope("offcpu", "-p", workload.pid, "-U", "-f", 0.5)
        self.assertEqual({u for _, u, _ in kernel.folded}, {()})
        self.assertEqual({k for _, _, k in user.folded}, {()})
        self.assertIn("anon_pipe_read_[k]" if "anon_pipe_read" in kernel.out else "pipe_read_[k]",
                      {k[-1] for _, _, k in kernel.folded})  # fmt: skip

    def test_values(self):
        with self.start("waits", "asleep") as workload:
            for value, wanted in ("waits", 1), ("blocked", 500000), ("runqueue", None):
                result = self.run_periscope("offcpu", "-p", workload.pid, "-f", "--value", value, 0.5)
                self.assert_ok(result)
                if not wanted:
                    self.assertEqual(result.folded, {})
                for stack, count in result.folded.items():
                    self.assertLessEqual(abs(count - wanted), 0.2 * wanted, (value, stack))


class Wakers(Waits):
    def test_who_let_go_of_the_mutex(self):
        _, profile, done = self.capture("mutex", "sleep", options=["--waker"])
        by_kind = {d.kind: d for d in done}
        seen = collections.Counter()
        for stack, values, labels in profile.samples:
            if "--" not in stack:
                continue
            at = stack.index("--")
            ours, theirs = stack[:at], stack[at + 1 :]
            if "wait_mutex" in ours and labels["reason"] == "futex":
                self.assertIn("hold_mutex", theirs)
                self.assertEqual(theirs[-1], "waits")
                # Turned around: from who called down to the thread's first function.
                self.assertLess(theirs.index("hold_mutex"), theirs.index("run_partner"))
                self.assertEqual(labels["waker"], "waits")
                seen["mutex"] += values[0]
            if "wait_sleep" in ours and labels["reason"] == "sleep":
                self.assertEqual(theirs[-1], "[interrupt]", theirs)
                seen["sleep"] += values[0]
        self.assertEqual(seen["mutex"], by_kind["mutex"].rounds)
        # A kernel may not report wake-ups while some of its tasks are current.
        self.assertGreaterEqual(seen["sleep"], 0.9 * by_kind["sleep"].rounds)


class WallClock(Waits):
    def test_adds_up_to_threads_times_time(self):
        with self.start("many_threads") as workload:
            result = self.run_periscope("cpu", "--wall", "-p", workload.pid, "-F", 499, "-f", 3)
            threads = len(os.listdir(f"/proc/{workload.pid}/task"))
        self.assert_ok(result)
        summary = {k: float(v) for k, v in result.summary.items() if k != "event"}
        self.assertEqual(summary["lost"], 0, result)
        self.assertEqual(summary["threads"], threads)
        exact = summary["running"] + summary["runnable"] + summary["blocked"]
        self.assertLessEqual(abs(exact - threads * summary["seconds"]), 0.01 * exact, result)
        shown = sum(int(line.rpartition(" ")[2]) for line in result.out.splitlines()) / 1e6
        told = summary["sampled"] + summary["runnable"] + summary["blocked"]
        self.assertLessEqual(abs(shown - told), 0.001 * told, result)
        # The machine's own business takes its part of the sampling clock's ticks.
        self.assertLessEqual(summary["sampled"], 1.15 * summary["running"], result)
        least = self.least_sampled * summary["running"]
        self.assertGreaterEqual(summary["sampled"], least, result)

    def test_states_are_labels_and_frames(self):
        path = os.path.join(self.temp_dir(), "wall.pb.gz")
        with self.start("many_threads") as workload:
            self.assert_ok(
                self.run_periscope("cpu", "--wall", "-p", workload.pid, "-F", 499, "-U", "-o", path, 2)
            )
        profile = pprof.read(path)
        self.assertEqual(profile.sample_types, [("wall", "nanoseconds")])
        states = {labels["state"] for _, _, labels in profile.samples}
        self.assertLessEqual({"running", "runnable"}, states)
        self.assertTrue(any(state.startswith("blocked:") for state in states), states)
        for stack, _, labels in profile.samples:
            last = f"[{labels['state']}]"
            self.assertEqual(stack[-1] == last, labels["state"] != "running", stack)


class Life(Waits):
    def test_target_that_exits(self):
        with start(cases("waits")["asleep"]) as workload:
            with Tool("offcpu", "-p", workload.pid, "-f", 60) as tool:
                wait_until(lambda: attached(tool.pid), 30, "the capture to begin")
                workload.popen.terminate()
                result = tool.finish(self.patience)
        self.assert_ok(result)
        self.assertIn("has exited", result.err)
        self.assertGreaterEqual(result.summary["waits"], 5, result)

    def test_interrupt_ends_and_prints(self):
        with start(cases("waits")["asleep"]) as workload:
            with Tool("offcpu", "-p", workload.pid, "-f") as tool:
                wait_until(lambda: attached(tool.pid), 30, "the capture to begin")
                tool.popen.send_signal(signal.SIGINT)
                result = tool.finish(self.patience)
        self.assert_ok(result)
        self.assertEqual(result.summary["waits"], 5, result)

    def test_threads_that_come_and_go(self):
        with self.start("thread_churn") as workload:
            result, profile, rows = self.watch(workload, 2)
        ended = [row for row in rows if row["tid"] is None]
        self.assertEqual(len(ended), 1, rows)
        many = int(re.search(r"\((\d+) ended\)", ended[0]["thread"])[1])
        self.assertGreater(many, 10)
        self.assertEqual(many + len(rows) - 1, result.summary["threads"])
        starts = add_up(profile, lambda s, l: l["reason"] == "start")
        # Some have begun before, or are still on their way.
        self.assertLessEqual(abs(starts.waits - many), 8)
        self.assertNotIn("lost-events", result.summary)
        self.assertNotIn("no-stack", result.summary)

    def test_children_that_come_and_go(self):
        script = "i=0; while [ $i -lt 300 ]; do /bin/true; i=$((i+1)); done"
        path = os.path.join(self.temp_dir(), "p.pb.gz")
        result = self.run_periscope("offcpu", "--children", "-o", path, "--", "sh", "-c", script)
        self.assert_ok(result)
        self.assertEqual(result.summary["lost"], 0, result)
        self.assertEqual(result.summary["threads"], 301, result)
        self.assertEqual(result.summary["processes"], 301, result)
        starts = add_up(pprof.read(path), lambda s, l: l["reason"] == "start")
        self.assertEqual(starts.waits, 300)

    def test_from_within_a_pid_namespace(self):
        case = cases("waits")["asleep"]
        script = '"$0" 60 asleep >&2 & sleep 1; "$@" -p $!; status=$?; kill $!; exit $status'
        prefix = ("unshare", "-mpf", "--mount-proc", "sh", "-c", script, WAITS)
        result = self.run_periscope("offcpu", "-U", "-f", 1, prefix=prefix)
        self.assert_ok(result)
        self.assertEqual(result.summary["waits"], 5, result)
        self.assertEqual(self.strange_stacks(result, case.stacks), {}, result)


class Commands(Waits):
    """On programs that are linked dynamically, as the guests of tests/vm have none."""

    def test_who_waits_from_the_first_moment_on(self):
        """Before it is known here what a new process has mapped: its stack is read again."""

        def sleeper():
            """The child of the shell that periscope started, when it sleeps."""
            for child in [c for shell in children_of(tool.pid) for c in children_of(shell)]:
                with open(f"/proc/{child}/syscall", encoding="ascii") as file:
                    if file.read().startswith("230 "):  # clock_nanosleep
                        return child
            return None

        for _ in range(3):
            command = ("--", "sh", "-c", "/bin/sleep 1000; true")
            with Tool("offcpu", "--children", "-f", *command) as tool:
                child = wait_until(sleeper, 30, "the shell's child to sleep")
                tool.popen.send_signal(signal.SIGINT)
                result = tool.finish(self.patience)
                os.kill(child, signal.SIGKILL)
            self.assert_ok(result)
            waits = [user for (_, user, kernel), _ in result.folded.items()
                     if any("nanosleep" in frame for frame in kernel)]
            self.assertEqual(len(waits), 1, result)
            self.assertIn("__libc_start_main", waits[0], result)


class BadInput(LiveTest):
    def refused(self, *options, status=2, words=()):
        self.assert_refused(periscope("offcpu", *options), status, *words)

    def test_reason_that_is_none(self):
        self.refused("-p", 1, "--reason", "futex,lock", words=["'lock' is no reason", "page-fault"])
        self.refused("-p", 1, "--reason", "", words=["'' is no reason"])
        self.refused("-p", 1, "--reason", "running", words=["'running' is no reason"])

    def test_state_that_is_none(self):
        self.refused("-p", 1, "--state", "Q", words=["'Q' is no state"])
        self.refused("-p", 1, "--state", "SD", words=["'SD' is no state"])

    def test_lengths_that_are_none(self):
        self.refused("-p", 1, "-m", "10ms", words=["-m wants a number of microseconds"])
        self.refused("-p", 1, "-m", 20, "-M", 10, words=["-m 20 is more than -M 10"])

    def test_value_that_is_none(self):
        self.refused("-p", 1, "--value", "wall", words=["--value", "runqueue"])

    def test_dead_pid(self):
        self.refused("-p", 4194000, status=1, words=["no process with PID 4194000"])

    def test_without_the_privilege(self):
        result = periscope("offcpu", "-p", os.getpid(), 1, prefix=["setpriv", "--reuid", "nobody",
                           "--clear-groups", "--inh-caps=-all"])  # fmt: skip
        self.assert_refused(result, 1, "privilege|right|sudo")


def attached(pid):
    """Does the process hold the links of its programs at scheduler events?"""
    links = 0
    for fd in os.listdir(f"/proc/{pid}/fdinfo"):
        try:
            with open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii") as info:
                links += "link_type" in info.read()
        except OSError:
            pass
    return links >= 6
