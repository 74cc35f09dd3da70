# SPDX-License-Identifier: MIT
"""Targets in all conditions, and the ways a capture begins and ends."""

import contextlib
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import time

from harness import (
    WORKLOADS,
    LiveTest,
    Process,
    Tool,
    Workload,
    cases,
    is_alive,
    periscope,
    wait_until,
)


def programs_of(pid):
    """The BPF programs that a process holds."""
    found = set()
    for path in glob.glob(f"/proc/{pid}/fdinfo/*"):
        try:
            with open(path, encoding="ascii") as file:
                found |= {int(i) for i in re.findall(r"^prog_id:\s*(\d+)$", file.read(), re.M)}
        except FileNotFoundError:
            pass
    return found


def bpf_programs():
    """IDs of the BPF programs in the kernel."""
    shown = subprocess.run(
        ["bpftool", "-j", "prog", "show"], capture_output=True, text=True, check=True
    )
    return {program["id"] for program in json.loads(shown.stdout)}


def watched(pid):
    """What a tool has told the kernel of each process that it watches: {pid: (mappings, generation)}."""
    ids = set()
    for path in glob.glob(f"/proc/{pid}/fdinfo/*"):
        with contextlib.suppress(FileNotFoundError), open(path, encoding="ascii") as file:
            ids |= set(re.findall(r"^map_id:\s*(\d+)$", file.read(), re.M))
    for number in ids:
        show = subprocess.run(["bpftool", "-j", "map", "show", "id", number], capture_output=True)
        if show.returncode or json.loads(show.stdout).get("name") != "procs":
            continue
        dump = subprocess.run(["bpftool", "-j", "map", "dump", "id", number], capture_output=True)
        values = [(e["formatted"]["key"], e["formatted"]["value"]) for e in json.loads(dump.stdout)]
        return {key: ((v["first_mapping"], v["nr_mappings"]), v["generation"]) for key, v in values}
    return {}


