# SPDX-License-Identifier: MIT
"""Section target-cost: what being profiled costs the target, in its CPU time for a request.

Two servers share the first CPU, each under a load of its own whose connections stay; load, profilers
and this script have the others. One of them is profiled, in halves with and without that alternate
in pairs whose order is drawn: what else happens to the machine meanwhile meets both servers, and
what they differ without a profiler is taken off.
"""

import gzip
import os
import random
import signal
import time

from bench_report import GROWTH, growth
from bench_run import CannotMeasure, Workbench, cpu_ns, placed
from bench_stats import median
from bench_targets import CountedLoad, start_coworkingd
from bench_tools import perf_record_command, periscope_command, read_stats

# Tool, rate, most that a request's CPU time may grow in per cent.
TOOLS = [
    ("periscope", 99, 0.5),
    ("periscope", 999, 2.0),
    ("perf record -g", 999, None),
    ("perf record --call-graph dwarf", 999, None),
]
SETTLE = 0.8  # for a profiler to start; a half without one waits as long


def _command(settings, tool, hz, pid, home, seconds):
    if tool == "periscope":
        stats = os.path.join(home, "stats")
        return periscope_command(settings.build, [pid], hz, "-f", "--stats", stats, str(seconds))
    return perf_record_command(tool, [pid], hz, os.path.join(home, "perf.data"), seconds)


def _check(tool, home, least):
    """That it did profile: a tool that is not there costs nothing."""
    if tool == "periscope":
        stats = read_stats(os.path.join(home, "stats"))
        if stats["samples"] < least:
            raise CannotMeasure(f"periscope took only {stats['samples']} samples")
        os.unlink(os.path.join(home, "stats"))
    else:
        path = os.path.join(home, "perf.data")
        if not os.path.exists(path) or os.path.getsize(path) < 50 * least:
            raise CannotMeasure(f"{tool} took hardly any samples")
        os.unlink(path)


class Server:
    """A coworkingd under a load."""

    def __init__(self, bench, settings, cpus, seconds):
        process, url = start_coworkingd(bench, settings.build, "--threads", "1", cpus=cpus)
        self.pid = process.pid
        self._load = CountedLoad(bench, url, seconds)

    def figures(self):
        """CPU time in ns and requests until now."""
        return cpu_ns(self.pid), self._load.count()


class Meter:
    def __init__(self, bench, settings, watched, beside):
        self._bench, self._settings, self._watched, self._beside = bench, settings, watched, beside
        self._home = bench.directory()
        self.seconds = 1 if settings.quick else 2
        self.busy = []  # the servers' share of their CPU
        self.rates = []

    def _window(self):
        """CPU time in ns for a request, over one span: (of the server beside, of the watched)."""
        servers = self._beside, self._watched
        time.sleep(SETTLE)
        began, before = time.monotonic(), [server.figures() for server in servers]
        time.sleep(self.seconds)
        after = [server.figures() for server in servers]
        took = time.monotonic() - began
        spent = [(cpu - cpu_before, count - count_before)
                 for (cpu, count), (cpu_before, count_before) in zip(after, before)]
        if min(count for _, count in spent) < 100:
            raise CannotMeasure(f"only {spent[0][1]} and {spent[1][1]} requests in {took:.1f} s")
        self.busy.append(sum(cpu for cpu, _ in spent) / took / 1e9)
        self.rates.append(sum(count for _, count in spent) / took)
        return [cpu / count for cpu, count in spent]

    def half(self, tool, hz):
        if not tool:
            return self._window()
        # Longer than needed; it is ended after the span.
        pid = self._watched.pid
        command = _command(self._settings, tool, hz, pid, self._home, self.seconds + 30)
        profiler = self._bench.spawn(command, stop=signal.SIGINT)
        result = self._window()
        if profiler.poll() is not None:
            raise CannotMeasure(f"{tool} has ended with status {profiler.returncode}")
        self._bench.stop(profiler)
        _check(tool, self._home, int(hz * self.seconds / 8))
        return result


def _interrupt_time_hidden():
    """Whether the kernel keeps interrupts, and so the samples, out of processes' CPU time."""
    paths = ["/proc/config.gz", f"/boot/config-{os.uname().release}"]
    for path in filter(os.path.exists, paths):
        with (gzip.open if path.endswith(".gz") else open)(path, "rb") as config:
            return b"CONFIG_IRQ_TIME_ACCOUNTING=y" in config.read()
    return False


def _measure(settings, meter):
    """{(tool, hz): [(ns without, ns with)]}"""
    pairs = {(tool, hz): [] for tool, hz, _ in TOOLS}
    rng = random.Random()
    number = settings.pairs
    for n in range(number):
        settings.progress(f"target-cost: round {n + 1} of {number}")
        for tool, hz in rng.sample(list(pairs), len(pairs)):
            order = rng.sample([False, True], 2)
            halves = {on: meter.half(tool if on else None, hz) for on in order}
            (beside_bare, bare), (beside, with_it) = halves[False], halves[True]
            pairs[tool, hz].append((beside * bare / beside_bare, with_it))
    return pairs


def target_cost(settings):
    with Workbench() as bench, placed() as (first, others):
        settings.progress("target-cost: the servers get warm")
        seconds = min(3600, 120 + settings.pairs * len(TOOLS) * 12)
        watched, beside = (Server(bench, settings, first, seconds) for _ in range(2))
        meter = Meter(bench, settings, watched, beside)
        for _ in range(1 if settings.quick else 4):
            meter.half(None, 0)
        meter.busy.clear()
        meter.rates.clear()
        pairs = _measure(settings, meter)
    notes = [
        f"Halves of {meter.seconds} s; the two servers used {100 * median(meter.busy):.0f} % of a CPU at "
        f"{median(meter.rates):.0f} requests/s.",
        "Load: scripts/load.lua's mix without its logins, 32 connections each. Without: the server",
        "beside, by what the two differ without a profiler. Growth: the median over pairs, with its",
        "95 % bootstrap interval. Not certain: the target lies in the interval.",
    ]
    if first:
        notes.append(f"The servers ran on CPU {min(first)} only, everything else on {sorted(others)}.")
    if _interrupt_time_hidden():
        notes.append("This kernel books interrupts apart: the samples' own time is NOT in these figures.")
    return {
        "title": "target-cost: the target's CPU time for a request, without and with a profiler",
        "columns": [("tool", "tool", ""), *GROWTH],
        "rows": [
            {"tool": f"{tool}, {hz} Hz", **growth(pairs[tool, hz], target)}
            for tool, hz, target in TOOLS
        ],
        "notes": notes,
    }
