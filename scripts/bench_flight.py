# SPDX-License-Identifier: MIT
"""Section flight: what the flight recorder costs, beside the same capture into a file.

Two threads on one CPU hand each other a byte through pipes: some hundred thousand events a second.
The CPU time of the target for a switch, by turns of both; that of the tool while both record the same
events side by side, by which the machine's moods cancel out; then the recorder is left alone until its
memory is full, and asked for a dump.
"""

import json
import os
import random
import re
import subprocess
import time

from bench_offcpu import attached, handoff, switches_of
from bench_report import verdict
from bench_run import CannotMeasure, Workbench, cpu_ns
from bench_stats import bootstrap_median, median, spread

SECONDS = 0.5
SIZE_MB = 64
EXTRA_MB = 32  # that it may take besides
DUMP_S = 1.0
FILL_S = 90  # at most, until it is full


def _command(settings, pid, bench, flight):
    periscope = os.path.join(settings.build, "periscope")
    stats = os.path.join(bench.directory(), "stats.json")
    folder = bench.directory()
    words = [periscope, "timeline", "-p", str(pid), "--stats", stats]
    if flight:
        return [*words, "--flight", f"{SIZE_MB}MB,1h", "-o", folder], stats
    return [*words, "-o", os.path.join(folder, "t.periscope"), "100"], stats


def _window(target, pids, seconds):
    """CPU time in ns for a switch of the target: of each of these processes."""
    before, switches = [cpu_ns(pid) for pid in pids], switches_of(target)
    time.sleep(seconds)
    after, switches = [cpu_ns(pid) for pid in pids], switches_of(target) - switches
    if switches < 1000:
        raise CannotMeasure(f"only {switches} switches in {seconds} s")
    return [(b - a) / switches for a, b in zip(before, after)]


def _start(settings, bench, pid, flight):
    command, stats = _command(settings, pid, bench, flight)
    process = bench.spawn(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    attached(process)
    return process, stats


def _ended(bench, process, stats):
    bench.stop(process)
    try:
        with open(stats, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        raise CannotMeasure(f"the tool left no figures: {error}") from error


def _pairs(settings, bench, pid):
    seconds = 0.2 if settings.quick else SECONDS
    found = {False: [], True: []}
    lost = {False: 0, True: 0}
    for n in range(settings.pairs):
        settings.progress(f"flight: round {n + 1} of {settings.pairs}")
        for flight in random.sample([False, True], 2):
            process, stats = _start(settings, bench, pid, flight)
            found[flight] += _window(pid, [pid], seconds)
            lost[flight] += _ended(bench, process, stats)["lost"]
    return found, lost


def _side_by_side(settings, bench, pid):
    """The same of both tools, in windows of a second."""
    tools = [_start(settings, bench, pid, flight) for flight in (False, True)]
    found = {False: [], True: []}
    for n in range(settings.pairs):
        settings.progress(f"flight: window {n + 1} of {settings.pairs}")
        file, flight = _window(pid, [process.pid for process, _ in tools], 1)
        found[False].append(file)
        found[True].append(flight)
    lost = sum(_ended(bench, process, stats)["lost"] for process, stats in tools)
    return found, lost


def _memory(pid):
    """MB: all that is resident, and what of it is the tool's own."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        text = status.read()
    return tuple(
        int(re.search(rf"^{key}:\s+(\d+) kB", text, re.MULTILINE)[1]) / 1024
        for key in ("VmRSS", "RssAnon")
    )


def _dump(settings, target):
    """Seconds it took, MB."""
    began = time.monotonic()
    done = subprocess.run(
        [os.path.join(settings.build, "periscope"), "timeline", "--dump", "-p", str(target)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    seconds = time.monotonic() - began
    path = done.stdout.strip()
    if done.returncode or not path:
        raise CannotMeasure(f"no dump: {done.stderr.strip()}")
    size = os.path.getsize(path) / 1048576
    os.unlink(path)
    return seconds, size


def _full(settings, bench, pid):
    """A recorder whose memory is full: its dump, its memory, what was lost."""
    process, stats = _start(settings, bench, pid, True)
    _, base = _memory(process.pid)
    end = time.monotonic() + (5 if settings.quick else FILL_S)
    size = 0
    while size < 0.95 * SIZE_MB and time.monotonic() < end:
        settings.progress(f"flight: filling, {size:.0f} MB")
        time.sleep(5)
        seconds, size = _dump(settings, pid)
    dumps = [seconds]
    for _ in range(3):
        time.sleep(0.5)
        seconds, size = _dump(settings, pid)
        dumps.append(seconds)
    rss, own = _memory(process.pid)
    return {
        "seconds": dumps[-3:],
        "size": size,
        "rss": rss,
        "own": own,
        "base": base,
        "stats": _ended(bench, process, stats),
    }


def _with_quartiles(values):
    of = spread(values)
    return f"{of.median:.0f} [{of.q1:.0f}, {of.q3:.0f}]"


def _cost_row(name, found):
    """The recorder's median beside the file's; the difference by pairs."""
    file, flight = found[False], found[True]
    more = [b - a for a, b in zip(file, flight)]
    low, high = bootstrap_median(more)
    return {
        "what": name,
        "file": _with_quartiles(file),
        "flight": _with_quartiles(flight),
        "more": f"{median(more):+.0f}, 95 %: {low:+.0f} to {high:+.0f}",
        "target": "no more",
        "verdict": verdict(low, 0),
    }


def _full_rows(full):
    rows = [
        {
            "what": f"memory, {SIZE_MB} MB given: own, MB",
            "flight": f"{full['own']:.0f} ({full['base']:.0f} at first; resident {full['rss']:.0f})",
            "target": f"<= {SIZE_MB + EXTRA_MB}",
            "verdict": verdict(full["own"], SIZE_MB + EXTRA_MB),
        },
        {
            "what": f"a dump of {full['size']:.0f} MB, s",
            "flight": ", ".join(f"{s:.2f}" for s in full["seconds"]),
            "target": f"<= {DUMP_S:.0f}",
            "verdict": verdict(median(full["seconds"]), DUMP_S),
        },
        {
            "what": f"events lost of {full['stats']['events']}",
            "flight": str(full["stats"]["lost"]),
            "target": "0",
            "verdict": verdict(full["stats"]["lost"], 0),
        },
    ]
    return rows


def flight(settings):
    with Workbench() as bench:
        pid = handoff(settings, bench)
        found, lost = _pairs(settings, bench, pid)
        beside, lost_beside = _side_by_side(settings, bench, pid)
        full = _full(settings, bench, pid)
    rows = [
        _cost_row("target, ns for a switch", found),
        _cost_row("tool, ns for a switch", beside),
        *_full_rows(full),
    ]
    return {
        "title": "flight: the flight recorder beside the same capture into a file",
        "columns": [
            ("what", "", ""),
            ("file", "into a file [quartiles]", ""),
            ("flight", "--flight", ""),
            ("more", "more", ""),
            ("target", "target", ""),
            ("verdict", "", ""),
        ],
        "rows": rows,
        "notes": [
            f"Two threads on one CPU hand over a byte through pipes; {settings.pairs} pairs, of the target by",
            "turns, of the tool with both at once.",
            "No more: the 95 % interval of the difference reaches 0. Own memory is anonymous; what is",
            "resident besides are the kernel's buffers, mapped, as in each capture. Lost in the rounds:",
            f"{lost[False]} into files, {lost[True]} with --flight, {lost_beside} with both at once.",
        ],
    }
