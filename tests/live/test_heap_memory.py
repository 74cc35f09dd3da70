# SPDX-License-Identifier: MIT
"""periscope heap: where its own memory is limited, in the kernel and outside."""

import os
import re
import subprocess

import cgroup
import harness
import heap
import pprof

LIVE = 1000000  # blocks, unless --max-live says otherwise


class Limits(heap.HeapTest):
    def refused(self, workload, limit_mb, *words):
        before = heap.malloc_byte(workload.pid)
        group = cgroup.MemoryCgroup(self, limit_mb)
        result = harness.periscope(
            "heap", *heap.FORCE, "-p", workload.pid, 1, prefix=group.prefix
        )
        self.assert_refused(result, 1, rf"memory cgroup \S+ allows {limit_mb} MB", *words)
        self.assertEqual(heap.malloc_byte(workload.pid), before)
        return int(re.search(r"about (\d+) MB of tables", result.err)[1])

    def test_at_start(self):
        """What is said helps: with fewer live blocks it can be done within the same limit."""
        path = os.path.join(self.temp_dir(), "heap.pb.gz")
        workload = self.known(1)
        # Where no table of blocks would be small enough, it is not said that one would be.
        tables = self.refused(workload, 48, "no kernel memory .* 48 MB.$")
        # Its own memory comes on top of the tables'.
        again = self.refused(workload, tables, f"for {LIVE} live blocks: lower --max-live$")
        self.assertEqual(again, tables)
        group = cgroup.MemoryCgroup(self, tables)
        tool = self.capture(
            "--max-live", 1000, "-p", workload.pid, "-o", path, prefix=group.prefix
        )
        workload.round()
        self.assert_exact(self.end(tool))
        self.assert_rows(pprof.read(path), workload.lines)

    def test_while_it_runs(self):
        """All tables are there from the start: what happens takes no more of the kernel's memory."""
        path = os.path.join(self.temp_dir(), "heap.pb.gz")
        workload = harness.Workload("heap_many", ["wait"], stdin=subprocess.PIPE)
        self.addCleanup(workload.stop)
        self.addCleanup(workload.popen.stdin.close)
        group = cgroup.MemoryCgroup(self)
        tool = self.capture(
            "--max-live", 101000, "-p", workload.pid, "-o", path, prefix=group.prefix
        )
        # A table of these blocks takes 10 MB; some is for the tool to live on.
        group.limit(group.usage() + (6 << 20))
        os.write(workload.popen.stdin.fileno(), b"go\n")
        self.assertEqual(workload.popen.stdout.readline(), b"done\n")
        group.unlimit()  # symbols take what they take
        self.assert_exact(self.end(tool))
        rows = heap.counted(pprof.read(path), {"many"})
        self.assertEqual([*rows.values()], [heap.Counts(*[100003, 100003 * 32] * 2)])
