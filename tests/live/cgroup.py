# SPDX-License-Identifier: MIT
"""A control group of a test's own that limits the memory of what runs in it."""

import os
import re

import harness

# By the type of its filesystem: the limit's file, that of what is used, and what stands for no limit.
FILES = {
    "cgroup": ("memory.limit_in_bytes", "memory.usage_in_bytes", "-1"),
    "cgroup2": ("memory.max", "memory.current", "max"),
}

# What keeps its memory out of a swap, and where its kills are counted.
SWAP = {"cgroup": "memory.swappiness", "cgroup2": "memory.swap.max"}
KILLS = {"cgroup": "memory.oom_control", "cgroup2": "memory.events"}


def _mounted():
    """(type, directory) of the hierarchy that the memory controller belongs to."""
    with open("/proc/mounts", encoding="utf-8") as mounts:
        for line in mounts:
            _, directory, kind, options, *_ = line.split()
            if kind == "cgroup" and "memory" in options.split(","):
                return kind, directory
            if kind == "cgroup2":
                with open(os.path.join(directory, "cgroup.controllers"), encoding="ascii") as file:
                    if "memory" in file.read().split():
                        return kind, directory
    raise AssertionError("no memory cgroups are mounted")


class MemoryCgroup:
    """prefix: words before a command that is to run in it. It goes with the test."""

    def __init__(self, test, limit_mb=None):
        kind, root = _mounted()
        self._limit, self._usage, self._none = FILES[kind]
        self._swap, self._kills = SWAP[kind], KILLS[kind]
        if kind == "cgroup2":
            with open(os.path.join(root, "cgroup.subtree_control"), "w", encoding="ascii") as file:
                file.write("+memory")
        number = 0
        while os.path.exists(os.path.join(root, f"periscope-live-{os.getpid()}-{number}")):
            number += 1
        self.path = os.path.join(root, f"periscope-live-{os.getpid()}-{number}")
        os.mkdir(self.path)
        test.addCleanup(self._remove)
        enter = 'echo $$ >"$0"/cgroup.procs && exec "$@"'
        self.prefix = ("sh", "-c", enter, self.path)
        if limit_mb:
            self.limit(limit_mb << 20)

    def limit(self, size):
        with open(os.path.join(self.path, self._limit), "w", encoding="ascii") as file:
            file.write(str(size))

    def unlimit(self):
        self.limit(self._none)

    def usage(self):
        with open(os.path.join(self.path, self._usage), encoding="ascii") as file:
            return int(file.read())

    def take(self, pid):
        """A process that runs already: what it asks for from now on counts."""
        with open(os.path.join(self.path, "cgroup.procs"), "w", encoding="ascii") as file:
            file.write(str(pid))

    def never_swap(self):
        try:
            with open(os.path.join(self.path, self._swap), "w", encoding="ascii") as file:
                file.write("0")
        except FileNotFoundError:
            pass  # a kernel without swap

    def kills(self):
        """How many processes the kernel has ended here for lack of memory."""
        with open(os.path.join(self.path, self._kills), encoding="ascii") as file:
            return int(re.search(r"^oom_kill (\d+)$", file.read(), re.M)[1])

    def _remove(self):
        def removed():
            try:
                os.rmdir(self.path)
            except OSError:
                return False  # somebody is still in it, on the way out
            return True

        harness.wait_until(removed, 20, "the memory cgroup to be empty")
