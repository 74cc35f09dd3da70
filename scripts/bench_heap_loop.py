# SPDX-License-Identifier: MIT
"""The part of section heap that is about a loop of malloc and free, ten frames deep.

A pair's CPU time in windows without and with a tool, by turns. What the probes' traps alone cost, is
told by programs that do nothing, at the sites where periscope's probes were found: by the bytes of
libc's code that are not what they are in its file.
"""

import os
import random
import re
import signal
import struct
import subprocess
import time

from bench_bpf import EmptyProbes
from bench_memleak import MEMLEAK, start_memleak, why_no_memleak
from bench_report import verdict
from bench_run import CannotMeasure, cpu_ns, find_program, wait_for
from bench_stats import bootstrap_median, median, spread
from bench_targets import workload

BREAKPOINT = 0xCC
# Targets: what a pair may cost more, of what it does with these.
OF_BPFTRACE = OF_MEMLEAK = 0.25
OF_EMPTY = 1.8
MEMLEAK_ROUNDS = 7  # at most: it takes seconds to start
EMPTY = "empty programs at the same sites"
BPFTRACE = "bpftrace, the same job"

OURS = {
    "periscope heap": [],
    "periscope heap --alloc-only": ["--alloc-only"],
    "periscope heap --record": ["--record", "RECORD"],
    "periscope heap --verdicts": ["--verdicts"],
}

# Bytes and numbers of allocations and frees, by the stack that allocated; 12 frames, by frame pointers.
SCRIPT = """
uprobe:LIBC:malloc /pid == TARGET/ { @size[tid] = arg0; }
uprobe:LIBC:calloc /pid == TARGET/ { @size[tid] = arg0 * arg1; }
uprobe:LIBC:realloc /pid == TARGET/ {
	if (@bytes[arg0]) {
		@freed[@site[arg0]] = sum(@bytes[arg0]); @frees[@site[arg0]] = count();
		delete(@site[arg0]); delete(@bytes[arg0]);
	}
	@size[tid] = arg1;
}
uretprobe:LIBC:malloc,uretprobe:LIBC:calloc,uretprobe:LIBC:realloc /@size[tid]/ {
	@allocated[ustack(12)] = sum(@size[tid]); @calls[ustack(12)] = count();
	@site[retval] = ustack(12); @bytes[retval] = @size[tid]; delete(@size[tid]);
}
uprobe:LIBC:free /@bytes[arg0]/ {
	@freed[@site[arg0]] = sum(@bytes[arg0]); @frees[@site[arg0]] = count();
	delete(@site[arg0]); delete(@bytes[arg0]);
}
END { clear(@site); clear(@bytes); clear(@size); }
"""


PROBES = SCRIPT.count("probe:LIBC")


def libc_code(pid):
    """(path, start, end, offset in the file) of libc's code in the process."""
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps:
        for line in maps:
            words = line.split()
            if "x" in words[1] and re.search(r"/libc\.so\.6$", words[-1]):
                start, end = (int(word, 16) for word in words[0].split("-"))
                return words[-1], start, end, int(words[2], 16)
    raise CannotMeasure("the process has no libc")


def still_there(pid, sites):
    """Is there a breakpoint at any of these offsets? Soon told, unlike what breakpoints() tells."""
    _, start, _, offset = libc_code(pid)
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for site in sites:
            memory.seek(start + site - offset)
            if memory.read(1)[0] == BREAKPOINT:
                return True
    return False


def breakpoints(pid):
    """Offsets in libc's file where there are breakpoints in the process."""
    path, start, end, offset = libc_code(pid)
    with open(path, "rb") as file:
        file.seek(offset)
        was = file.read(end - start)
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        memory.seek(start)
        now = memory.read(len(was))
    if now == was:
        return []
    return [offset + i for i in range(len(now)) if now[i] != was[i] and now[i] == BREAKPOINT]


