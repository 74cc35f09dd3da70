# SPDX-License-Identifier: MIT
"""Section timeline: recording a loaded server event by event, and others that record the same.

coworkingd under the mixed load at full rate. Of each recorder: how many events it got and lost, its own
CPU time, its peak memory, the bytes on disk, and what a request costs the server meanwhile.
"""

import collections
import json
import os
import re
import resource
import time

from bench_bpf import Program, RunTimeStats, program_ids
from bench_report import verdict
from bench_run import CannotMeasure, Workbench, cpu_ns, find_program
from bench_stats import median
from bench_targets import CountedLoad, start_coworkingd

SECONDS = 10
MOST_NS = 1000  # of CPU for an event, all in all
MOST_MB = 128
MOST_BYTES = 24  # on disk, an event

Got = collections.namedtuple("Got", "events lost bytes")
Run = collections.namedtuple("Run", "got tool_ns peak_kb request_us requests")

# What periscope timeline records by default, as far as the language has it: no stacks, no requests.
# Events of threads that come to run are theirs by their name.
SCRIPT = """
tracepoint:sched:sched_switch /pid == TARGET/ { printf("%lld %d %d o %d %d\\n", nsecs, cpu, tid,
	args->prev_state, args->next_pid); }
tracepoint:sched:sched_switch /args->next_comm == "coworkingd"/ { printf("%lld %d %d i %d\\n", nsecs,
	cpu, args->next_pid, args->prev_pid); }
tracepoint:sched:sched_waking /args->comm == "coworkingd"/ { printf("%lld %d %d w %d\\n", nsecs, cpu,
	tid, args->pid); }
tracepoint:raw_syscalls:sys_enter /pid == TARGET/ { printf("%lld %d %d s %d %lx %lx %lx\\n", nsecs,
	cpu, tid, args->id, args->args[0], args->args[1], args->args[2]); }
tracepoint:raw_syscalls:sys_exit /pid == TARGET/ { printf("%lld %d %d e %d %ld\\n", nsecs, cpu, tid,
	args->id, args->ret); }
interval:s:SECONDS { exit(); }
"""


class Recorder:
    """How to record a process, and what came of it. `stats`: it runs BPF programs of this prefix."""

    name = None
    comparable = True

    def command(self, settings, pid, path, seconds):
        raise NotImplementedError

    def read(self, path, done):
        raise NotImplementedError


class Periscope(Recorder):
    name = "periscope timeline"

    def command(self, settings, pid, path, seconds):
        return [os.path.join(settings.build, "periscope"), "timeline", "-p", str(pid), "-o",
                path + ".periscope", "--stats", path + ".stats", str(seconds)]

    def read(self, path, done):
        with open(path + ".stats", encoding="utf-8") as file:
            stats = json.load(file)
        return Got(int(stats["events"]), int(stats["lost"]), os.path.getsize(path + ".periscope"))


class Perf(Recorder):
    """perf trace record: system calls; perf sched record: the scheduler, of the whole machine."""

    def __init__(self, name, words, by_pid):
        self.name, self._words, self._by_pid = name, words, by_pid

    def command(self, settings, pid, path, seconds):
        target = ["-p", str(pid)] if self._by_pid else ["-a"]
        return [find_program("perf"), *self._words, "-o", path, *target, "--", "sleep", str(seconds)]

    def read(self, path, done):
        with Workbench() as bench:
            stats = bench.run([find_program("perf"), "report", "-i", path, "--stats"], 120)
        counts = dict.fromkeys(("SAMPLE", "LOST", "LOST_SAMPLES"), 0)
        # The first block is the sum of all.
        for kind, n in re.findall(r"^ +([A-Z_]+) events: +(\d+)", stats.stdout.decode(), re.MULTILINE):
            if kind in counts and not counts[kind]:
                counts[kind] = int(n)
        chunks = re.findall(r"lost (\d+) chunks", done.stderr.decode(errors="replace"))
        lost = sum(map(int, chunks)) + counts["LOST"] + counts["LOST_SAMPLES"]
        return Got(counts["SAMPLE"], lost, os.path.getsize(path))


class Bpftrace(Recorder):
    name = "bpftrace script"

    def command(self, settings, pid, path, seconds):
        script = SCRIPT.replace("TARGET", str(pid)).replace("SECONDS", str(seconds))
        return [find_program("bpftrace"), "-B", "full", "-o", path, "-e", script]

    def read(self, path, done):
        said = done.stderr.decode(errors="replace")
        with open(path, "rb") as file:
            events = sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
        with open(path, encoding="utf-8", errors="replace") as file:
            said += "".join(line for line in file if line.startswith("Lost"))
        lost = sum(map(int, re.findall(r"Lost (\d+) events", said)))
        return Got(events, lost, os.path.getsize(path))


RECORDERS = [
    Periscope(),
    Perf("perf trace record", ["trace", "record"], True),
    Perf("perf sched record", ["sched", "record"], False),
    Bpftrace(),
]