class Ends(LiveTest):
    def test_target_that_exits_at_once(self):
        result = periscope("cpu", "-f", 5, "--", "/bin/true", timeout=10)
        self.assert_ok(result)
        self.assertEqual(result.summary["lost"], 0, result)

    def test_target_that_exits_in_the_middle(self):
        case = cases("recursion")["plain"]
        with Workload("recursion", case.args, seconds=2) as workload:
            began = time.monotonic()
            result = periscope("cpu", "-p", workload.pid, "-F", 199, "-f", "-U", 20)
            self.assertLess(time.monotonic() - began, 10, "the capture outlived its target")
        self.assert_whole(result)
        self.assert_stacks(result, case)
        self.assertRegex(result.err, r"(?i)exit", "a note that the target has gone")

    def test_targets_that_exit_before_the_capture_begins(self):
        """Their parent waits for them only afterwards, so that they are there all the time."""
        for n in range(1, 11):
            with Process(["sleep", str(n / 100)]) as sleeper:
                result = periscope("cpu", "-p", sleeper.pid, "-f", 20)
            # One that was gone already is refused.
            self.assertIn(result.status, (0, 1), result)
            self.assertRegex(result.err, r"(?i)exited|no process with PID")
            self.assertLess(float(result.summary.get("seconds", 0)), 10, result)

    def test_target_that_sleeps(self):
        """No sample; and whether that can be is told by its CPU time."""
        with Process(["sleep", "60"]) as sleeper:
            result = periscope("cpu", "-p", sleeper.pid, "-f", 1)
        self.assert_ok(result)
        self.assertEqual(result.summary["samples"], 0, result)
        self.assertEqual(result.out, "")
        self.assertRegex(result.err, r"no samples: the target used 0\.00\d s of CPU time in these 1\.")

    def test_target_killed_in_the_middle(self):
        case = cases("recursion")["plain"]
        with self.start("recursion") as workload:
            with Tool("cpu", "-p", workload.pid, "-F", 199, "-f", "-U", 20) as tool:
                time.sleep(1.5)
                workload.stop(signal.SIGKILL)
                result = tool.finish(10)
        self.assert_whole(result)
        self.assert_stacks(result, case)

    def check_signal(self, signal_number):
        case = cases("recursion")["plain"]
        with self.start("recursion") as workload:
            with Tool("cpu", "-p", workload.pid, "-F", 199, "-f", "-U") as tool:
                time.sleep(1.5)
                self.assertIsNone(tool.popen.poll(), "without a duration it runs on")
                tool.popen.send_signal(signal_number)
                result = tool.finish(10)
            self.assertTrue(is_alive(workload.pid))
        self.assert_whole(result)
        self.assert_stacks(result, case)

    def test_sigint_ends_and_prints(self):
        self.check_signal(signal.SIGINT)

    def test_sigterm_ends_and_prints(self):
        self.check_signal(signal.SIGTERM)

    def test_sigkill_leaves_nothing(self):
        directory = self.temp_dir()
        with self.start("recursion") as workload:
            path = os.path.join(directory, "cpu.folded")
            with Tool("cpu", "-p", workload.pid, "-o", path) as tool:
                wait_until(lambda: programs_of(tool.popen.pid), what="the BPF programs")
                time.sleep(0.5)
                its = programs_of(tool.popen.pid)
                self.assertLessEqual(its, bpf_programs())
                tool.popen.kill()
                tool.popen.wait()
            wait_until(lambda: not bpf_programs() & its, what="the programs to go")
            self.assertTrue(is_alive(workload.pid))
            self.assertFalse(os.path.exists(path), "half a file under the final name")

    def test_durations(self):
        with self.start("recursion") as workload:
            for duration, low, high in (("500ms", 0.5, 4), ("1s", 1, 5), ("1", 1, 5)):
                began = time.monotonic()
                result = periscope("cpu", "-p", workload.pid, "-f", duration)
                took = time.monotonic() - began
                self.assert_ok(result)
                self.assertTrue(low <= took <= high, f"{duration}: {took}")

    def test_two_captures_at_once(self):
        case = cases("recursion")["plain"]
        with self.start("recursion") as workload:
            arguments = ("cpu", "-p", workload.pid, "-F", 499, "-f", "-U", 2)
            with Tool(*arguments) as one, Tool(*arguments) as two:
                results = [one.finish(), two.finish()]
        for result in results:
            self.assert_whole(result, least=20)
            self.assert_stacks(result, case)

    def test_report_on_stdout(self):
        with self.start("shares") as workload:
            result = periscope("cpu", "-p", workload.pid, "-F", 499, 1)
        self.assert_whole_report(result)

    def assert_whole_report(self, result):
        self.assert_ok(result)
        self.assertEqual(result.summary["complete"], result.summary["samples"], result)
        for word in ("alpha", "beta", "main", "shares"):
            self.assertIn(word, result.out)
        self.assertEqual([x for x in result.out.splitlines() if len(x) > 80], [])
        self.assertNotIn("\033", result.out, "colours are for terminals")

    def test_stats_file(self):
        path = os.path.join(self.temp_dir(), "stats.json")
        with self.start("recursion") as workload:
            result = periscope("cpu", "-p", workload.pid, "-F", 499, "-f", "--stats", path, 1)
        self.assert_whole(result)
        with open(path, encoding="utf-8") as file:
            stats = json.load(file)
        for key in ("samples", "complete", "lost"):
            self.assertEqual(int(stats[key]), result.summary[key], stats)


class Choosing(LiveTest):
    def test_by_name(self):
        case = cases("tail_calls")["plain"]
        with self.start("tail_calls"):
            result = periscope("cpu", "-n", "tail_calls", "-F", 499, "-f", "-U", 1)
        self.assert_whole(result)
        self.assert_stacks(result, case)

    def test_forked_processes_share_what_is_known_of_their_code(self):
        with self.start("fork_tree") as workload, self.start("recursion") as other:
            path = os.path.join(self.temp_dir(), "cpu.folded")
            pids = f"{workload.pid},{other.pid}"
            with Tool("cpu", "--children", "-p", pids, "-o", path, "-U", 30) as tool:
                wait_until(lambda: len(watched(tool.pid)) >= 5, 10, "four of the tree and another")
                wait_until(lambda: all(n for (_, n), _ in watched(tool.pid).values()), 10, "mappings")
                seen = watched(tool.pid)
                tool.popen.send_signal(signal.SIGINT)
                tool.finish(20)
        alone = seen.pop(other.pid)
        self.assertEqual(len(set(seen.values())), 1, "they have forked, and mapped nothing since")
        self.assertNotIn(alone, seen.values())

    def test_command(self):
        case = cases("recursion")["plain"]
        program = os.path.join(WORKLOADS, "recursion")
        path = os.path.join(self.temp_dir(), "cpu.folded")
        result = periscope("cpu", "-F", 199, "-o", path, "-U", 10, "--", program, 2, 43)
        self.assert_ok(result)
        self.assertEqual(result.out, "ready\n", "the command's own output, and nothing else")
        result.take_folded(path)
        summary = result.summary
        self.assertEqual(summary["lost"], 0)
        # From exec on, so ld.so is there too, and libc for as long as its table is being made, which
        # on a busy machine may be a while; the program's own stacks are as always.
        self.assert_nearly_whole(result, 0.1)
        strange = sum(self.strange_stacks(result, case.stacks).values())
        self.assertLessEqual(strange, summary["samples"] * 0.15, result)
        self.assert_seen(result, "leaf", 100)

    def test_end_of_capture_leaves_no_command_behind(self):
        program = os.path.join(WORKLOADS, "recursion")
        path = os.path.join(self.temp_dir(), "cpu.folded")
        with Tool("cpu", "-F", 99, "-o", path, 1, "--", program, 60, 43) as tool:
            result = tool.finish(20)
        self.assert_ok(result)
        result.take_folded(path)
        self.assert_seen(result, "leaf", 10)
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
            except OSError:
                continue
            if words[:3] == [program.encode(), b"60", b"43"]:
                os.kill(int(pid), signal.SIGKILL)
                self.fail("the command that periscope started still runs")


