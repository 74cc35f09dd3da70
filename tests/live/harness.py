# SPDX-License-Identifier: MIT
"""What the live tests share: start a workload, run periscope on it, read what it wrote.

A test starts processes only through Workload and Tool, which stop exactly what they started, by PID,
also when the test fails. Nothing here knows how periscope works inside; it knows the command
contract: folded stacks on stdout with -f, key=value pairs on the last line of stderr.
"""

import collections
import json
import os
import re
import select
import shlex
import signal
import subprocess
import tempfile
import time
import unittest

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("PERISCOPE_BUILD", os.path.join(REPO, "build")))
PERISCOPE = os.path.join(BUILD, "periscope")
WORKLOADS = os.path.join(BUILD, "workloads")
SOURCES = os.path.join(REPO, "tests", "workloads")
# The user stack of a sample in a process that has given up its memory, but is there still.
EXITING = ("[truncated: bad-read]", "_exit")

# What the stacks in the workloads' head comments leave out (see tests/workloads/workload.h).
MACROS = {
    "%main": "_start;__libc_start_main.*;__libc_start_call_main;main",
    "%thread": "(__GI_)?_*clone3?;start_thread",
    "%signal": "__restore_rt",
}

Case = collections.namedtuple("Case", "workload name args stacks shares")


# ---- what the workloads say about themselves ----


def _split_frames(line):
    """Splits at the semicolons that are outside parentheses."""
    frames, depth, start = [], 0, 0
    for i, char in enumerate(line):
        depth += (char == "(") - (char == ")")
        if char == ";" and depth == 0:
            frames.append(line[start:i])
            start = i + 1
    return frames + [line[start:]]


def stack_regex(line):
    """Compiles the stack of a head comment; it matches a whole stack, outermost frame first."""
    for macro, text in MACROS.items():
        line = line.replace(macro, text)
    patterns = []
    for frame in _split_frames(line):
        counted = re.fullmatch(r"(.*[^)])\{(\d+)(?:,(\d+))?\}", frame)
        if counted and int(counted[2]) > 0:
            frame, low, high = counted[1], int(counted[2]), int(counted[3] or counted[2])
            frame = f"(?:{frame})(?:;(?:{frame})){{{low - 1},{high - 1}}}"
        patterns.append(frame)
    # A dot that is not escaped stands for a character of a name, never for a boundary of frames.
    return re.compile(re.sub(r"(?<!\\)\.", "[^;]", ";".join(patterns)))


def cases(workload):
    """The cases told by a workload's head comment, as a dict by name."""
    found = {}
    case = None
    with open(os.path.join(SOURCES, workload + ".c"), encoding="utf-8") as source:
        for line in source:
            line = line.strip().lstrip("*").strip()
            word, _, rest = line.partition(": ")
            if line.startswith("case ") and ":" in line:
                name, _, args = line[5:].partition(":")
                case = Case(workload, name, args.split(), [], {})
                found[name] = case
            elif word == "stack" and case:
                case.stacks.append(stack_regex(rest))
            elif word == "share" and case:
                leaf, percent = rest.split()
                case.shares[leaf] = int(percent)
            elif line.startswith("#include"):
                break
    return found


# ---- processes ----


def read_stat(pid):
    """Fields of /proc/PID/stat from the state on, or None if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()
    except OSError:
        return None


def is_alive(pid):
    stat = read_stat(pid)
    return stat is not None and stat[0] not in "ZX"


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:
        return [int(word) for word in children.read().split()]


def wait_until(condition, seconds=10, what="a condition"):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.01)
    raise AssertionError(f"waited {seconds} s for {what}")


def stolen_ns():
    """Time that interrupts and the host have taken from all CPUs: not in a thread's CPU time, but it
    was switched in."""
    with open("/proc/stat", encoding="ascii") as stat:
        irq, softirq, steal = map(int, stat.readline().split()[6:9])
    return (irq + softirq + steal) * 10**9 // os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    """CPU time of a process's main thread so far."""
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as stat:
        return int(stat.read().split()[0]) / 1e9


class Process:
    """A process that a test started; a context manager that ends it."""

    def __init__(self, argv, **kwargs):
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        self.popen = subprocess.Popen(argv, **kwargs)
        self.pid = self.popen.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self, how=signal.SIGTERM):
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGCONT)
            self.popen.send_signal(how)
            try:
                self.popen.wait(5)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
        for stream in (self.popen.stdout, self.popen.stderr):
            if stream:
                stream.close()


