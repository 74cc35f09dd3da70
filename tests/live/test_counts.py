# SPDX-License-Identifier: MIT
"""Numbers: shares of known size, samples against CPU time, threads apart, equal totals in all files."""

import math
import os
import re
import signal
import subprocess
import time

import pprof
from harness import SOURCES, LiveTest, Tool, cases, cpu_seconds, parse_folded, periscope, start, wait_until

# Of a fair coin, once in a hundred million tests: what chance does must never decide.
SIGMAS = 6


class Shares(LiveTest):
    def test_shares_of_four_functions(self):
        case = cases("shares")["plain"]
        with start(case) as workload:
            result = periscope("cpu", "-p", workload.pid, "-F", 997, "-f", "-U", 4)
        self.assert_whole(result, least=200)
        total = result.summary["samples"]
        for leaf, percent in case.shares.items():
            count = sum(n for user, n in result.user_stacks().items() if user[-1] == leaf)
            share = percent / 100
            # The loop in main that hands out the units takes under half a per cent.
            slack = SIGMAS * math.sqrt(total * share * (1 - share)) + 0.005 * total
            self.assertLess(abs(count - total * share), slack, f"{leaf}: {count} of {total}")

    def of_cpu_time(self, *options):
        """Samples of a while; how much CPU time was used in it at least, and at most."""
        with self.start("recursion") as workload:
            before = cpu_seconds(workload.pid)
            with Tool("cpu", "-p", workload.pid, *options, "-f", "-v") as tool:
                tool.wait_capturing()
                begun = cpu_seconds(workload.pid)
                time.sleep(2)
                least = cpu_seconds(workload.pid) - begun
                tool.popen.send_signal(signal.SIGINT)
                result = tool.finish()
            most = cpu_seconds(workload.pid) - before
        self.assert_whole(result)
        return result.summary["samples"], least, most

    def test_samples_stand_for_cpu_time(self):
        samples, least, most = self.of_cpu_time("-F", 499)
        self.assertLess(samples, 1.1 * 499 * most + 10)
        self.assertGreater(samples, 0.5 * 499 * least)

    def test_default_rate_is_99(self):
        samples, least, most = self.of_cpu_time()
        self.assertLess(samples, 1.1 * 99 * most + 5)
        self.assertGreater(samples, 0.5 * 99 * least)


class Threads(LiveTest):
    def tids_of_busy(self, workload):
        """Threads of many_threads that use CPU time now."""

        def used():
            times = {}
            for tid in os.listdir(f"/proc/{workload.pid}/task"):
                path = f"/proc/{workload.pid}/task/{tid}/schedstat"
                with open(path, encoding="ascii") as stat:
                    times[tid] = int(stat.read().split()[0])
            return times

        before = used()

        def busy():
            tids = [int(tid) for tid, time in used().items() if time - before.get(tid, 0) > 20_000_000]
            return len(tids) >= 3 and sorted(tids)

        return wait_until(busy, 30, "three threads to work")

    def test_one_thread_by_tid(self):
        with self.start("many_threads") as workload:
            busy = self.tids_of_busy(workload)
            self.assertEqual(len(busy), 3)
            stacks = []
            for tid in busy:
                result = periscope(
                    "cpu", "-p", workload.pid, "--tid", tid, "-F", 499, "-f", "-U", 1
                )
                self.assert_whole(result, least=10)
                stacks.append(set(result.user_stacks()))
        self.assertEqual([len(each) for each in stacks], [1, 1, 1])
        self.assertEqual(len(set.union(*stacks)), 3)

    def test_per_thread_keeps_threads_apart(self):
        with self.start("many_threads") as workload:
            busy = self.tids_of_busy(workload)
            result = periscope("cpu", "--per-thread", "-p", workload.pid, "-F", 499, "-f", "-U", 2)
        self.assert_whole(result)
        roots = {}
        for line in result.out.splitlines():
            root, _, rest = line.partition(";")
            leaf = re.search(r"leaf_(one|two|three) [0-9]+$", rest)
            self.assertTrue(leaf, line)
            roots.setdefault(root, set()).add(leaf[1])
        # One root for each busy thread, which tells its TID, and one function below each.
        self.assertEqual(len(roots), 3, roots)
        self.assertEqual([len(leaves) for leaves in roots.values()], [1, 1, 1], roots)
        tids = sorted(int(t) for root in roots for t in re.findall(r"[0-9]+", root))
        self.assertEqual(tids, busy)


