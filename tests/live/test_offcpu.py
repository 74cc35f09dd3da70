# SPDX-License-Identifier: MIT
"""Waits: times and counts that the program knows itself, states, filters, sleepers, wakers."""

import collections
import json
import os
import re
import signal
import subprocess
import time
import unittest

import pprof
from harness import (
    REPO, WORKLOADS, LiveTest, Tool, cases, is_alive, parse_folded, periscope, read_stat, start,
    wait_until,
)  # fmt: skip

WAITS = os.path.join(WORKLOADS, "waits")
# Before its first round, so that the mappings are known by then.
SETTLE = os.environ.get("PERISCOPE_SETTLE", "1")

# How each kind of tests/workloads/waits.c waits.
REASONS = {
    "sleep": ("wait_sleep", "sleep", "S"),
    "mutex": ("wait_mutex", "futex", "S"),
    "pipe": ("wait_pipe", "other", "S"),
    "socket": ("wait_socket", "network", "S"),
    "epoll": ("wait_epoll", "epoll", "S"),
    "disk": ("wait_disk", "disk", "D"),
    "fault": ("wait_fault", "page-fault", None),
}

Done = collections.namedtuple("Done", "kind tid rounds ns voluntary involuntary")
Sum = collections.namedtuple("Sum", "waits blocked runqueue offcpu")


def what_was_done(text):
    """What the workload says of itself, in the order of its threads."""
    lines = re.findall(r"^did (\w+) (\d+) (\d+) (\d+) (\d+) (\d+)$", text, re.MULTILINE)
    return [Done(kind, *map(int, rest)) for kind, *rest in lines]


def add_up(profile, wanted):
    """Sums of the samples for which wanted(stack, labels) holds."""
    sums = [0, 0, 0, 0]
    for stack, values, labels in profile.samples:
        if wanted(stack, labels):
            sums = [a + b for a, b in zip(sums, values)]
    return Sum(*sums)


def thread_rows(path):
    """Rows of the threads' table."""
    with open(path, encoding="utf-8") as file:
        report = json.load(file)
    return report["sections"]["threads"]["tables"][0]["rows"]


class Waits(LiveTest):
    def capture(self, *kinds, options=()):
        """Runs the workload under periscope; the result, its profile, and what was done."""
        directory = self.temp_dir()
        self.profile = os.path.join(directory, "offcpu.pb.gz")
        self.json = os.path.join(directory, "offcpu.json")
        result = periscope(
            "offcpu", *options, "-o", self.profile, "-o", self.json, "--", WAITS, SETTLE, *kinds,
            timeout=100,
        )  # fmt: skip
        self.assert_ok(result)
        self.assertEqual(result.summary["lost"], 0, result)
        self.assertNotIn("no-stack", result.summary)
        return result, pprof.read(self.profile), what_was_done(result.out)

    def assert_within(self, got, wanted, share, slack, what):
        self.assertLessEqual(abs(got - wanted), share * wanted + slack, f"{what}: {got} {wanted}")


class Exactness(Waits):
    def test_times_and_counts_of_every_kind(self):
        result, profile, done = self.capture(*REASONS)
        self.assertEqual([d.kind for d in done], list(REASONS), result)
        for d in done:
            function, reason, state = REASONS[d.kind]

            def round_(stack, labels, d=d, function=function):
                return labels["tid"] == d.tid and function in stack

            def around(stack, labels, d=d):
                return labels["tid"] == d.tid and "run_worker" in stack and not any(
                    frame.startswith("before_") for frame in stack
                )

            def blocked(stack, labels, round_=round_):
                return round_(stack, labels) and labels["reason"] != "preempted"

            with self.subTest(d.kind):
                least, most = add_up(profile, round_), add_up(profile, around)
                of_blocked = add_up(profile, blocked)
                # A look at two clocks takes its time, too, and an interrupt may come between. It
                # may also be preempted there, outside of the round's function.
                slack = 0.01 * d.ns + 20000 * d.rounds
                self.assertGreaterEqual(d.ns, least.offcpu - slack, d)
                self.assertLessEqual(d.ns, most.offcpu + slack, d)
                self.assertGreaterEqual(d.involuntary, least.waits - of_blocked.waits, d)
                self.assertLessEqual(d.involuntary, most.waits - of_blocked.waits, d)
                self.assertEqual(of_blocked.waits, d.voluntary, d)
                if d.kind != "disk":
                    self.assertEqual(of_blocked.waits, d.rounds, d)
                for stack, _, labels in profile.samples:
                    if blocked(stack, labels):
                        self.assertEqual(labels["reason"], reason, (stack, labels))
                        if state:
                            self.assertEqual(labels["state"], state, (stack, labels))
