# SPDX-License-Identifier: MIT
"""Section heap: what following allocations costs, in time and memory, and how soon it is over."""

import os
import random
import re
import shutil
import signal
import time

from bench_bpf import RunTimeStats, find_new, program_ids
from bench_heap_loop import (
    BPFTRACE,
    Loop,
    bpftrace_calls,
    breakpoints,
    loop_table,
    still_there,
    start_bpftrace,
    start_periscope,
)
from bench_probes import BATCH, TURN, Reader
from bench_report import verdict
from bench_run import CannotMeasure, Workbench, placed
from bench_stats import bootstrap_median, median, slope, spread
from bench_tools import read_stats

TURNS = 5  # of each server, in a window
DUTY_TURNS = 150  # these must be long enough for several of its windows
DUTY_GROWTH = 10  # target: per cent, at --duty 5%
BLOCK_BYTES = 128  # target: kernel memory for a live block
DETACH_MS = 200  # target: from the signal until no probe is left
MEMORY_GROWTH_KB = 512  # target: the tool's own, from the one moment of a capture to the other
SHORT_S, LONG_S = 1.5, 7.5
HEAPTRACK = "heaptrack (LD_PRELOAD)"

SERVER_TOOLS = {
    "periscope heap": [],
    "periscope heap --alloc-only": ["--alloc-only"],
    "periscope heap --duty 5%": ["--duty", "5%"],
    "periscope heap --record": ["--record", "RECORD"],
    "periscope heap --verdicts": ["--verdicts"],
}


# ---- a server ----


class Servers:
    """Three of coworkingd on one CPU: one to be looked at, one beside it, one with heaptrack in it."""

    def __init__(self, bench, settings, cpus):
        copy = bench.directory()
        shutil.copy(os.path.join(settings.build, "coworkingd"), copy)
        self.watched = Reader(bench, settings.build, cpus)
        self.other = Reader(bench, copy, cpus)
        self.tracked = Reader(bench, copy, cpus, env=_heaptrack_environment(bench))
        for reader in (self.watched, self.other, self.tracked):
            for _ in range(10):
                reader.turn()

    def window(self, readers, turns):
        """For each of them (CPU, wall) in ns for a read; they take turns."""
        costs = {reader: [] for reader in readers}
        for one in costs:
            one.reconnect()
        for _ in range(turns):
            for one in random.sample(list(costs), len(costs)):
                began = time.monotonic_ns()
                cpu = one.turn()
                costs[one].append((cpu, time.monotonic_ns() - began))
        return [
            tuple(sum(column) / (len(turn) * TURN * BATCH) for column in zip(*turn))
            for turn in costs.values()
        ]

    def close(self):
        for reader in (self.watched, self.other, self.tracked):
            reader.close()


def _heaptrack_environment(bench):
    library = "/usr/lib/heaptrack/libheaptrack_preload.so"
    if not os.path.exists(library):
        raise CannotMeasure("heaptrack is not installed: scripts/setup bench installs it")
    data = os.path.join(bench.directory(), "heaptrack")
    return dict(os.environ, LD_PRELOAD=library, DUMP_HEAPTRACK_OUTPUT=data)


def _server_window(bench, settings, servers, tool, turns):
    both = servers.other, servers.watched
    if tool is None:
        return servers.window(both, turns)
    if tool == HEAPTRACK:
        return servers.window((servers.other, servers.tracked), turns)
    if tool == BPFTRACE:
        # Its probes are in all processes: the other server is asked before.
        costs = servers.window(both[:1], turns)
        process, out = start_bpftrace(bench, servers.watched.pid)
        costs += servers.window(both[1:], turns)
        bench.stop(process, 60)
        if bpftrace_calls(out) < turns * TURN * BATCH:
            raise CannotMeasure(f"bpftrace saw {bpftrace_calls(out)} allocations")
        return costs
    process, home = start_periscope(bench, settings, servers.watched.pid, *SERVER_TOOLS[tool])
    costs = servers.window(both, turns)
    bench.stop(process)
    stats = read_stats(os.path.join(home, "stats"))
    if stats["lost"] or not stats["allocations"]:
        raise CannotMeasure(f"{tool} saw {stats['allocations']} allocations, lost {stats['lost']}")
    return costs