def symbol_offset(path, name):
    """Where a function is in the file, as libc's segments have it: address less bias."""
    out = subprocess.run(
        ["readelf", "-W", "--dyn-syms", "-l", path], capture_output=True, text=True, check=True
    ).stdout
    address = int(re.search(rf"([0-9a-f]+) +\d+ FUNC .* {name}@@", out)[1], 16)
    for offset, start, size in re.findall(r"LOAD +0x(\w+) 0x(\w+) 0x\w+ 0x(\w+)", out):
        if int(start, 16) <= address < int(start, 16) + int(size, 16):
            return address - int(start, 16) + int(offset, 16)
    raise CannotMeasure(f"{path} has no {name}")


def periscope(settings, pid, home, *options):
    options = [word.replace("RECORD", os.path.join(home, "record")) for word in options]
    exe = os.path.join(settings.build, "periscope")
    return [exe, "heap", "--force", "-v", "-p", str(pid), *options, "--stats",
            os.path.join(home, "stats"), "-o", os.path.join(home, "out.json")]


def capturing(home, process):
    def said():
        with open(os.path.join(home, "log"), encoding="utf-8") as log:
            return "capturing\n" in log.read()

    wait_for(said, 30, "periscope to attach", process)


def start_periscope(bench, settings, pid, *options):
    """Returns (process, its directory), with its probes in place."""
    home = bench.directory()
    with open(os.path.join(home, "log"), "wb") as log:
        process = bench.spawn(
            periscope(settings, pid, home, *options), stop=signal.SIGINT, stderr=log
        )
    capturing(home, process)
    return process, home


def _probes(process):
    """How many perf events the process has open: one for each probe, and some for its output."""
    found = 0
    for fd in os.listdir(f"/proc/{process.pid}/fd"):
        try:
            found += "perf_event" in os.readlink(f"/proc/{process.pid}/fd/{fd}")
        except OSError:
            continue
    return found


def start_bpftrace(bench, pid):
    """Returns (process, the file of its results)."""
    home = bench.directory()
    script = os.path.join(home, "script")
    with open(script, "w", encoding="ascii") as file:
        file.write(SCRIPT.replace("LIBC", libc_code(pid)[0]).replace("TARGET", str(pid)))
    environment = dict(os.environ, BPFTRACE_MAP_KEYS_MAX="1000000")
    command = [find_program("bpftrace"), "-q", "-p", str(pid), "-o", os.path.join(home, "out"), script]
    process = bench.spawn(command, stop=signal.SIGINT, env=environment)
    wait_for(lambda: _probes(process) >= PROBES, 30, "bpftrace to attach", process)
    wait_for(lambda: len(breakpoints(pid)) >= 4, 30, "bpftrace to attach", process)
    time.sleep(0.5)
    return process, os.path.join(home, "out")


def bpftrace_calls(path):
    with open(path, encoding="utf-8", errors="replace") as out:
        return sum(map(int, re.findall(r"^@calls\[.*?\]: (\d+)$", out.read(), re.M | re.S)))


class Loop:
    def __init__(self, bench, settings):
        self._bench, self._settings = bench, settings
        self._path = os.path.join(bench.directory(), "count")
        self.pid = workload(bench, settings.build, "heap_loop", self._path).pid
        self.seconds = 0.2 if settings.quick else 0.4
        self.sites = None  # of periscope's probes

    def count(self):
        with open(self._path, "rb") as file:
            return struct.unpack("Q", file.read(8))[0]

    def window(self):
        """CPU time in ns for a pair."""
        count, cpu = self.count(), cpu_ns(self.pid)
        time.sleep(self.seconds)
        cpu, count = cpu_ns(self.pid) - cpu, self.count() - count
        if count < 1000:
            raise CannotMeasure(f"only {count} pairs in {self.seconds} s")
        return cpu / count

    def with_tool(self, tool):
        if tool == EMPTY:
            path = libc_code(self.pid)[0]
            with EmptyProbes(self.pid, path, self.sites, [symbol_offset(path, "malloc")]):
                return self.window()
        if tool == BPFTRACE:
            process, out = start_bpftrace(self._bench, self.pid)
            cost = self.window()
            self._bench.stop(process)
            if not bpftrace_calls(out):
                raise CannotMeasure(f"bpftrace saw nothing: {self._end_of(out)}")
            return cost
        if tool == MEMLEAK:
            process = start_memleak(self._bench, self.pid, _probes)
            cost = self.window()
            self._bench.stop(process)
            return cost
        process, home = start_periscope(self._bench, self._settings, self.pid, *OURS[tool])
        if not OURS[tool]:
            self.sites = breakpoints(self.pid)
        cost = self.window()
        self._bench.stop(process)
        if not os.path.exists(os.path.join(home, "stats")):
            raise CannotMeasure(f"{tool} has failed")
        return cost

    @staticmethod
    def _end_of(path):
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()[-300:].strip()

    def find_sites(self):
        self.with_tool("periscope heap")

    def why_no_memleak(self):
        return why_no_memleak(self._bench, self.pid, _probes, self.window)