def _children_ns():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return int((usage.ru_utime + usage.ru_stime) * 1e9)


def _bare(pid, load, seconds):
    """CPU time of the server for a request in us, and how many there were."""
    cpu, count = cpu_ns(pid), load.count()
    time.sleep(seconds)
    count = load.count() - count
    return (cpu_ns(pid) - cpu) / 1000 / count, count


def _record(settings, recorder, pid, load, seconds):
    with Workbench() as bench:
        path = os.path.join(bench.directory(), "recorded")
        tool, cpu, count = _children_ns(), cpu_ns(pid), load.count()
        done = bench.run(recorder.command(settings, pid, path, seconds), seconds + 60)
        tool, cpu, count = _children_ns() - tool, cpu_ns(pid) - cpu, load.count() - count
        if done.status:
            raise CannotMeasure(f"{recorder.name}: {done.stderr.decode(errors='replace')[-300:]}")
        got = recorder.read(path, done)
    if not got.events or not count:
        raise CannotMeasure(f"{recorder.name} has recorded nothing")
    return Run(got, tool, done.peak_kb, cpu / 1000 / count, count)


def _kernel_ns(settings, pid, seconds):
    """Time in BPF programs for an event of ours; taking that time is part of it."""
    known = set(program_ids())
    with Workbench() as bench, RunTimeStats():
        path = os.path.join(bench.directory(), "recorded")
        process = bench.spawn(Periscope().command(settings, pid, path, seconds))
        spent = 0
        while process.poll() is None:
            # The programs go with the process: what was read last counts.
            time.sleep(0.1)
            now = 0
            for number in set(program_ids()) - known:
                try:
                    program = Program(number)
                except OSError:
                    continue
                now += program.runs()[0]
                program.close()
            spent = max(spent, now)
        return spent / Periscope().read(path, None).events


def _row(recorder, runs, kernel_ns):
    events = sum(run.got.events for run in runs)
    lost = sum(run.got.lost for run in runs)
    row = {
        "tool": recorder.name,
        "events": median(run.got.events for run in runs),
        "lost": lost,
        "own": sum(run.tool_ns for run in runs) / events,
        "bpf": kernel_ns,
        "memory": max(run.peak_kb for run in runs) / 1024,
        "bytes": sum(run.got.bytes for run in runs) / events,
        "request": median(run.request_us for run in runs),
        "rate": median(run.requests for run in runs),
    }
    if kernel_ns is not None:
        missed = [name for name, value, most in (
            ("lost", lost, 0),
            ("CPU", row["own"] + kernel_ns, MOST_NS),
            ("memory", row["memory"], MOST_MB),
            ("bytes", row["bytes"], MOST_BYTES),
        ) if verdict(value, most) != "ok"]
        row["verdict"] = "ok" if not missed else f"MISSED: {', '.join(missed)}"
    return row


def timeline(settings):
    seconds, rounds = 2 if settings.quick else SECONDS, max(1, settings.pairs // 5)
    runs = {recorder: [] for recorder in RECORDERS}
    bare = []
    with Workbench() as bench:
        server, url = start_coworkingd(bench, settings.build)
        load = CountedLoad(bench, url, 600)
        time.sleep(1)
        for n in range(rounds):
            settings.progress(f"timeline: round {n + 1} of {rounds}")
            bare.append(_bare(server.pid, load, seconds))
            for recorder in RECORDERS:
                runs[recorder].append(_record(settings, recorder, server.pid, load, seconds))
        kernel_ns = _kernel_ns(settings, server.pid, min(seconds, 5))
    nothing = {"tool": "(nothing)", "request": median(us for us, _ in bare),
               "rate": median(n for _, n in bare)}
    return {
        "title": f"timeline: {seconds} s of coworkingd at full rate, event by event",
        "columns": [
            ("tool", "recorder", ""),
            ("events", "events", "{:.0f}"),
            ("lost", "lost", "{:d}"),
            ("own", "own ns an event", "{:.0f}"),
            ("bpf", "in BPF", "{:.0f}"),
            ("memory", "MB", "{:.0f}"),
            ("bytes", "bytes an event", "{:.1f}"),
            ("request", "server's us a request", "{:.1f}"),
            ("rate", "requests", "{:.0f}"),
            ("verdict", "", ""),
        ],
        "rows": [{key: None for key in ("events", "lost", "own", "bpf", "memory", "bytes")} | nothing,
                 *(_row(r, runs[r], kernel_ns if r is RECORDERS[0] else None) for r in RECORDERS)],
        "notes": [
            f"The mixed load, no logins; {rounds} recordings each: sums, medians, the most memory. Targets:",
            f"nothing lost, {MOST_NS} ns of CPU an event (its own and in BPF), {MOST_MB} MB, {MOST_BYTES} bytes.",
            "perf trace has system calls alone, perf sched the scheduler of the whole machine, neither has",
            "stacks or requests; what perf says it lost is in chunks. A request's cost has the recorder's",
            "programs in it, where these run on behalf of the server. Machine shared by server and load.",
        ],
    }