class Files(LiveTest):
    """The same capture in all its files."""

    def capture(self, workload, *more):
        self.dir = self.temp_dir()
        self.path = {e: os.path.join(self.dir, f"cpu.{e}") for e in ("folded", "pb.gz", "svg", "txt")}
        outputs = [word for path in self.path.values() for word in ("-o", path)]
        result = periscope("cpu", "-p", workload.pid, "-F", 499, *more, *outputs, 2)
        self.assert_whole(result)
        self.assertEqual(result.out, "", "with -o nothing goes to stdout")
        self.samples = result.summary["samples"]
        with open(self.path["folded"], encoding="utf-8") as file:
            self.folded = parse_folded(file.read())
        return result

    def go(self, *args):
        env = dict(os.environ, HOME=self.dir, PPROF_TMPDIR=self.dir, GOFLAGS="-mod=mod")
        done = subprocess.run(
            ["go", "tool", "pprof", *args], capture_output=True, text=True, timeout=60, env=env,
            cwd=self.dir, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_totals_are_the_same_everywhere(self):
        with self.start("qsort_callback") as workload:
            self.capture(workload)
        self.assertEqual(sum(self.folded.values()), self.samples)
        profile = pprof.read(self.path["pb.gz"])
        kinds = [kind for kind, _ in profile.sample_types]
        self.assertEqual(kinds, ["samples", "cpu"])
        self.assertEqual(sum(values[0] for _, values, _ in profile.samples), self.samples)
        period = round(1e9 / 499)
        self.assertLess(abs(profile.period - period), period // 100)
        self.assertEqual(
            sum(values[1] for _, values, _ in profile.samples), self.samples * profile.period
        )
        self.assertLess(abs(profile.duration - 2e9), 1e9)
        top = self.go("-top", "-sample_index=samples", self.path["pb.gz"])
        self.assertRegex(top, rf"of {self.samples} total|{self.samples}, 100% of {self.samples}")
        with open(self.path["svg"], encoding="utf-8") as file:
            self.assertIn("</svg>", file.read()[-20:])
        with open(self.path["txt"], encoding="utf-8") as file:
            text = file.read()
        self.assertIn(str(self.samples), text)
        self.assertIn("compare", text)

    def test_stacks_of_pprof_are_those_of_folded(self):
        with self.start("signal_handler", "raise") as workload:
            self.capture(workload, "-U")
        profile = pprof.read(self.path["pb.gz"])
        theirs = {}
        for stack, values, _ in profile.samples:
            theirs[stack] = theirs.get(stack, 0) + values[0]
        ours = {}
        for (_, user, _), count in self.folded.items():
            ours[user] = ours.get(user, 0) + count
        self.assertEqual(theirs, ours)

    def test_pprof_is_symbolized(self):
        with self.start("qsort_callback") as workload:
            self.capture(workload, "-U")
        profile = pprof.read(self.path["pb.gz"])
        self.assertTrue(profile.mappings)
        for mapping in profile.mappings.values():
            flags = [mapping.get(number) for number in (7, 8, 9, 10)]
            self.assertEqual(flags, [1, 1, 1, 1], "pprof must not symbolize again")
            self.assertRegex(profile.strings[mapping.get(6, 0)], "^[0-9a-f]{40}$")
        notes = subprocess.run(
            ["readelf", "-n", workload.popen.args[0]], capture_output=True, text=True, check=True
        )
        build_id = re.search("Build ID: ([0-9a-f]+)", notes.stdout)[1]
        ids = {profile.strings[mapping.get(6, 0)] for mapping in profile.mappings.values()}
        self.assertIn(build_id, ids)

    def test_pprof_lists_source_lines(self):
        with self.start("recursion") as workload:
            self.capture(workload, "-U")
        raw = self.go("-raw", self.path["pb.gz"])
        self.assertIn("recursion.c", raw)
        listed = self.go("-list", "^leaf$", f"-source_path={SOURCES}", self.path["pb.gz"])
        spinning = [line for line in listed.splitlines() if "SPIN();" in line]
        self.assertEqual(len(spinning), 1, listed)
        self.assertRegex(spinning[0], r"[0-9.]+m?s +[0-9.]+m?s +[0-9]+:")

    def test_threads_are_labels(self):
        with self.start("many_threads") as workload:
            self.capture(workload, "-U", "--per-thread")
            tids = {int(tid) for tid in os.listdir(f"/proc/{workload.pid}/task")}
        profile = pprof.read(self.path["pb.gz"])
        leaves = {}
        for stack, _, labels in profile.samples:
            thread = [value for value in labels.values() if value in tids]
            self.assertEqual(len(thread), 1, labels)
            leaves.setdefault(thread[0], set()).add(stack[-1])
        self.assertEqual(sorted(map(len, leaves.values())), [1, 1, 1], leaves)
