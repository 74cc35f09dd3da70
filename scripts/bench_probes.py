#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""scripts/bench_probes.py BUILD_DIR [PAIRS]: what the server's probes cost while nobody listens.

Builds coworkingd a second time without them (-DCOWORKING_NO_PROBES), then loads the two in turn with
the same number of simple reads, and compares their CPU time for a request: the median of the pairs'
ratios and its 95 % interval, by the binomial order statistics of the median.
"""

import math
import os
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "tests", "server"))
import harness  # noqa: E402

REQUEST = b"GET /rooms?day_to_book=2033-01-01 HTTP/1.1\r\nHost: x\r\n\r\n"
BATCH, BATCHES = 50, 200


def cpu_ns(pid):
    total = 0
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/schedstat" % (pid, task), encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total


def run(server, sock):
    """CPU ns for one request."""
    before = cpu_ns(server.process.pid)
    for _ in range(BATCHES):
        sock.sendall(REQUEST * BATCH)
        reply = b""
        while reply.count(b"HTTP/1.1 200 OK") < BATCH or not reply.endswith(b"]"):
            reply += sock.recv(1 << 20)
    return (cpu_ns(server.process.pid) - before) / (BATCH * BATCHES)


def start(build):
    os.environ["BUILD_DIR"] = build
    server = harness.Server("--threads", "1")
    sock = server.connect()
    run(server, sock)
    return server, sock


def main():
    if not 2 <= len(sys.argv) <= 3:
        sys.exit("Usage: scripts/bench_probes.py BUILD_DIR [PAIRS]")
    build, pairs = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 30
    without = os.path.join(build, "no-probes")
    subprocess.run(["make", "-s", "-C", ROOT, "B=" + without, "CFLAGS=-DCOWORKING_NO_PROBES",
                    without + "/coworkingd"], check=True, stdout=subprocess.DEVNULL)
    both = [start(build), start(without)]
    costs = []
    for n in range(pairs):
        order = both if n % 2 else both[::-1]
        pair = {id(one): run(*one) for one in order}
        costs.append([pair[id(one)] for one in both])
    for server, sock in both:
        sock.close()
        server.close()
    ratios = sorted(a / b for a, b in costs)
    skip = max(0, int(pairs / 2 - 1.96 * math.sqrt(pairs) / 2))
    print("CPU for a simple read: %.2f us with probes, %.2f us without (medians of %d)" % (
        statistics.median(a for a, _ in costs) / 1e3, statistics.median(b for _, b in costs) / 1e3,
        pairs))
    print("ratio %.4f, 95 %% interval %.4f to %.4f" % (
        statistics.median(ratios), ratios[skip], ratios[-1 - skip]))


if __name__ == "__main__":
    main()
