# SPDX-License-Identifier: MIT
"""How fast timelines are written and converted, how large they are, and what memory that takes."""

import json
import os
import subprocess
import time

from bench_report import verdict
from bench_run import CannotMeasure, Workbench, high_water
from bench_stats import median, spread

EVENTS = 5_000_000
RATE = 2_000_000  # events a second, at least
BYTES = 24  # an event on disk, at most
MEMORY_MB = 128

# What is made: its name, file, and options of periscope convert.
FORMATS = [
    ("Perfetto", "t.pftrace", []),
    ("Chrome JSON", "t.json", []),
    ("report", "t.txt", []),
    ("page", "t.html", []),
    ("pprof, sync", "t.pb.gz", ["--profile", "sync"]),
    ("Perfetto, one route", "r.pftrace", ["--route", "POST *"]),
]


def _run(arguments, output):
    """CPU seconds and peak memory in MB of a program."""
    with open(output, "wb") as out:
        # Not a context: os.wait4 takes its place.
        process = subprocess.Popen(arguments, stdout=out)  # pylint: disable=consider-using-with
        # Not ru_maxrss, which begins with that of this process.
        peak = pid = 0
        while not pid:
            peak = max(peak, high_water(process.pid))
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            time.sleep(0.005)
    process.returncode = status
    if status:
        raise CannotMeasure(f"{os.path.basename(arguments[0])} failed on {arguments[-1]}")
    return usage.ru_utime + usage.ru_stime, peak / 1024


def _row(name, events, runs, size):
    seconds = [run[0] for run in runs]
    rates = spread(events / s / 1e6 for s in seconds)
    row = {
        "what": name,
        "rate": rates,
        "ns": median(seconds) / events * 1e9,
        "memory": max(run[1] for run in runs),
        "bytes": size / events,
    }
    return row


def _make(settings, folder, events, runs):
    trace, told = os.path.join(folder, "t.periscope"), os.path.join(folder, "truth.json")
    made = [
        _run([settings.build + "/make_trace", str(events), trace, "--loops", "4"], told)
        for _ in range(runs)
    ]
    with open(told, encoding="ascii") as file:
        count = json.load(file)["events"]
    row = _row("written, and made up", count, made, os.path.getsize(trace))
    row["target"] = f"<= {BYTES} bytes"
    row["verdict"] = verdict(row["bytes"], BYTES)
    return trace, count, row


def convert(settings):
    events, runs = (EVENTS // 10, 1) if settings.quick else (EVENTS, 5)
    if not os.access(settings.build + "/make_trace", os.X_OK):
        raise CannotMeasure("build/make_trace is missing; run make build/make_trace first")
    settings.progress(f"convert: {events} events, {runs} times to each format")
    with Workbench() as bench:
        folder = bench.directory()
        trace, count, row = _make(settings, folder, events, runs)
        rows = [row]
        for name, file, options in FORMATS:
            path = os.path.join(folder, file)
            tool = [settings.build + "/periscope", "convert", trace, "-o", path, *options]
            made = [_run(tool, os.devnull) for _ in range(runs)]
            row = _row(name, count, made, os.path.getsize(path))
            row["target"] = f">= {RATE / 1e6:.0f}, <= {MEMORY_MB} MB"
            row["verdict"] = verdict(row["rate"].median, (RATE / 1e6,))
            if row["memory"] > MEMORY_MB:
                row["verdict"] = "MISSED"
            rows.append(row)
            os.remove(path)
    return {
        "title": f"convert: a timeline of {count:,} events, by CPU time",
        "columns": [
            ("what", "what", ""),
            ("rate", "million/s [quartiles]", "{:.2f}"),
            ("ns", "ns/event", "{:.0f}"),
            ("bytes", "bytes/event", "{:.2f}"),
            ("memory", "peak MB", "{:.1f}"),
            ("target", "target", ""),
            ("verdict", "", ""),
        ],
        "rows": rows,
        "notes": [
            "The trace is synthetic: 4 loops with writers, requests, system calls, waits, SQL with its",
            "text. Its events are smaller than those of a real server.",
        ],
    }
