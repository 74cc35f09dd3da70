#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""scripts/bench_flame.py BUILD_DIR: how large and how fast flame graphs are, small to huge.

Makes folded stacks of as many distinct frames, has periscope draw them, and opens what it drew in a
headless Chromium: time until two frames after the page has loaded, then of a zoom, its reset and a
search, each the median of five runs. flamegraph.pl's figures are those of its own pictures
(--hash, Chromium 156, another 2-core machine of this kind; minimum width in brackets).
"""

import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests/browser"))
from chromium import Chromium  # noqa: E402

SIZES = (11_000, 112_000, 1_100_000)
RUNS = 5

# Where a size has one: bytes, seconds to write, ms to open, zoom, reset and search.
FLAMEGRAPH_PL = {
    11_000: ("flamegraph.pl [0.1 px]", 1.20e6, 0.16, 944, 1154, 816, 107),
    112_000: ("flamegraph.pl [0 px]", 20.3e6, 0.83, 12995, 9252, 10103, 764),
}

MEASURE = """(async () => {
    const drawn = () => new Promise(d => requestAnimationFrame(() => requestAnimationFrame(d)));
    const time = async act => {
        const began = performance.now(); act(); await drawn(); return performance.now() - began; };
    const wide = periscope.view.boxes.filter(b => b.node && b.node.depth === 3)
        .sort((a, b) => b.width - a.width)[0];
    return [await time(() => periscope.zoom(wide)), await time(() => periscope.resetZoom()),
        await time(() => periscope.search("sqlite_step"))];
})()"""


def write_stacks(path, frames):
    """Folded stacks like a server's: a tree up to 34 deep of that many distinct frames."""
    pick = random.Random(7)
    names = [f"{pick.choice(('http', 'sqlite', 'json', 'tcp', 'std::vector'))}_"
             f"{pick.choice(('read', 'write', 'parse', 'step', 'alloc', 'lookup'))}_{i}"
             for i in range(3000)]
    stack, made = ["server"], 1
    with open(path, "w", encoding="ascii") as file:
        while made < frames:
            stack = stack[:max(1, int(len(stack) * pick.random() ** 0.5))]
            more = [pick.choice(names) for _ in range(pick.randint(1, max(1, min(12, 34 - len(stack)))))]
            stack += more
            made += len(more)
            file.write(f"{';'.join(stack)} {int(pick.paretovariate(1.1))}\n")


def draw(build, stacks, picture):
    """CPU seconds of reading and writing together."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([build + "/periscope", "flame", stacks, "-o", picture], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def measure(build, folder, frames):
    """A row: bytes, seconds, then ms to open, to zoom, to reset, to search."""
    stacks, picture = os.path.join(folder, "x.folded"), os.path.join(folder, "x.svg")
    write_stacks(stacks, frames)
    seconds = statistics.median(draw(build, stacks, picture) for _ in range(RUNS))
    runs = []
    for _ in range(RUNS):
        with Chromium(1200, 800) as browser:  # a new one: nothing is cached
            opened = browser.open("file://" + picture)
            runs.append([opened * 1000, *browser.run(MEASURE)])
    return ["periscope", os.path.getsize(picture), seconds,
            *(statistics.median(run[i] for run in runs) for i in range(4))]


def main():
    if len(sys.argv) != 2 or not os.access(sys.argv[1] + "/periscope", os.X_OK):
        print("usage: scripts/bench_flame.py BUILD_DIR", file=sys.stderr)
        return 2
    print(f"{'frames':>9}  {'drawn by':24} {'size kB':>9} {'make s':>7} {'open ms':>8} {'zoom ms':>8}"
          f" {'reset ms':>8} {'search ms':>9}")
    with tempfile.TemporaryDirectory(prefix="periscope-bench.") as folder:
        for frames in SIZES:
            rows = [measure(os.path.abspath(sys.argv[1]), folder, frames)]
            rows += [FLAMEGRAPH_PL[frames]] if frames in FLAMEGRAPH_PL else []
            for row in rows:
                print(f"{frames:9,}  {row[0]:24} {row[1] / 1000:9,.0f} {row[2]:7.2f} {row[3]:8,.0f}"
                      f" {row[4]:8,.0f} {row[5]:8,.0f} {row[6]:9,.0f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
