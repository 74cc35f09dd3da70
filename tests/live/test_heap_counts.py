# SPDX-License-Identifier: MIT
"""periscope heap: exactly the allocations, bytes, frees and stacks that a program did."""

import os
import re

import harness
import heap
import pprof

# struct tcache_perthread_struct of glibc 2.36 and its header: allocated without malloc, not in use
# for the program. The only chunk of a process that no function of ours gave out.
TCACHE_CHUNK = 0x290


def chunk(size):
    """What glibc's malloc takes from the heap for a block: its size and 8 bytes, in units of 16."""
    return max(32, (size + 8 + 15) & ~15)


class FromTheStart(heap.HeapTest):
    """A command, from its first instruction to its exit."""

    def check(self, threads, *more, exe=None, env=None):
        path = os.path.join(self.temp_dir(), "heap.pb.gz")
        exe = exe or os.path.join(harness.WORKLOADS, "heap_known")
        result = harness.periscope(
            "heap", *heap.FORCE, *more, "-o", path, "--", exe, 60, threads, 1, timeout=60, env=env
        )
        self.assert_exact(result)
        self.assert_rows(pprof.read(path), result.out.splitlines())
        return result

    def test_one_thread(self):
        self.check(1)

    def test_eight_threads(self):
        self.check(8)

    def test_other_table_size(self):
        self.check(2, "--max-live", 4000)


class FromOutside(heap.HeapTest):
    """A process that runs."""

    def check(self, threads, rounds, **kwargs):
        path = os.path.join(self.temp_dir(), "heap.pb.gz")
        workload = self.known(threads, **kwargs)
        workload.round()
        workload.lines.clear()
        tool = self.capture("-p", workload.pid, "-o", path)
        for _ in range(rounds):
            workload.round()
        result = self.end(tool)
        self.assert_exact(result)
        self.assert_rows(pprof.read(path), workload.lines)
        self.assertNotIn("frees-from-before", result.summary)
        return result

    def test_one_thread(self):
        self.check(1, 2)

    def test_eight_threads(self):
        self.check(8, 3)

    def test_twice_in_a_row(self):
        """What one capture leaves behind must not disturb the next."""
        self.check(1, 1)
        self.check(1, 1)


class InUse(heap.HeapTest):
    def test_agrees_with_mallinfo2(self):
        """All that the process has in use, counted by the allocator itself."""
        path = os.path.join(self.temp_dir(), "heap.pb.gz")
        # Freed blocks would stay in the thread's cache, in use for mallinfo2; one arena for all.
        env = dict(os.environ, GLIBC_TUNABLES="glibc.malloc.tcache_count=0:glibc.malloc.arena_max=1")
        exe = os.path.join(harness.WORKLOADS, "heap_known")
        read, write = os.pipe()
        tool = self.capture("-o", path, "--", exe, 60, 2, 0, stdin=read, env=env)
        os.close(read)
        os.write(write, b"round\n")
        harness.wait_until(lambda: self.said(tool, b"done\n"), 30, "the round")
        os.write(write, b"mallinfo\n")
        harness.wait_until(lambda: self.said(tool, b"uordblks"), 30, "mallinfo's answer")
        result = self.end(tool)
        os.close(write)
        self.assert_exact(result)
        uordblks, spare = map(int, re.search(r"uordblks (\d+) spare (\d+)", result.out).groups())
        held = 0
        for _, values, labels in pprof.read(path).samples:
            size = labels.get("bytes") or 0
            if values[2]:
                # Blocks of a site are of one size, or the profile does not know each.
                self.assertEqual(values[3], values[2] * size, labels)
                held += values[2] * chunk(size)
        self.assertEqual(uordblks - spare - held, 3 * TCACHE_CHUNK)

    @staticmethod
    def said(tool, text):
        tool.files[0].seek(0)
        return text in tool.files[0].read()
