# SPDX-License-Identifier: MIT
"""What the tests of periscope heap share: the workload that counts its own allocations, and the
profile by thread, function and size."""

import collections
import os
import re
import signal
import subprocess

import harness
import pprof

TYPES = ["alloc_objects", "alloc_space", "inuse_objects", "inuse_space"]

Row = collections.namedtuple("Row", "thread function size")
Counts = collections.namedtuple("Counts", "allocs alloc_bytes held held_bytes")
FORCE = ["--force"]
NOTHING = Counts(0, 0, 0, 0)


def expected(lines):
    """The workload's "expect" lines, summed up over its rounds."""
    rows = collections.Counter()
    frees = collections.Counter()
    for line in lines:
        words = line.split()
        if words[:1] == ["expect"]:
            row = Row(words[1], words[2], int(words[3]))
            rows[row] += int(words[4])
            frees[row] += int(words[5])
    return {
        row: Counts(n, n * row.size, n - frees[row], (n - frees[row]) * row.size)
        for row, n in rows.items()
        if n
    }


def malloc_byte(pid):
    """The first byte of the process's malloc: 0xcc while a probe is there."""
    libc = "/lib/x86_64-linux-gnu/libc.so.6"
    symbols = subprocess.run(
        ["readelf", "--dyn-syms", "-W", libc], capture_output=True, text=True, check=True
    ).stdout
    value = int(re.search(r"([0-9a-f]+) .* malloc@@", symbols)[1], 16)
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps:
        base = min(int(line.split("-")[0], 16) for line in maps if "libc.so.6" in line)
    with open(f"/proc/{pid}/mem", "rb") as memory:
        memory.seek(base + value)
        return memory.read(1)[0]


def signed(value):
    return value - (1 << 64) if value >> 63 else value


def counted(profile, functions):
    """The profile's samples with one of the functions on their stack, likewise."""
    rows = collections.defaultdict(lambda: NOTHING)
    for stack, values, labels in profile.samples:
        on_stack = [name for name in stack if name in functions]
        if not on_stack:
            continue
        row = Row(labels["thread"], on_stack[-1], labels.get("bytes") or 0)
        rows[row] = Counts(*(a + signed(b) for a, b in zip(rows[row], [*values, 0, 0])))
    return dict(rows)


class Known(harness.Workload):
    """heap_known, told what to do."""

    def __init__(self, threads=1, name="heap_known", **kwargs):
        self.lines = []
        super().__init__(name, [str(threads), "0"], stdin=subprocess.PIPE, **kwargs)

    def stop(self, how=signal.SIGTERM):
        if self.popen.stdin:
            self.popen.stdin.close()
        super().stop(how)

    def tell(self, word, answer):
        """Its lines up to the one that begins with the answer."""
        os.write(self.popen.stdin.fileno(), word.encode() + b"\n")
        lines = []
        while not lines or not lines[-1].startswith(answer):
            line = self.popen.stdout.readline()
            if not line:
                raise AssertionError(f"it has ended: {lines}")
            lines.append(line.decode().strip())
        return lines

    def round(self):
        self.lines += self.tell("round", "done")


class HeapTest(harness.LiveTest):
    def known(self, *args, **kwargs):
        workload = Known(*args, **kwargs)
        self.addCleanup(workload.stop)
        return workload

    def capture(self, *args, **kwargs):
        """A capture that has begun; end it by SIGINT and finish()."""
        tool = harness.Tool("heap", *FORCE, "-v", *args, **kwargs)
        self.addCleanup(tool.stop)
        harness.wait_until(lambda: self.capturing(tool), 60, "the capture to begin")
        return tool

    @staticmethod
    def capturing(tool):
        if tool.popen.poll() is not None:
            raise AssertionError(tool.finish())
        tool.files[1].seek(0)
        return b"capturing\n" in tool.files[1].read()

    def end(self, tool):
        tool.popen.send_signal(signal.SIGINT)
        return self.assert_ok(tool.finish(60))

    def assert_exact(self, result, least=1):
        """Every allocation counted, with its whole stack."""
        summary = self.assert_ok(result).summary
        self.assertGreaterEqual(summary["allocations"], least, result)
        self.assertEqual(summary["lost"], 0, result)
        self.assertEqual(summary["complete"], summary["allocations"], result)
        for key in ("untracked", "missed", "unseen-frees", "frees-unknown", "lost-events"):
            self.assertNotIn(key, summary, result)
        return summary

    def assert_rows(self, profile, lines, types=4):
        self.assertEqual([name for name, _ in profile.sample_types], TYPES[:types])
        wanted = {row: counts[:types] for row, counts in expected(lines).items()}
        self.assertTrue(wanted)
        got = {
            row: counts[:types]
            for row, counts in counted(profile, {row.function for row in wanted}).items()
        }
        self.assertEqual(got, wanted)
