# SPDX-License-Identifier: MIT
"""Section probes: what the server's USDT probes cost it while nobody listens to them.

A second coworkingd is built without them (-DCOWORKING_NO_PROBES). Both run side by side, idle but for
the one whose turn it is: in a pair they take turns, the order of each drawn, to as many simple reads
in all. A simple read passes the most probes for the least work, and comes in batches over one
connection, so that little else is counted with it.
"""

import os
import random
import socket
import subprocess

from bench_report import GROWTH, growth
from bench_run import CannotMeasure, Workbench, cpu_ns, placed
from bench_targets import start_coworkingd

TARGET = 1.0  # most that a read's CPU time may grow, in per cent
REQUEST = b"GET /rooms?day_to_book=2033-01-01 HTTP/1.1\r\nHost: x\r\n\r\n"
BATCH = 50  # reads
TURN = 10  # batches


def _build_without(settings):
    """Where the server without probes is."""
    build = os.path.join(settings.build, "no-probes")
    command = ["make", "-s", "-C", os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]
    command += ["B=" + build, "CFLAGS=-DCOWORKING_NO_PROBES", build + "/coworkingd"]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if result.returncode:
        raise CannotMeasure("no server without probes: " + result.stdout.decode().strip())
    return build


class Reader:
    """One server and a connection to it."""

    def __init__(self, bench, build, cpus, **spawn):
        self._server, url = start_coworkingd(bench, build, "--threads", "1", cpus=cpus, **spawn)
        host, _, port = url.removeprefix("http://").partition(":")
        self._address = host, int(port)
        self._sock = socket.create_connection(self._address, 20)

    def reconnect(self):
        """After a pause: the server may have closed an idle connection."""
        self._sock.close()
        self._sock = socket.create_connection(self._address, 20)

    def close(self):
        self._sock.close()

    @property
    def pid(self):
        return self._server.pid

    def _read(self):
        self._sock.sendall(REQUEST * BATCH)
        reply = b""
        while reply.count(b"HTTP/1.1 200 OK") < BATCH or not reply.endswith(b"]"):
            part = self._sock.recv(1 << 20)
            if not part:
                raise CannotMeasure("coworkingd has closed the connection")
            reply += part

    def turn(self):
        """CPU time in ns for TURN batches."""
        before = cpu_ns(self._server.pid)
        for _ in range(TURN):
            self._read()
        return cpu_ns(self._server.pid) - before


def _pair(readers, turns):
    """CPU time in ns for a read, of each of them."""
    costs = dict.fromkeys(readers, 0)
    for _ in range(turns):
        for reader in random.sample(readers, len(readers)):
            costs[reader] += reader.turn()
    return [costs[reader] / (turns * TURN * BATCH) for reader in readers]


def probes(settings):
    turns = 10 if settings.quick else 60
    without = _build_without(settings)
    with Workbench() as bench, placed() as (first, others):
        readers = [Reader(bench, build, first) for build in (without, settings.build)]
        _pair(readers, turns)
        pairs = []
        for n in range(settings.pairs):
            settings.progress(f"probes: pair {n + 1} of {settings.pairs}")
            pairs.append(_pair(readers, turns))
        for reader in readers:
            reader.close()
    notes = [
        f"Pairs of {turns * TURN * BATCH} reads (GET /rooms), {BATCH} at a time on one connection. Growth:",
        "the median over pairs, with its 95 % bootstrap interval. Not certain: the target lies in it.",
    ]
    if first:
        notes.append(f"The servers ran on CPU {min(first)} only, everything else on {sorted(others)}.")
    return {
        "title": "probes: CPU time for a simple read, without probes and with them, nobody listening",
        "columns": [("what", "", ""), *GROWTH],
        "rows": [{"what": "GET /rooms", **growth(pairs, TARGET)}],
        "notes": notes,
    }
