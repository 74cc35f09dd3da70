# SPDX-License-Identifier: MIT
"""The profilers: periscope and, beside it, perf; how they are run and what they say about it."""

import collections
import gzip
import json
import os
import re
import struct

from bench_run import CannotMeasure, find_program

# The same event for all: what a virtual machine without hardware counters has.
EVENT = "cpu-clock"

PERF_MODES = {"perf record -g": ["-g"], "perf record --call-graph dwarf": ["--call-graph", "dwarf"]}

# Where the stacks of threads begin, under the names that libc's debug symbols give them.
OUTERMOST = {b"_start", b"clone", b"__clone", b"clone3", b"__clone3", b"__GI___clone3"}

# What calls main and a thread's function: a stack that ends there has all frames of the program.
NEARLY = {b"__libc_start_call_main", b"__libc_start_main", b"__libc_start_main_impl", b"start_thread"}

# Room for the entry code of an executable, which is _start also where nothing says so.
ENTRY_SIZE = 64

Capture = collections.namedtuple("Capture", "samples complete reaching size peak_kb detail")


# ---- periscope ----


def periscope_command(build, pids, hz, *options):
    targets = ",".join(map(str, pids))
    command = [os.path.join(build, "periscope"), "cpu", "-p", targets, "-F", str(hz)]
    return command + ["--event", EVENT, *options]


def periscope_capture(bench, build, pids, hz, seconds):
    """One capture as a user would make it. detail: (bytes of unwind tables, objects' paths)."""
    home = bench.directory()
    profile, stats = os.path.join(home, "cpu.pb.gz"), os.path.join(home, "stats")
    options = ("-v", "-o", profile, "--stats", stats, str(seconds))
    done = bench.run(periscope_command(build, pids, hz, *options))
    said = done.stderr.decode(errors="replace")
    if done.status:
        raise CannotMeasure(f"periscope: {said[-300:]}")
    figures = read_stats(stats)
    tables = re.search(r"unwind tables: ([0-9.]+) KB", said)
    paths = re.findall(r"^  (/.*): \d+ rows", said, re.MULTILINE)
    detail = (float(tables[1]) * 1024, paths) if tables else None
    size, complete = os.path.getsize(profile), figures["complete"]
    return Capture(figures["samples"], complete, complete, size, done.peak_kb, detail)


def read_stats(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        raise CannotMeasure(f"periscope's --stats: {error}") from error


# ---- perf ----


def perf_record_command(mode, pids, hz, path, seconds, *options):
    command = [find_program("perf"), "record", "-q", "-e", EVENT, "-F", str(hz), *PERF_MODES[mode]]
    command += [*options, "-p", ",".join(map(str, pids)), "-o", path]
    return command + ["--", "sleep", str(seconds)]


def perf_capture(bench, mode, target, hz, seconds):
    """detail: the peak memory in KB of perf script, which makes the stacks."""
    path = os.path.join(bench.directory(), "perf.data")
    entry = entry_of(target.pids()[0])
    done = bench.run(perf_record_command(mode, target.pids(), hz, path, seconds))
    if done.status:
        raise CannotMeasure(f"{mode}: {done.stderr.decode(errors='replace')[-300:]}")
    text = os.path.join(os.path.dirname(path), "script")
    command = [find_program("perf"), "script", "-i", path, "--no-inline", "-F", "comm,tid,ip,sym"]
    with open(text, "w+b") as lines:
        read = bench.run(command, seconds=900, stdout=lines)
        if read.status:
            raise CannotMeasure(f"perf script: {read.stderr.decode(errors='replace')[-300:]}")
        lines.seek(0)
        samples, complete, reaching = count_complete(lines, entry)
    size = os.path.getsize(path)
    os.unlink(path)
    os.unlink(text)
    return Capture(samples, complete, reaching, size, done.peak_kb, read.peak_kb)


def count_complete(lines, entry):
    """Of `perf script -F comm,tid,ip,sym`: (samples, complete ones, those that reach main at least).

    A sample is a line that is not indented, then its frames, innermost first. It is complete when
    its outermost frame is where a thread begins. `entry`: ranges of addresses, the entry code of
    the executable; stripped programs have no symbol for it.
    """
    outermost, last = [], None
    for line in lines:
        if line.startswith(b"\t"):
            last = line
        elif line.strip():
            outermost.append(last)
            last = None
    # Each header closed the sample before it; the first closed none.
    outermost = outermost[1:] + [last] if outermost else []
    complete = reaching = 0
    for frame in outermost:
        words = (frame or b"").split(None, 1)
        symbol = words[1].strip().split(b"@")[0] if len(words) == 2 else b""
        begins = symbol in OUTERMOST
        if words and not begins:
            begins = any(int(words[0], 16) in part for part in entry)
        complete += begins
        reaching += begins or symbol in NEARLY
    return len(outermost), complete, reaching


# ---- ELF files, as far as is needed ----


def _segments(path):
    """(entry address, [(type, flags, offset, address, size in the file)]) of a 64-bit ELF file."""
    with open(path, "rb") as file:
        header = file.read(64)
        if header[:5] != b"\x7fELF\x02":
            raise CannotMeasure(f"{path}: not a 64-bit ELF file")
        entry, offset = struct.unpack_from("<QQ", header, 24)
        size, count = struct.unpack_from("<HH", header, 54)
        file.seek(offset)
        table = file.read(size * count)
    found = []
    for at in range(0, size * count, size):
        kind, flags, where, address, _, length = struct.unpack_from("<IIQQQQ", table, at)
        found.append((kind, flags, where, address, length))
    return entry, found


def text_bytes(path):
    """The size of what is executable in an ELF file: its PT_LOAD segments with PF_X."""
    return sum(length for kind, flags, _, _, length in _segments(path)[1] if kind == 1 and flags & 1)


def entry_of(pid):
    """The entry code of a process's executable: its addresses, and its offsets in the file.

    perf script prints a frame's offset in its file where it knows the file, else its address.
    """
    # Not by its path: the file may have been built anew meanwhile.
    exe = os.readlink(f"/proc/{pid}/exe")
    entry, segments = _segments(f"/proc/{pid}/exe")
    loads = [segment for segment in segments if segment[0] == 1]
    base = min(address for _, _, _, address, _ in loads) & ~4095
    for _, _, offset, address, length in loads:
        if address <= entry < address + length:
            start = entry - address + offset
            ranges = [range(start, start + ENTRY_SIZE)]
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as maps:
        for line in maps:
            words = line.split(None, 5)
            if len(words) == 6 and words[5].strip() == exe and int(words[2], 16) == 0:
                start = int(words[0].split("-")[0], 16) - base + entry
                return ranges + [range(start, start + ENTRY_SIZE)]
    raise CannotMeasure(f"process {pid} does not map {exe}")


# ---- pprof files, as far as is needed ----


def _varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def _fields(data):
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        value, at = _varint(data, at)
        if key & 7 == 2:
            value, at = data[at : at + value], at + value
        yield key >> 3, value


def _packed(data):
    numbers, at = [], 0
    while at < len(data):
        number, at = _varint(data, at)
        numbers.append(number)
    return numbers


def mean_depth(path):
    """Frames in the mean stack of a pprof file, by samples; inlined functions are no frames."""
    frames = samples = 0
    with gzip.open(path) as file:
        for number, value in _fields(file.read()):
            if number == 2:  # Profile.sample
                sample = dict(_fields(value))
                count = _packed(sample[2])[0]
                frames += count * len(_packed(sample.get(1, b"")))
                samples += count
    if not samples:
        raise CannotMeasure("periscope's profile is empty")
    return frames / samples
