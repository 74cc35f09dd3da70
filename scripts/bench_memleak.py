# SPDX-License-Identifier: MIT
"""BCC's memleak, as a tool to compare with: it probes the same functions for the same purpose.

It compiles its programs when it starts, and looks for the running kernel's headers then. For one whose
headers are not there those of another serve, for all that they are needed for is the place of a
function's arguments (struct pt_regs). They are shown to memleak, and to nobody else, where it looks for
them, in a mount namespace of its own.
"""

import glob
import os
import signal
import time

from bench_bpf import RunTimeStats, find_new, program_ids
from bench_run import CannotMeasure, find_program, wait_for

MEMLEAK = "memleak (BCC)"
PROGRAM = "memleak-bpfcc"
PROBES = 2 * 9 + 2  # entry and return of what allocates, entry of free and munmap
# BCC 0.26's Python leaves out the last argument of bpf_attach_uprobe(), the place of a semaphore. What
# is there by chance the kernel refuses (EINVAL) where another's probe, without one, is at that place.
ATTEMPTS = 4
NEVER = "100000"  # seconds until it prints what it has found so far

MODULES = "/lib/modules"
SHOW_HEADERS = f"""mount -t tmpfs none {MODULES} && mkdir {MODULES}/"$1" &&
ln -s "$2" {MODULES}/"$1"/build && ln -s "$3" {MODULES}/"$1"/source && shift 3 && exec "$@" """


def _with_headers():
    """Words before its command that show it kernel headers."""
    release = os.uname().release
    if os.path.isdir(f"{MODULES}/{release}/build"):
        return []
    for build in sorted(glob.glob(f"{MODULES}/*/build"), reverse=True):
        source = os.path.join(os.path.dirname(build), "source")
        if os.path.isdir(build) and os.path.isdir(source):
            paths = os.path.realpath(build), os.path.realpath(source)
            return ["unshare", "--mount", "sh", "-c", SHOW_HEADERS, "sh", release, *paths]
    raise CannotMeasure(f"{PROGRAM} needs kernel headers: scripts/setup bench installs some")


def _last_line(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = file.read().strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def _start(bench, pid, probes_of):
    path = os.path.join(bench.directory(), "memleak")
    command = [*_with_headers(), find_program(PROGRAM), "-p", str(pid), NEVER]
    with open(path, "wb") as out:
        process = bench.spawn(command, stop=signal.SIGINT, stdout=out, stderr=out)
    try:
        wait_for(lambda: probes_of(process) >= PROBES, 60, f"{PROGRAM} to attach", process)
    except CannotMeasure as error:
        raise CannotMeasure(f"{error}: {_last_line(path)}") from error
    return process


def start_memleak(bench, pid, probes_of):
    """Returns the process, with its probes in place. probes_of(process): how many there are."""
    for _ in range(ATTEMPTS - 1):
        try:
            return _start(bench, pid, probes_of)
        except CannotMeasure:
            time.sleep(1)
    return _start(bench, pid, probes_of)


def why_no_memleak(bench, pid, probes_of, work):
    """None when it counts what `pid` does in work(), else why it cannot be measured."""
    known = program_ids()
    try:
        with RunTimeStats():
            process = start_memleak(bench, pid, probes_of)
            program = find_new(known, lambda program: program.name == "malloc_enter", process)
            before = program.runs()[1]
            work()
            runs = program.runs()[1] - before
            program.close()
            bench.stop(process)
    except CannotMeasure as error:
        return str(error)
    return None if runs else f"{PROGRAM} saw nothing"
