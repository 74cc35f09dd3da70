# SPDX-License-Identifier: MIT
"""Sections completeness and memory: one capture of each server at 999 Hz, and perf's beside it."""

import os

from bench_report import verdict
from bench_run import CannotMeasure, Workbench, own_peak_kb
from bench_stats import share
from bench_targets import SERVERS
from bench_tools import PERF_MODES, perf_capture, periscope_capture, text_bytes

HZ = 999
COMPLETE_PERCENT = 99.9
MEMORY_MB = 64
TABLE_KB_PER_MB = 250


class Captures:
    """Makes each capture once, whichever section asks first."""

    def __init__(self, settings):
        self._settings = settings
        self._made = {}

    def of(self, name):
        """(load, {tool: Capture}) of a server."""
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def _make(self, name):
        s = self._settings
        seconds = 2 if s.quick else 10
        with Workbench() as bench:
            s.progress(f"{name}: captures of {seconds} s with periscope and perf")
            # Time for three captures and for the tools to start and finish; perf script is slow,
            # and that the load goes on or ends meanwhile makes no difference.
            target = SERVERS[name](bench, s.build, 3 * seconds + 60)
            done = {"periscope": periscope_capture(bench, s.build, target.pids(), HZ, seconds)}
            for mode in PERF_MODES:
                done[mode] = perf_capture(bench, mode, target, HZ, seconds)
            for tool, capture in done.items():
                if capture.samples < 100:
                    raise CannotMeasure(f"{tool} took only {capture.samples} samples of {name}")
            return target.load, done


def completeness(settings):
    rows = []
    for name in SERVERS:
        load, captures = settings.captures.of(name)
        for tool, capture in captures.items():
            percent = share(capture.complete, capture.samples)
            ours = tool == "periscope"
            rows.append(
                {
                    "program": f"{name} ({load})" if ours else "",
                    "server": name,
                    "tool": tool,
                    "samples": capture.samples,
                    "complete": percent,
                    "reaching": share(capture.reaching, capture.samples),
                    "kb": capture.size / 1024,
                    "target": f">= {COMPLETE_PERCENT} %" if ours else "",
                    "verdict": verdict(percent, (COMPLETE_PERCENT,)) if ours else "",
                }
            )
    return {
        "title": f"completeness: stacks that reach the outermost frame, {HZ} Hz",
        "columns": [
            ("program", "program and load", ""),
            ("tool", "tool", ""),
            ("samples", "samples", "{:d}"),
            ("complete", "complete %", "{:.2f}"),
            ("reaching", "to main %", "{:.2f}"),
            ("kb", "file KB", "{:.0f}"),
            ("target", "target", ""),
            ("verdict", "", ""),
        ],
        "rows": rows,
        "notes": [
            "file: periscope's .pb.gz, with its symbols; perf.data, without.",
            "Complete: the outermost frame is _start or clone3. To main: it is that or what libc has",
            "between it and main or the thread's function; frames between may still be missing.",
        ],
    }


def _table_row(capture):
    """(KB of unwind tables, MB of text that they describe); the vDSO has no file."""
    if not capture.detail:
        raise CannotMeasure("periscope -v does not tell the size of its unwind tables")
    table_bytes, paths = capture.detail
    text = sum(text_bytes(path) for path in paths if os.path.exists(path))
    if not text:
        raise CannotMeasure("periscope -v names no object with text")
    return table_bytes / 1024, text / (1 << 20)


def memory(settings):
    rows = []
    for name in SERVERS:
        _, captures = settings.captures.of(name)
        ours = captures["periscope"]
        table_kb, text_mb = _table_row(ours)
        peak = ours.peak_kb / 1024
        density = table_kb / text_mb
        row = {"program": name, "peak": peak, "peak_verdict": verdict(peak, MEMORY_MB)}
        row.update(table_kb=table_kb, text_mb=text_mb, density=density)
        row.update(density_verdict=verdict(density, TABLE_KB_PER_MB))
        for mode, key in zip(PERF_MODES, ("perf_fp", "perf_dwarf")):
            row[key] = captures[mode].peak_kb / 1024
            row[key + "_reader"] = captures[mode].detail / 1024
        rows.append(row)
    return {
        "title": f"memory: peak resident set and unwind tables, {HZ} Hz",
        "columns": [
            ("program", "program", ""),
            ("peak", f"peak MB (< {MEMORY_MB})", "{:.1f}"),
            ("peak_verdict", "", ""),
            ("perf_fp", "perf -g: record", "{:.1f}"),
            ("perf_fp_reader", "script", "{:.1f}"),
            ("perf_dwarf", "perf dwarf: record", "{:.1f}"),
            ("perf_dwarf_reader", "script", "{:.1f}"),
            ("table_kb", "tables KB", "{:.0f}"),
            ("text_mb", "text MB", "{:.2f}"),
            ("density", f"KB/MB (< {TABLE_KB_PER_MB})", "{:.0f}"),
            ("density_verdict", "", ""),
        ],
        "rows": rows,
        "notes": [
            "periscope's peak holds all of it: capture, symbols, writing; perf's is of two commands.",
            f"Peaks under {1.2 * own_peak_kb() / 1024:.0f} MB are as last read some 5 ms before the end.",
        ],
    }