class Workload(Process):
    """A workload in its steady state.

    exe: the program, where it is not the built one. prefix: words before it (unshare and the like);
    pid is then that of the first process below the prefix that runs no prefix any more.
    """

    def __init__(self, name, args=(), seconds=60, exe=None, prefix=(), **kwargs):
        argv = [*prefix, exe or os.path.join(WORKLOADS, name), str(seconds), *args]
        self.said = []
        super().__init__(argv, stdout=subprocess.PIPE, **kwargs)
        try:
            self._wait_ready()
        except BaseException:
            self.stop()
            raise
        self.inner = [self.pid]
        if prefix:
            while children_of(self.inner[-1]):
                self.inner.append(children_of(self.inner[-1])[0])
            self.pid = self.inner[-1]

    def stop(self, how=signal.SIGTERM):
        below = [int(line[4:]) for line in self.said if line.startswith("pid ")]
        for pid in below + getattr(self, "inner", [])[:0:-1]:
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)
        super().stop(how)

    def _wait_ready(self):
        text = b""
        end = time.monotonic() + 15
        while b"ready\n" not in text:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.popen.stdout], [], [], left)[0]:
                raise AssertionError(f"{self.popen.args}: not ready after 15 s")
            chunk = os.read(self.popen.stdout.fileno(), 4096)
            if not chunk:
                raise AssertionError(f"{self.popen.args}: ended before it was ready")
            text += chunk
        self.said = text.decode().splitlines()

    def signal_until_done(self):
        """Makes it work, and waits until it says that it is done."""
        os.kill(self.pid, signal.SIGUSR1)
        wait_until(lambda: b"done" in os.read(self.popen.stdout.fileno(), 100))

    def told_pid(self):
        """The PID of a child, from the line "pid N"."""
        for line in self.said:
            if line.startswith("pid "):
                return int(line[4:])
        raise AssertionError("the workload told no PID")


def start(case, **kwargs):
    return Workload(case.workload, case.args, **kwargs)


# ---- periscope ----


def parse_folded(text):
    """Folded lines as a dict: (command, user frames, kernel frames) -> count."""
    stacks = collections.Counter()
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        if not stack or not re.fullmatch(r"[0-9]+", count):
            raise AssertionError(f"not a folded line: {line!r}")
        comm, *frames = stack.split(";")
        kernel = [frame for frame in frames if frame.endswith("_[k]")]
        if kernel and frames[-len(kernel):] != kernel:
            raise AssertionError(f"kernel frames that are not innermost: {line!r}")
        user = tuple(frames[: len(frames) - len(kernel)])
        stacks[comm, user, tuple(kernel)] += int(count)
    return stacks


class Result:
    """What a run of periscope left: exit status, stdout, stderr, and these parsed."""

    def __init__(self, argv, status, out, err):
        self.argv, self.status, self.out, self.err = argv, status, out, err

    def __str__(self):
        return (
            f"{shlex.join(self.argv)}\nexit status {self.status}\n"
            f"stdout: {self.out[:2000]}\nstderr: {self.err[-2000:]}"
        )

    @property
    def summary(self):
        """The last line of stderr as a dict, numbers as int."""
        lines = self.err.strip().splitlines()
        words = lines[-1].split() if lines else []
        pairs = dict(word.partition("=")[::2] for word in words if "=" in word)
        if not words or len(pairs) != len(words):
            raise AssertionError(f"no summary on the last line of stderr:\n{self}")
        return {k: int(v) if re.fullmatch(r"\d+", v) else v for k, v in pairs.items()}

    @property
    def folded(self):
        return parse_folded(self.out)

    def take_folded(self, path):
        """Takes a folded file for what -f would have printed; for commands that print themselves."""
        with open(path, encoding="utf-8") as file:
            self.out = file.read()

    def user_stacks(self):
        """User stacks -> count, whatever the command's name and the kernel frames."""
        stacks = collections.Counter()
        for (_, user, _), count in self.folded.items():
            stacks[user] += count
        return stacks


class Tool(Process):
    """A running periscope whose output is collected in files, so that no pipe can fill."""

    def __init__(self, *args, exe=None, prefix=(), **kwargs):
        self.argv = [*prefix, exe or PERISCOPE, *map(str, args)]
        self.files = [tempfile.TemporaryFile(), tempfile.TemporaryFile()]
        kwargs.setdefault("stdout", self.files[0])
        kwargs.setdefault("stderr", self.files[1])
        super().__init__(self.argv, **kwargs)

    def wait_capturing(self):
        """Waits until it says, by -v, that it looks."""

        def says():
            with open(f"/proc/self/fd/{self.files[1].fileno()}", "rb") as file:
                return b"capturing\n" in file.read() or self.popen.poll() is not None

        wait_until(says, 30, "the capture to begin")

    def finish(self, timeout=30):
        try:
            status = self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            raise AssertionError(f"{shlex.join(self.argv)}: still running after {timeout} s")
        texts = []
        for file in self.files:
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
        return Result(self.argv, status, *texts)

    def stop(self, how=signal.SIGTERM):
        super().stop(how)
        for file in self.files:
            file.close()