def _hits(bench, settings, servers, tool):
    """Runs of the tool's programs for a read, and their ns."""
    known, reads = program_ids(), 10 * TURN * BATCH
    with RunTimeStats():
        process, _ = start_periscope(bench, settings, servers.watched.pid, *SERVER_TOOLS[tool])
        programs = [
            find_new(known, lambda program, name=name: program.name == name, process)
            for name in ("heap_call", "heap_return")
        ]
        before = [program.runs() for program in programs]
        servers.watched.reconnect()
        for _ in range(reads // (TURN * BATCH)):
            servers.watched.turn()
        after = [program.runs() for program in programs]
        bench.stop(process)
    runs = sum(b[1] - a[1] for a, b in zip(before, after))
    ns = sum(b[0] - a[0] for a, b in zip(before, after))
    for program in programs:
        program.close()
    return runs / reads, ns / runs if runs else None


def _server_row(tool, windows, hits):
    growth = [100 * (with_it[0] / without[0] - 1) for without, with_it in windows]
    low, high = bootstrap_median(growth)
    row = {
        "tool": tool or "nothing",
        "without": spread(without[0] / 1000 for without, _ in windows),
        "with": spread(with_it[0] / 1000 for _, with_it in windows),
        "growth": median(growth),
        "interval": f"{low:+.1f} to {high:+.1f}",
        "rate_without": median(1e9 / without[1] for without, _ in windows),
        "rate": median(1e9 / with_it[1] for _, with_it in windows),
        "pairs": len(windows),
    }
    row["hits"], row["run"] = hits.get(tool, (None, None))
    if tool == "periscope heap --duty 5%":
        row["target"] = f"<= {DUTY_GROWTH}"
        row["verdict"] = verdict(row["growth"], DUTY_GROWTH)
        if low <= DUTY_GROWTH < high:
            row["verdict"] += ", not certain"
    return row


def heap_server(settings):
    tools = [None, *SERVER_TOOLS, BPFTRACE, HEAPTRACK]
    windows = {tool: [] for tool in tools}
    with Workbench() as bench, placed() as (first, others):
        servers = Servers(bench, settings, first)
        for n in range(settings.pairs):
            settings.progress(f"heap: server, round {n + 1} of {settings.pairs}")
            for tool in random.sample(tools, len(tools)):
                turns = DUTY_TURNS if tool and "--duty" in tool else TURNS
                windows[tool].append(_server_window(bench, settings, servers, tool, turns))
        hits = {tool: _hits(bench, settings, servers, tool)
                for tool in ("periscope heap", "periscope heap --alloc-only")}
        servers.close()
    notes = [
        f"Windows of {TURNS * TURN * BATCH} reads (GET /rooms; --duty: {DUTY_TURNS * TURN * BATCH}) of "
        f"each of two servers by turns, {BATCH} at a time",
        "on one connection. Without: the server beside, of bpftrace before it attaches, for it probes",
        "every process. Growth: the median over rounds, with its 95 % bootstrap interval; nothing: what",
        "the two differ by themselves. Hits and the programs' own time for a hit: by the kernel's",
        "statistics, in a capture apart.",
    ]
    if first:
        notes.append(f"The servers ran on CPU {min(first)} only, everything else on {sorted(others)}.")
    return {
        "title": "heap: a read of coworkingd, without and with a tool",
        "columns": [
            ("tool", "tool", ""),
            ("without", "us without [quartiles]", "{:.2f}"),
            ("with", "us with [quartiles]", "{:.2f}"),
            ("growth", "growth %", "{:+.1f}"),
            ("interval", "95 %", ""),
            ("rate_without", "reads/s without", "{:.0f}"),
            ("rate", "with", "{:.0f}"),
            ("hits", "hits/read", "{:.1f}"),
            ("run", "ns/hit in BPF", "{:.0f}"),
            ("pairs", "rounds", "{:d}"),
            ("target", "target", ""),
            ("verdict", "", ""),
        ],
        "rows": [_server_row(tool, windows[tool], hits) for tool in tools],
        "notes": notes,
    }


# ---- memory, and the end ----


def _kernel_bytes(process):
    """Of all BPF maps that the process holds."""
    total = 0
    for fd in os.listdir(f"/proc/{process.pid}/fdinfo"):
        try:
            with open(f"/proc/{process.pid}/fdinfo/{fd}", encoding="ascii") as info:
                text = info.read()
        except OSError:
            continue
        if "map_type:" in text:
            total += int(re.search(r"memlock:\s*(\d+)", text)[1])
    return total


def _block_bytes(bench, settings, pid):
    sizes = []
    for blocks in (1_000_000, 3_000_000):
        process, _ = start_periscope(bench, settings, pid, "--max-live", str(blocks))
        sizes.append((blocks, _kernel_bytes(process)))
        bench.stop(process)
    return slope(*sizes[0], *sizes[1])


def _own_kb(process):
    """Memory of its own: tables and rings that it shares with the kernel are the kernel's."""
    with open(f"/proc/{process.pid}/status", encoding="ascii", errors="replace") as status:
        return int(re.search(r"RssAnon:\s*(\d+)", status.read())[1])


def _detach_ms(bench, settings, pid):
    """From SIGINT until no probe is left in libc's code."""
    process, _ = start_periscope(bench, settings, pid)
    time.sleep(0.3)
    sites = breakpoints(pid)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    while still_there(pid, sites):
        if time.monotonic() - began > 20:
            raise CannotMeasure("the probes stay")
    took = time.monotonic() - began
    bench.stop(process)
    return took * 1000


def _growth_row(bench, settings, loop, name, *options):
    process, _ = start_periscope(bench, settings, loop.pid, *options)
    began = loop.count()
    time.sleep(SHORT_S)
    few, short = loop.count() - began, _own_kb(process)
    time.sleep(LONG_S - SHORT_S)
    many, long = loop.count() - began, _own_kb(process)
    bench.stop(process)
    return {
        "what": f"{name}: its own memory after {few / 1e6:.2f} and after {many / 1e6:.2f} million pairs",
        "value": f"{short} KB, {long} KB",
        "target": f"<= {MEMORY_GROWTH_KB} KB more",
        "verdict": verdict(long - short, MEMORY_GROWTH_KB),
    }


def costs_table(settings, bench, loop):
    settings.progress("heap: memory, and the end")
    detach = [_detach_ms(bench, settings, loop.pid) for _ in range(min(settings.pairs, 7))]
    block = _block_bytes(bench, settings, loop.pid)
    rows = [
        {"what": "kernel memory for a live block", "value": f"{block:.1f} bytes",
         "target": f"<= {BLOCK_BYTES}", "verdict": verdict(block, BLOCK_BYTES)},
        {"what": "from SIGINT until no probe is left, median and worst",
         "value": f"{median(detach):.0f} ms, {max(detach):.0f} ms",
         "target": f"<= {DETACH_MS} ms", "verdict": verdict(max(detach), DETACH_MS)},
        _growth_row(bench, settings, loop, "periscope heap"),
        _growth_row(bench, settings, loop, "--record", "--record", "RECORD"),
    ]
    return {
        "title": "heap: memory, and the end of a capture",
        "columns": [("what", "what", ""), ("value", "", ""), ("target", "target", ""),
                    ("verdict", "", "")],
        "rows": rows,
        "notes": ["On the loop. Of a live block: what the maps of captures with --max-live 1000000 and",
                  "3000000 differ by."],
    }


def heap_loop(settings):
    with Workbench() as bench:
        return loop_table(settings, bench)


def heap_memory(settings):
    with Workbench() as bench:
        return costs_table(settings, bench, Loop(bench, settings))


def heap(settings):
    """Its tables, one by one."""
    for part in heap_loop, heap_memory, heap_server:
        yield part(settings)
