# SPDX-License-Identifier: MIT
"""Sections sample-cost and start: the sampling program's own time, and the time until it first runs.

The sampling program runs at every tick of every CPU and leaves at once when the process is not its
target, so its mean run time says little. What such a run costs is measured apart, on a process that
sleeps under the same load, and taken off.
"""

import collections
import contextlib
import os
import re
import signal
import time

import bench_bpf
from bench_report import verdict
from bench_run import CannotMeasure, Workbench, find_program
from bench_stats import at_depth, median, sample_ns, slope, spread
from bench_targets import coworkingd, workload
from bench_tools import EVENT, mean_depth, periscope_command, perf_record_command, read_stats

HZ = 999
PROGRAM = "cpu_sample"
STAT_SAMPLES = 0  # the element of the map `stats` that counts samples of the target (bpf/stacks.h)

SAMPLE_NS, SAMPLE_FRAMES, FRAME_NS = 3000, 10, 200
START_MS = 300

# ns, depth: of a sample; other_ns: of a run outside the target
Cost = collections.namedtuple("Cost", "ns depth other_ns samples")


@contextlib.contextmanager
def _profiler(bench, command, wanted, **spawn):
    """Starts a profiler; gives (process, its sampling program), the latter held open."""
    known = bench_bpf.program_ids()
    process = bench.spawn(command, **spawn)
    program = bench_bpf.find_new(known, wanted, process)
    try:
        yield process, program
    finally:
        program.close()
        bench.stop(process)


def _is_ours(program):
    return program.name == PROGRAM


def _is_bpftrace(program):
    return program.name == str(HZ)  # the last word of its probe


def _finish(process, name, seconds):
    process.wait(seconds + 60)
    if process.returncode:
        raise CannotMeasure(f"{name} ended with status {process.returncode}")


def _periscope_runs(bench, settings, pid, options, seconds):
    """One capture: (run time in ns, runs, samples, mean depth or None without samples)."""
    home = bench.directory()
    profile, stats = os.path.join(home, "cpu.pb.gz"), os.path.join(home, "stats")
    options = (*options, "-o", profile, "--stats", stats, str(seconds))
    command = periscope_command(settings.build, [pid], HZ, *options)
    with _profiler(bench, command, _is_ours) as (process, program):
        _finish(process, "periscope", seconds)
        run_ns, runs = program.runs()
    samples = read_stats(stats)["samples"]
    return run_ns, runs, samples, mean_depth(profile) if samples else None


def _bpftrace_runs(bench, _settings, pid, _options, seconds):
    """The same of a bpftrace script that counts user stacks, by frame pointers."""
    out = os.path.join(bench.directory(), "out")
    script = f"profile:hz:{HZ} /pid == {pid}/ {{ @[ustack] = count(); @n = count(); }}"
    script += f" interval:s:{seconds} {{ exit(); }}"
    with open(out, "wb") as file:
        command = [find_program("bpftrace"), "-q", "-e", script]
        with _profiler(bench, command, _is_bpftrace, stdout=file) as (process, program):
            _finish(process, "bpftrace", seconds)
            run_ns, runs = program.runs()
    with open(out, encoding="utf-8", errors="replace") as file:
        samples, depth = bpftrace_depth(file.read())
    return run_ns, runs, samples, depth


def bpftrace_depth(text):
    """(samples, frames in the mean stack) of what bpftrace prints for @[ustack] and @n."""
    frames = samples = 0
    for stack, count in re.findall(r"^@\[(.*?)\]: (\d+)$", text, re.MULTILINE | re.DOTALL):
        frames += int(count) * len([line for line in stack.split("\n") if line.strip()])
        samples += int(count)
    return samples, frames / samples if samples else None


def _cost(bench, settings, pid, runs_of, options):
    """The cost of a sample of process `pid`, as often as the settings say."""
    seconds = 1 if settings.quick else 3
    sleeper = bench.spawn(["sleep", "600"])
    elsewhere, measured = [], []
    for _ in range(1 if settings.quick else 5):
        other_ns, others, ours, _ = runs_of(bench, settings, sleeper.pid, options, seconds)
        if not others or ours:
            raise CannotMeasure("the runs outside the target could not be told apart")
        elsewhere.append(other_ns / others)
        measured.append(runs_of(bench, settings, pid, options, seconds))
        if measured[-1][2] < 50:
            raise CannotMeasure(f"too few samples in {seconds} s: is the machine overloaded?")
    bench.stop(sleeper)
    # There are more of these than samples: one that a virtual machine's host held up must not count.
    other = median(elsewhere)
    return [
        Cost(sample_ns(run_ns, runs, samples, other), depth, other, samples)
        for run_ns, runs, samples, depth in measured
    ]


# ---- sample-cost ----

DEPTHS = (16, 216)


def _workload_costs(settings):
    costs = {}
    cases = [("recursion", str(depth)) for depth in DEPTHS] + [("shares",)]
    for case in cases:
        name = " ".join(case)
        settings.progress(f"sample-cost: the workload {name}")
        with Workbench() as bench:
            pid = workload(bench, settings.build, *case).pid
            costs[f"{name}, -U"] = _cost(bench, settings, pid, _periscope_runs, ("-U",))
    return costs