def periscope(*args, timeout=30, **kwargs):
    """Runs periscope to its end."""
    with Tool(*args, **kwargs) as tool:
        return tool.finish(timeout)


class LiveTest(unittest.TestCase):
    """Assertions about captures."""

    maxDiff = None

    def temp_dir(self):
        directory = tempfile.TemporaryDirectory(prefix="periscope-live-")
        self.addCleanup(directory.cleanup)
        # A process of another user must be able to reach the files in it.
        os.chmod(directory.name, 0o755)
        return directory.name

    def tables(self, trace):
        """The sections of a recorded timeline's report, as tables for programs."""
        out = trace + ".tables"
        self.assert_ok(periscope("convert", trace, "--format", "tables", "-o", out))
        with open(out, encoding="utf-8") as file:
            return json.load(file)["sections"]

    def start(self, workload, case="plain", **kwargs):
        running = start(cases(workload)[case], **kwargs)
        self.addCleanup(running.stop)
        return running

    def watch_while(self, command, work, *args):
        """Runs a command of periscope while work() lasts; its result, its tables, what work() gave."""
        path = os.path.join(self.temp_dir(), "report.json")
        with Tool(command, *args, "-v", "-o", path) as tool:
            tool.wait_capturing()
            done = work()
            tool.popen.send_signal(signal.SIGINT)
            result = tool.finish()
        self.assert_ok(result)
        with open(path, encoding="utf-8") as file:
            return result, json.load(file), done

    @staticmethod
    def rows(report, section, key):
        """Of a table of a report."""
        tables = report["sections"][section]["tables"]
        return next(table["rows"] for table in tables if table["key"] == key)

    def assert_ok(self, result):
        self.assertEqual(result.status, 0, result)
        return result

    @staticmethod
    def exiting(result):
        """Samples of processes that have no memory any more: nothing but the function is known."""
        return result.user_stacks().get(EXITING, 0) if result.out else 0

    def assert_whole(self, result, least=20):
        """A capture that lost nothing; each walk of what lives reached the outermost frame."""
        self.assert_ok(result)
        summary = result.summary
        self.assertGreaterEqual(summary["samples"], least, result)
        self.assertEqual(summary["lost"], 0, result)
        self.assertEqual(summary["complete"] + self.exiting(result), summary["samples"], result)
        if result.out:
            self.assertEqual(sum(result.folded.values()), summary["samples"], result)

    def strange_stacks(self, result, stacks):
        """Those user stacks that match none of the expressions, with their counts."""
        return {
            ";".join(user): count
            for user, count in result.user_stacks().items()
            if user != EXITING and not any(stack.fullmatch(";".join(user)) for stack in stacks)
        }

    def assert_nearly_whole(self, result, share, least=20):
        """
        Nothing lost; at most this share of the walks of what lives, or one, cut short, and each
        marked so.
        """
        self.assert_ok(result)
        summary = result.summary
        self.assertGreaterEqual(summary["samples"], least, result)
        self.assertEqual(summary["lost"], 0, result)
        cut = sum(n for u, n in result.user_stacks().items() if u and u[0].startswith("[truncated"))
        self.assertEqual(cut, summary["samples"] - summary["complete"], result)
        cut -= self.exiting(result)
        self.assertLessEqual(cut, max(1, share * summary["samples"]), result)

    def assert_stacks(self, result, case):
        self.assertEqual(self.strange_stacks(result, case.stacks), {}, result.summary)

    def assert_seen(self, result, function, least=1):
        """That at least so many samples have the function somewhere on the stack."""
        count = sum(n for stack, n in result.user_stacks().items() if function in stack)
        self.assertGreaterEqual(count, least, f"samples with {function} in\n{result}")

    def assert_refused(self, result, status, *words):
        """One clear line on stderr that holds the words, the exit status, nothing on stdout."""
        self.assertEqual(result.status, status, result)
        self.assertEqual(result.out, "", result)
        lines = result.err.strip().splitlines()
        if status != 2:
            self.assertEqual(len(lines), 1, result)
        self.assertNotIn("libbpf:", result.err, result)
        for word in words:
            self.assertRegex(result.err, word)