def _more(pairs):
    return median(with_it - without for without, with_it in pairs)


def _targets(row):
    """Of plain `periscope heap`."""
    limits = {"of_bpftrace": OF_BPFTRACE, "of_memleak": OF_MEMLEAK, "of_empty": OF_EMPTY}
    held = {key: limit for key, limit in limits.items() if key in row}
    return {
        "target": "<= " + ", ".join(map(str, held.values())),
        "verdict": ", ".join(verdict(row[key], limit) for key, limit in held.items()),
    }


def _rows(pairs):
    others = {"of_bpftrace": BPFTRACE, "of_memleak": MEMLEAK, "of_empty": EMPTY}
    others = {key: _more(pairs[tool]) for key, tool in others.items() if tool in pairs}
    for tool, of_tool in pairs.items():
        more = [with_it - without for without, with_it in of_tool]
        low, high = bootstrap_median(more)
        row = {
            "tool": tool,
            "without": spread(without for without, _ in of_tool),
            "with": spread(with_it for _, with_it in of_tool),
            "more": median(more),
            "interval": f"{low:.0f} to {high:.0f}",
            "pairs": len(of_tool),
        }
        row.update({key: median(more) / other for key, other in others.items()})
        if tool == "periscope heap":
            row.update(_targets(row))
        yield row


def loop_table(settings, bench):
    loop = Loop(bench, settings)
    loop.find_sites()
    settings.progress("heap: loop")
    no_memleak = loop.why_no_memleak()
    tools = [*OURS, EMPTY, BPFTRACE] + ([] if no_memleak else [MEMLEAK])
    pairs = {tool: [] for tool in tools}
    for n in range(settings.pairs):
        settings.progress(f"heap: loop, round {n + 1} of {settings.pairs}")
        for tool in random.sample(tools, len(tools)):
            if tool == MEMLEAK and n >= MEMLEAK_ROUNDS:
                continue
            without = loop.window()
            try:
                pairs[tool].append((without, loop.with_tool(tool)))
            except CannotMeasure:
                # One that does not always start: its row says in how many rounds it did.
                if tool != MEMLEAK:
                    raise
    pairs = {tool: of_tool for tool, of_tool in pairs.items() if of_tool}
    return {
        "title": "heap: CPU time of a malloc and its free, ten frames deep, without and with a tool",
        "columns": [
            ("tool", "tool", ""),
            ("without", "ns without [quartiles]", "{:.1f}"),
            ("with", "ns with [quartiles]", "{:.0f}"),
            ("more", "ns more", "{:.0f}"),
            ("interval", "95 %", ""),
            ("of_bpftrace", "of bpftrace's", "{:.2f}"),
            ("of_memleak", "of memleak's", "{:.2f}"),
            ("of_empty", "of empty ones'", "{:.2f}"),
            ("pairs", "rounds", "{:d}"),
            ("target", "target", ""),
            ("verdict", "", ""),
        ],
        "rows": list(_rows(pairs)),
        "notes": [
            "More: the median over rounds, with its 95 % bootstrap interval. Empty ones: at the entries of",
            "all that periscope probes, and at malloc's return. bpftrace's stacks: 12 frames, by frame",
            "pointers; its free is probed at the first instruction, which the kernel steps over, as is",
            "memleak's (its stacks: all frames that frame pointers lead to).",
            *([f"memleak was not measured: {no_memleak}"] if no_memleak else []),
        ],
    }