class Places(LiveTest):
    """Objects whose path here leads nowhere, or to another file."""

    def copies(self, *names):
        directory = self.temp_dir()
        for name in names:
            shutil.copy2(os.path.join(WORKLOADS, name), directory)
        return directory

    def test_other_mount_and_pid_namespace(self):
        case = cases("recursion")["plain"]
        prefix = ("unshare", "-mpf", "--mount-proc")
        with Workload("recursion", case.args, prefix=prefix) as workload:
            result = periscope("cpu", "-p", workload.pid, "-F", 499, "-f", "-U", 1)
        self.assert_whole(result)
        self.assert_stacks(result, case)

    def test_program_that_only_its_namespace_sees(self):
        case = cases("dlopen_mid")["loaded"]
        directory = self.temp_dir()
        script = (
            f"mount -t tmpfs none {directory} && cp {WORKLOADS}/dlopen_mid {WORKLOADS}/plugin "
            f'{directory} && exec {directory}/dlopen_mid "$@"'
        )
        prefix = ("unshare", "-m", "sh", "-c", script)
        with Workload(
            "dlopen_mid", ["plugin", "0"], exe="sh", prefix=prefix
        ) as workload:
            self.assertFalse(os.path.exists(os.path.join(directory, "plugin")))
            result = periscope("cpu", "-p", workload.pid, "-F", 499, "-f", "-U", 1)
        self.assert_whole(result)
        self.assertEqual(
            {user[-4:] for user in result.user_stacks()},
            {("main", "use_library", "library_enter", "plugin_leaf")},
            case,
        )

    def test_library_upgraded_on_disk(self):
        directory = self.copies("dlopen_mid", "plugin")
        plugin = os.path.join(directory, "plugin")
        program = os.path.join(directory, "dlopen_mid")
        with Workload("dlopen_mid", ["plugin", "0"], exe=program) as workload:
            shutil.copy2(os.path.join(WORKLOADS, "plugin_upgraded"), plugin + ".new")
            os.rename(plugin + ".new", plugin)
            result = periscope("cpu", "-p", workload.pid, "-F", 499, "-f", "-U", 1)
        self.assert_whole(result)
        self.assertEqual(
            {user[-4:] for user in result.user_stacks()},
            {("main", "use_library", "library_enter", "plugin_leaf")},
        )

    def test_deleted_executable_and_library(self):
        directory = self.copies("dlopen_mid", "plugin")
        program = os.path.join(directory, "dlopen_mid")
        with Workload("dlopen_mid", ["plugin", "0"], exe=program) as workload:
            os.unlink(program)
            os.unlink(os.path.join(directory, "plugin"))
            result = periscope("cpu", "-p", workload.pid, "-F", 499, "-f", "-U", 1)
        self.assert_whole(result)
        self.assertEqual(
            {user[-4:] for user in result.user_stacks()},
            {("main", "use_library", "library_enter", "plugin_leaf")},
        )

    def test_process_of_another_user(self):
        case = cases("recursion")["plain"]
        directory = self.copies("recursion")
        program = os.path.join(directory, "recursion")
        with Process(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", program, "60", "43"],
            stdout=subprocess.DEVNULL,
        ) as other:
            time.sleep(0.5)
            result = periscope("cpu", "-p", other.pid, "-F", 499, "-f", "-U", 1)
        self.assert_whole(result)
        self.assert_stacks(result, case)
