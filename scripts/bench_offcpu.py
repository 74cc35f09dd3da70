# SPDX-License-Identifier: MIT
"""Section offcpu: what following a switch costs, beside a bpftrace script of the same job.

Two threads on one CPU hand each other a byte through pipes, so that each hand-over is a switch and a
wake-up. Their CPU time for a switch, without and with the tool, tells what a switch costs more.
"""

import os
import random
import select
import time

from bench_report import verdict
from bench_run import CannotMeasure, Workbench, cpu_ns, find_program
from bench_stats import bootstrap_median, median, spread

TARGET = 2000  # most that a switch may cost, in ns
SECONDS = 0.5
FRAMES = 14  # of the user's in a wait's stack

OURS = {
    "periscope offcpu": [],
    "periscope offcpu -U": ["-U"],
    "periscope offcpu --waker": ["--waker"],
}

# What a thread leaves its CPU with, and how long it was away, by stack. Its stacks are by frame
# pointers; it does not tell blocked from runnable, nor why.
SCRIPT = """
tracepoint:sched:sched_switch {
	if (pid == TARGET) { @start[tid] = nsecs; @u[tid] = ustack; @k[tid] = kstack; }
	if (@start[args->next_pid]) {
		@us[@u[args->next_pid], @k[args->next_pid]] = sum(nsecs - @start[args->next_pid]);
		delete(@start[args->next_pid]);
	}
}
END { clear(@start); clear(@u); clear(@k); }
"""


def switches_of(pid):
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status", encoding="ascii") as status:
            total += sum(int(line.split()[1]) for line in status if "ctxt_switches" in line)
    return total


def _window(pid, seconds):
    """CPU time in ns for a switch."""
    cpu, switches = cpu_ns(pid), switches_of(pid)
    time.sleep(seconds)
    cpu, switches = cpu_ns(pid) - cpu, switches_of(pid) - switches
    if switches < 1000:
        raise CannotMeasure(f"only {switches} switches in {seconds} s")
    return cpu / switches


def _scheduler_links(process):
    """How many links of BPF programs the process holds."""
    links = 0
    try:
        for fd in os.listdir(f"/proc/{process.pid}/fdinfo"):
            with open(f"/proc/{process.pid}/fdinfo/{fd}", encoding="ascii") as info:
                links += "link_type" in info.read()
    except OSError:
        pass
    return links


def attached(process, by_output=None):
    """Waits until the tool follows switches: ours holds its links, bpftrace says so."""
    end = time.monotonic() + 30
    while time.monotonic() < end and process.poll() is None:
        if by_output:
            if select.select([by_output], [], [], 0.1)[0] and b"Attach" in os.read(
                by_output.fileno(), 4096
            ):
                time.sleep(0.5)
                return
        elif _scheduler_links(process) >= 6:
            time.sleep(0.3)
            return
        time.sleep(0.02)
    raise CannotMeasure("the tool did not attach")


def _with(bench, settings, tool, pid, seconds):
    out = os.path.join(bench.directory(), "out")
    with open(out, "wb") as file:
        if tool in OURS:
            command = [os.path.join(settings.build, "periscope"), "offcpu", "-p", str(pid), "-f"]
            process = bench.spawn([*command, *OURS[tool], "30"], stdout=file)
            attached(process)
        else:
            script = SCRIPT.replace("TARGET", str(pid))
            process = bench.spawn(
                [find_program("bpftrace"), "-e", script], stdout=-1, stderr=file
            )
            attached(process, process.stdout)
        cost = _window(pid, seconds)
        if process.poll() is not None:
            raise CannotMeasure(f"{tool} has ended with status {process.returncode}")
        bench.stop(process)
    return cost


def _pairs(settings, bench, pid):
    seconds = 0.2 if settings.quick else SECONDS
    tools = [*OURS, "bpftrace"]
    pairs = {tool: [] for tool in tools}
    for n in range(settings.pairs):
        settings.progress(f"offcpu: round {n + 1} of {settings.pairs}")
        for tool in random.sample(tools, len(tools)):
            without = _window(pid, seconds)
            pairs[tool].append((without, _with(bench, settings, tool, pid, seconds)))
    return pairs


def _row(tool, pairs):
    more = [with_it - without for without, with_it in pairs]
    low, high = bootstrap_median(more)
    row = {
        "tool": tool,
        "without": spread(without for without, _ in pairs),
        "with": spread(with_it for _, with_it in pairs),
        "more": median(more),
        "low": low,
        "high": high,
        "interval": f"{low:.0f} to {high:.0f}",
        "pairs": len(pairs),
    }
    if tool in OURS and "--waker" not in tool:
        row["target"], row["verdict"] = f"<= {TARGET}", verdict(row["more"], TARGET)
    return row


def handoff(settings, bench):
    """Starts the workload; its PID."""
    workload = os.path.join(settings.build, "workloads", "waits")
    if not os.access(workload, os.X_OK):
        raise CannotMeasure(f"{workload} is missing; run make check first")
    pid = bench.spawn([workload, "0", "handoff"]).pid
    time.sleep(0.5)
    return pid


def offcpu(settings):
    with Workbench() as bench:
        pid = handoff(settings, bench)
        pairs = _pairs(settings, bench, pid)
    return {
        "title": "offcpu: CPU time for a switch from thread to thread, without and with the tool",
        "columns": [
            ("tool", "tool", ""),
            ("without", "ns without [quartiles]", "{:.0f}"),
            ("with", "ns with [quartiles]", "{:.0f}"),
            ("more", "ns more", "{:.0f}"),
            ("interval", "95 %", ""),
            ("pairs", "pairs", "{:d}"),
            ("target", "target", ""),
            ("verdict", "", ""),
        ],
        "rows": [_row(tool, pairs[tool]) for tool in pairs],
        "notes": [
            f"Two threads on one CPU hand over a byte through pipes; {FRAMES} user frames. More: the",
            "median over pairs, with its 95 % bootstrap interval. A switch has a wake-up with it.",
            "bpftrace's stacks are by frame pointers, cut at the first library function.",
        ],
    }