def _server_costs(settings):
    costs = {}
    with Workbench() as bench:
        server = coworkingd(bench, settings.build, 300)
        pid = server.pids()[0]
        settings.progress("sample-cost: coworkingd under the mixed load")
        costs["coworkingd, -U"] = _cost(bench, settings, pid, _periscope_runs, ("-U",))
        costs["coworkingd"] = _cost(bench, settings, pid, _periscope_runs, ())
        try:
            find_program("bpftrace")
        except CannotMeasure:
            settings.progress("sample-cost: bpftrace is not installed, so not beside it")
            return costs
        costs["coworkingd, bpftrace ustack"] = _cost(bench, settings, pid, _bpftrace_runs, ())
    return costs


def _derived(costs):
    """The two figures with a target: a frame, and ten frames with cold caches."""
    shallow, deep = (costs[f"recursion {depth}, -U"] for depth in DEPTHS)
    frames = [slope(a.depth, a.ns, b.depth, b.ns) for a, b in zip(shallow, deep)]
    frame_ns = median(frames)
    ten = [at_depth(c.ns, c.depth, frame_ns, SAMPLE_FRAMES) for c in costs["coworkingd, -U"]]
    return [
        {
            "what": "a further frame",
            "ns": spread(frames),
            "target": f"<= {FRAME_NS}",
            "verdict": verdict(frame_ns, FRAME_NS),
        },
        {
            "what": f"coworkingd, -U, for {SAMPLE_FRAMES} frames",
            "ns": spread(ten),
            "depth": float(SAMPLE_FRAMES),
            "target": f"<= {SAMPLE_NS}",
            "verdict": verdict(median(ten), SAMPLE_NS),
        },
    ]


def sample_cost(settings):
    with bench_bpf.RunTimeStats():
        costs = {**_workload_costs(settings), **_server_costs(settings)}
    rows = []
    for what, list_of in costs.items():
        rows.append(
            {
                "what": what,
                "ns": spread(cost.ns for cost in list_of),
                "depth": median([cost.depth for cost in list_of]),
                "other": median([cost.other_ns for cost in list_of]),
                "samples": sum(cost.samples for cost in list_of),
            }
        )
    return {
        "title": f"sample-cost: time in the kernel's sampling program for a sample, {HZ} Hz",
        "columns": [
            ("what", "process and stacks", ""),
            ("ns", "ns a sample [quartiles]", "{:.0f}"),
            ("depth", "mean frames", "{:.1f}"),
            ("other", "ns elsewhere", "{:.0f}"),
            ("samples", "samples", "{:d}"),
            ("target", "target", ""),
            ("verdict", "", ""),
        ],
        "rows": rows + _derived(costs),
        "notes": [
            "The workloads' caches are warm, the server's are not; both are as the kernel counts run",
            "time, its clock reads included. Elsewhere: a run outside the target, taken off.",
            f"A further frame: from recursion, {DEPTHS[0]} to {DEPTHS[1]} deep. For {SAMPLE_FRAMES} frames:",
            "the server's figure, less that much for each frame over.",
        ],
    }


# ---- start ----


def _periscope_start_ms(bench, settings, pid):
    command = periscope_command(settings.build, [pid], HZ, "-f", "30")
    began = time.monotonic()
    with _profiler(bench, command, _is_ours, stop=signal.SIGINT) as (process, program):
        stats = program.map("stats")
        try:
            while not bench_bpf.percpu_sum(stats, STAT_SAMPLES):
                if process.poll() is not None or time.monotonic() - began > 20:
                    raise CannotMeasure("periscope took no sample")
                time.sleep(0.0005)
            return 1000 * (time.monotonic() - began)
        finally:
            os.close(stats)


def _perf_start_ms(bench, pid):
    path = os.path.join(bench.directory(), "perf.data")
    command = perf_record_command("perf record -g", [pid], HZ, path, 1, "-k", "CLOCK_MONOTONIC")
    began = time.monotonic()
    done = bench.run(command)
    perf = [find_program("perf"), "script", "-i", path, "--ns", "-F", "time"]
    times = bench.run(perf).stdout.split(None, 1)
    if done.status or not times:
        raise CannotMeasure("perf took no sample")
    return 1000 * (float(times[0].rstrip(b":")) - began)


def start(settings):
    settings.progress("start: coworkingd under the mixed load")
    repeat = 3 if settings.quick else 15
    with Workbench() as bench:
        pid = coworkingd(bench, settings.build, 300).pids()[0]
        ours, perfs = [], []
        for _ in range(repeat):
            ours.append(_periscope_start_ms(bench, settings, pid))
            perfs.append(_perf_start_ms(bench, pid))
    mine = {"tool": "periscope cpu", "ms": spread(ours), "n": repeat, "target": f"<= {START_MS}"}
    mine["verdict"] = verdict(median(ours), START_MS)
    return {
        "title": "start: from before fork and exec to the first sample of coworkingd",
        "columns": [
            ("tool", "tool", ""),
            ("ms", "ms [quartiles]", "{:.0f}"),
            ("n", "starts", "{:d}"),
            ("target", "target", ""),
            ("verdict", "", ""),
        ],
        "rows": [mine, {"tool": "perf record -g", "ms": spread(perfs), "n": repeat}],
        "notes": [
            f"Event {EVENT}. periscope: its count of samples, looked at every millisecond; perf: the",
            "time of the first sample in its file.",
        ],
    }
