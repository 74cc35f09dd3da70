# SPDX-License-Identifier: MIT
"""Sections requests and funcs: what being followed costs a simple read of coworkingd, in CPU time.

Two servers run on one CPU, idle but for the one whose turn it is; a turn is some milliseconds of
simple reads in batches over one connection. A tool is attached to the first, and what that one's
turns cost more than the other's beside them is what the tool costs: whatever else the machine does
meanwhile meets both. What they differ without any tool is taken off. The second server is a copy of
the file, so that no probe is in it. bpftrace does the same jobs beside, as far as a script can.
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import time

from bench_bpf import EmptyProbes
from bench_probes import BATCH, TURN, Reader
from bench_report import verdict
from bench_run import CannotMeasure, Workbench, find_program, placed, wait_for
from bench_stats import bootstrap_median, median, spread
from bench_tools import read_stats

TURNS = 30  # of each server, in a window
TARGET_US = 5.0  # most that `requests` may add to a read
TARGET_END_MS = 200  # from the signal to the end, the report included
READS = TURNS * TURN * BATCH

# Latency by route, status, SQL time, and each request's time off CPU.
REQUESTS_SCRIPT = """
usdt:{exe}:coworking:request__start {{ @start[arg0] = nsecs; @run[tid] = arg0; }}
usdt:{exe}:coworking:request__run {{ @run[tid] = arg0; }}
usdt:{exe}:coworking:request__pause {{ delete(@run[tid]); }}
usdt:{exe}:coworking:db__stmt__start {{ @sql[tid] = nsecs; }}
usdt:{exe}:coworking:db__stmt__done /@sql[tid]/ {{
	@stmt[arg1] = stats(nsecs - @sql[tid]); delete(@sql[tid]);
}}
tracepoint:sched:sched_switch {{
	if (@run[args->prev_pid]) {{ @off[args->prev_pid] = nsecs; }}
	if (@off[args->next_pid]) {{
		@away[@run[args->next_pid]] += nsecs - @off[args->next_pid];
		delete(@off[args->next_pid]);
	}}
}}
usdt:{exe}:coworking:request__done /@start[arg0]/ {{
	@latency[arg1] = hist(nsecs - @start[arg0]); @status[arg1, arg2] = count();
	@offcpu[arg1] = hist(@away[arg0]); delete(@start[arg0]); delete(@away[arg0]);
}}
"""

FUNCS_SCRIPT = """
uprobe:{exe}:handle_* {{ @start[tid] = nsecs; @calls[func] = count(); }}
uretprobe:{exe}:handle_* /@start[tid]/ {{ @ns[func] = hist(nsecs - @start[tid]); delete(@start[tid]); }}
"""


class Tool:
    """A command that is attached for one window, and what it says of that."""

    def __init__(self, name, target=None):
        self.name, self.target = name, target
        self.figures = []  # of each window: hits or calls for a read
        self.ends = []  # ms that it took to end

    def command(self, settings, pid, home):
        raise NotImplementedError

    def wait(self, home, process):
        """Until it is attached."""
        raise NotImplementedError

    def check(self, home):
        """That it saw what it should."""
        raise NotImplementedError

    def window(self, bench, settings, servers):
        """What a window costs while it is attached."""
        home = bench.directory()
        command = self.command(settings, servers.watched.pid, home)
        with open(os.path.join(home, "log"), "wb") as log:
            process = bench.spawn(command, stop=signal.SIGINT, stderr=log)
        self.wait(home, process)
        costs = servers.window()
        if process.poll() is not None:
            raise CannotMeasure(f"{self.name} has ended with status {process.returncode}")
        began = time.monotonic()
        bench.stop(process)
        self.ends.append((time.monotonic() - began) * 1000)
        self.check(home)
        return costs


class Empty(Tool):
    """Not a tool: programs that do nothing, at probes that a read passes once each."""

    def __init__(self, *probes):
        super().__init__(f"empty programs at {len(probes)} of the probes")
        self._probes = probes

    def window(self, bench, settings, servers):
        path = os.path.join(settings.build, "coworkingd")
        command = [os.path.join(settings.build, "periscope"), "probes", path, "--json"]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        usdt = [probe for probe in json.loads(result.stdout)["objects"][0]["usdt"]
                if probe["name"] in self._probes]
        self.figures.append(len(usdt))
        with EmptyProbes(servers.watched.pid, path, [probe["offset"] for probe in usdt],
                         counters=[probe["semaphore"]["offset"] for probe in usdt]):
            return servers.window()


class Periscope(Tool):
    def __init__(self, command, *options, figure, target=None):
        super().__init__("periscope " + " ".join([command, *options]), target)
        self._command, self._options, self._figure = command, options, figure

    def command(self, settings, pid, home):
        exe = os.path.join(settings.build, "periscope")
        return [exe, self._command, "-v", "-p", str(pid), *self._options, "--stats",
                os.path.join(home, "stats"), "-o", os.path.join(home, "report.json")]

    def wait(self, home, process):
        def capturing():
            with open(os.path.join(home, "log"), encoding="utf-8") as log:
                return "capturing\n" in log.read()

        wait_for(capturing, 30, f"{self.name} to attach", process)

    def check(self, home):
        stats = read_stats(os.path.join(home, "stats"))
        seen = stats["requests"] if self._command == "requests" else stats["calls"]
        if seen < READS or stats["lost"]:
            raise CannotMeasure(f"{self.name} saw {seen} of {READS} reads, lost {stats['lost']}")
        self.figures.append(stats[self._figure] / READS)


class Bpftrace(Tool):
    def __init__(self, name, script):
        super().__init__(f"bpftrace, {name}")
        self._script = script

    def command(self, settings, pid, home):
        script = self._script.format(exe=os.path.join(settings.build, "coworkingd"))
        path = os.path.join(home, "script")
        with open(path, "w", encoding="ascii") as file:
            file.write(script)
        return [find_program("bpftrace"), "-q", "-p", str(pid), "-o", os.path.join(home, "out"), path]

    def wait(self, home, process):
        time.sleep(6)  # it does not say; check() does

    def check(self, home):
        with open(os.path.join(home, "out"), encoding="utf-8", errors="replace") as file:
            counts = re.findall(r"^@(?:status|calls)\[.*\]: (\d+)$", file.read(), re.MULTILINE)
        if sum(map(int, counts)) < READS:
            raise CannotMeasure(f"{self.name} saw {sum(map(int, counts))} of {READS} reads")


class Servers:
    """The one that is looked at, and the one beside it."""

    def __init__(self, bench, build, cpus):
        copy = bench.directory()
        shutil.copy(os.path.join(build, "coworkingd"), copy)
        self.watched, self._other = Reader(bench, build, cpus), Reader(bench, copy, cpus)
        self.window()

    def window(self):
        """CPU time in ns for a read, of (the other, the watched)."""
        turns = {self._other: [], self.watched: []}
        for _ in range(TURNS):
            for reader in random.sample(list(turns), 2):
                turns[reader].append(reader.turn() / (TURN * BATCH))
        return [median(costs) for costs in turns.values()]

    def close(self):
        self.watched.close()
        self._other.close()


def _window(bench, settings, servers, tool):
    return tool.window(bench, settings, servers) if tool else servers.window()


def _rounds(bench, settings, servers, tools, section):
    """Of each tool, and of None, the pair of costs in each round."""
    costs = {tool: [] for tool in [None, *tools]}
    for n in range(settings.pairs):
        settings.progress(f"{section}: round {n + 1} of {settings.pairs}")
        for tool in random.sample(list(costs), len(costs)):
            costs[tool].append(_window(bench, settings, servers, tool))
    return costs


COLUMNS = [
    ("tool", "tool", ""),
    ("without", "us without [quartiles]", "{:.2f}"),
    ("with", "us with [quartiles]", "{:.2f}"),
    ("added", "us added", "{:+.2f}"),
    ("interval", "95 %", ""),
    ("figure", "hits", "{:.1f}"),
    ("a_hit", "us a hit", "{:.2f}"),
    ("ends", "ms to end", "{:.0f}"),
    ("pairs", "rounds", "{:d}"),
    ("target", "target", ""),
    ("verdict", "", ""),
]


def _row(tool, costs, bare):
    added = [((watched - other) - (bare_watched - bare_other)) / 1000
             for (other, watched), (bare_other, bare_watched) in zip(costs, bare)]
    low, high = bootstrap_median(added)
    row = {
        "tool": tool.name,
        "without": spread(other / 1000 for other, _ in costs),
        "with": spread(watched / 1000 for _, watched in costs),
        "added": median(added),
        "interval": f"{low:+.2f} to {high:+.2f}",
        "ends": median(tool.ends) if tool.ends else None,
        "pairs": len(costs),
    }
    if tool.figures:
        row["figure"] = median(tool.figures)
        row["a_hit"] = row["added"] / row["figure"] if row["figure"] else None
    if tool.target:
        row["target"] = f"<= {tool.target}, {TARGET_END_MS} ms"
        row["verdict"] = verdict(row["added"], tool.target)
        if low <= tool.target < high:
            row["verdict"] += ", not certain"
        row["verdict"] += ", " + verdict(row["ends"], TARGET_END_MS)
    return row


def _section(settings, name, title, tools, notes):
    with Workbench() as bench, placed() as (first, others):
        servers = Servers(bench, settings.build, first)
        costs = _rounds(bench, settings, servers, tools, name)
        servers.close()
    notes = [
        f"Windows of {READS} reads (GET /rooms) of each of two servers by turns, {BATCH} at a time on one",
        "connection. Without: the server beside. Added: the median over rounds, with its 95 % bootstrap",
        "interval. To end: from the signal until the process is gone, its report written.",
        *notes,
    ]
    if first:
        notes.append(f"The servers ran on CPU {min(first)} only, everything else on {sorted(others)}.")
    return {"title": title, "columns": COLUMNS,
            "rows": [_row(tool, costs[tool], costs[None]) for tool in tools], "notes": notes}


def requests(settings):
    tools = [
        Periscope("requests", figure="hits", target=TARGET_US),
        Empty("request__start", "request__account"),
        Periscope("requests", "--phases", figure="hits"),
        Periscope("requests", "--slow", "1s", figure="hits"),
        Empty("request__start", "db__stmt__start", "db__stmt__done", "request__pause", "request__done"),
        Periscope("requests", "--syscalls", figure="hits"),
        Periscope("requests", "--alloc", figure="hits"),
        Bpftrace("the same probes", REQUESTS_SCRIPT),
    ]
    notes = ["Hits: of USDT probes for a read; those of the allocator come on top."]
    return _section(settings, "requests", "requests: CPU time for a simple read, followed or not",
                    tools, notes)


def funcs(settings):
    handlers = "coworkingd:handle_*"
    models = "coworkingd:db_*"
    tools = [
        Periscope("funcs", handlers, figure="calls"),
        Periscope("funcs", handlers, "--entries", figure="calls"),
        Periscope("funcs", handlers, "--stacks", figure="calls"),
        Periscope("funcs", models, figure="calls"),
        Bpftrace("handle_*", FUNCS_SCRIPT),
    ]
    notes = ["Hits: calls of probed functions for a read, each with its return, too, without --entries."]
    return _section(settings, "funcs", "funcs: CPU time for a simple read, functions probed or not",
                    tools, notes)
