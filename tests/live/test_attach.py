# SPDX-License-Identifier: MIT
"""Probes by tools/lib/probe_site.h and attach.h, on a workload that counts its own calls.

The program build/live/probe_events attaches and tells hits; see its head comment.
"""

import os
import shutil
import signal
import subprocess

import harness
import uprobes

PROBE_EVENTS = os.path.join(harness.BUILD, "live", "probe_events")
LIBC = "/lib/x86_64-linux-gnu/libc.so.6"
LIBS = "/usr/lib/x86_64-linux-gnu/"
BLOCKS, CALLS, DEPTH = 1009, 12, 200  # of probe_calls.c
MAX_NESTED_RETURNS = 64  # MAX_URETPROBE_DEPTH of the kernel


def exported_functions(path):
    """Names of the functions that a library exports, by readelf."""
    text = subprocess.run(
        ["readelf", "--dyn-syms", "-W", path], capture_output=True, text=True, check=True
    ).stdout
    return sorted(
        {
            words[7].partition("@")[0]
            for words in map(str.split, text.splitlines())
            if len(words) == 8 and words[3:5] == ["FUNC", "GLOBAL"] and words[6] != "UND"
        }
    )


class Rounds(harness.Workload):
    """probe_calls, told what to do."""

    def __init__(self, threads=1, **kwargs):
        super().__init__("probe_calls", [str(threads)], stdin=subprocess.PIPE, **kwargs)

    def stop(self, how=signal.SIGTERM):
        self.popen.stdin.close()
        super().stop(how)

    def tell(self, word="round", answer=b"done"):
        self.popen.stdin.write(word.encode() + b"\n")
        self.popen.stdin.flush()
        line = self.popen.stdout.readline()
        assert line.strip() == answer, line


class Probes(harness.Process):
    """probe_events, attached."""

    def __init__(self, *args):
        super().__init__(
            [PROBE_EVENTS, *map(str, args)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines = []
        while not self.lines or self.lines[-1] != "ready":
            line = self.popen.stdout.readline()
            if not line:
                raise AssertionError(f"not attached: {self.lines}")
            self.lines.append(line.strip())

    def finish(self):
        """Detaches; what each function had, as a dict of its values."""
        self.popen.send_signal(signal.SIGINT)
        self.lines += [line.strip() for line in self.popen.stdout]
        if self.popen.wait():
            raise AssertionError(f"{self.lines}")
        return {
            values["name"]: {k: int(v) if v.isdigit() else v for k, v in values.items()}
            for values in self.all("function")
        }

    def all(self, first):
        return [
            dict(word.partition("=")[::2] for word in line.split()[1:])
            for line in self.lines
            if line.split()[:1] == [first]
        ]

    def said(self, text):
        return any(text in line for line in self.lines)


class AttachTest(harness.LiveTest):
    def rounds(self, *args, **kwargs):
        workload = Rounds(*args, **kwargs)
        self.addCleanup(workload.stop)
        return workload

    def probes(self, *args):
        probes = Probes(*args)
        self.addCleanup(probes.stop)
        return probes

    def assert_nothing_lost(self, probes):
        self.assertTrue(probes.said("lost=0 unknown=0"), probes.lines)


class Counts(AttachTest):
    def check(self, threads, *args):
        workload = self.rounds(threads)
        heap = self.probes("-p", workload.pid, *args, LIBC, "malloc", "free")
        own = self.probes("-p", workload.pid, *args, workload.popen.args[0], "twelve", "down")
        workload.tell()
        workload.tell()
        found = heap.finish() | own.finish()
        self.assert_nothing_lost(heap)
        self.assert_nothing_lost(own)
        for name, count in {
            "malloc": BLOCKS,
            "free": BLOCKS,
            "twelve": CALLS,
            "down": DEPTH,
        }.items():
            self.assertEqual(2 * threads * count, found[name]["hits"], found[name])
            self.assertEqual(0, found[name]["wrong_args"], found[name])
            self.assertEqual(0, found[name]["wrong_cfa"], found[name])
        self.assertEqual("emulated", found["malloc"]["class"])
        self.assertEqual("emulated", found["free"]["class"])
        return found

    def test_multi(self):
        self.check(1)

    def test_threads(self):
        self.check(8)

    def test_perf(self):
        self.check(8, "-P")

    def test_against_entry(self):
        """Arguments at the sites, and the CFA, are those at the functions' entries."""
        found = self.check(1, "-c")
        self.assertEqual(2 * BLOCKS, found["free"]["entries"])

    def test_returns(self):
        for args in (["-r"], ["-r", "-P"]):
            with self.subTest(args=args):
                found = self.check(3, *args)
                self.assertEqual(6 * BLOCKS, found["malloc"]["returns"])
                self.assertEqual(6 * CALLS, found["twelve"]["returns"])
                self.assertEqual(6 * MAX_NESTED_RETURNS, found["down"]["returns"])

    def test_other_allocators(self):
        for library in ("libjemalloc.so.2", "libtcmalloc_minimal.so.4", "libmimalloc.so.2.0"):
            with self.subTest(library=library):
                env = dict(os.environ, LD_PRELOAD=LIBS + library)
                workload = self.rounds(2, env=env)
                probes = self.probes("-p", workload.pid, "-r", "-c", LIBS + library, "malloc", "free")
                workload.tell()
                found = probes.finish()
                self.assert_nothing_lost(probes)
                for name in ("malloc", "free"):
                    self.assertEqual(2 * BLOCKS, found[name]["hits"], found)
                    self.assertEqual(2 * BLOCKS, found[name]["returns"], found)
                    self.assertEqual(0, found[name]["wrong_args"], found)
                    self.assertEqual(0, found[name]["wrong_cfa"], found)
                    self.assertEqual("emulated", found[name]["class"])

    def test_null_is_skipped(self):
        """free+9 of glibc sees no free(NULL), of which there are none here."""
        workload = self.rounds()
        probes = self.probes("-p", workload.pid, "-n", LIBC, "free")
        workload.tell()
        found = probes.finish()["free"]
        self.assertEqual((9, BLOCKS), (found["at"], found["hits"]))


class Libraries(AttachTest):
    """Every function that a library exports, where its site is not its entry: there are the
    arguments that were at the entry."""

    def check(self, library, least, command):
        names = exported_functions(library)
        waiting = ["sh", "-c", 'read go && exec "$@"', "sh", *command]
        with harness.Process(
            waiting, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            probes = self.probes("-p", process.pid, "-c", library, *names)
            process.popen.stdin.write(b"go\n")
            process.popen.stdin.close()
            self.assertEqual(0, process.popen.wait(60))
        found = probes.finish()
        self.assert_nothing_lost(probes)
        moved = [f for f in found.values() if f.get("entries")]
        self.assertGreater(len(moved), least)
        for function in moved:
            self.assertEqual(0, function["wrong_args"], function)
            self.assertEqual(0, function["wrong_cfa"], function)
            if not function["repeats"]:
                self.assertEqual(function["entries"], function["hits"], function)

    def test_libcrypto(self):
        self.check(
            LIBS + "libcrypto.so.3",
            100,
            ["openssl", "req", "-x509", "-newkey", "rsa:1024", "-nodes", "-subj", "/CN=x",
             "-keyout", "/dev/null", "-out", "/dev/null"],
        )

    def test_libsqlite(self):
        self.check(
            LIBS + "libsqlite3.so.0",
            30,
            ["sqlite3", ":memory:",
             "create table t(a, b); insert into t values(1, 'x'), (2, 'y');"
             "create index i on t(b); select count(*), sum(a) from t where b > 'w';"
             "select json_object('a', a), printf('%d', a) from t order by b desc;"],
        )


class Processes(AttachTest):
    def test_pid_is_not_followed_by_forks(self):
        """The child of a process that is probed by its PID is not probed, and unharmed."""
        workload = self.rounds()
        for args, rounds in ((["-p", workload.pid], 0), ([], 1)):
            for kind in ([], ["-P"]):
                probes = self.probes(*args, *kind, workload.popen.args[0], "twelve")
                workload.tell("fork")
                found = probes.finish()["twelve"]
                self.assertEqual(rounds * CALLS, found["hits"], (args, kind))

    def test_pid_is_followed_through_exec(self):
        for kind in ([], ["-P"]):
            workload = self.rounds()
            probes = self.probes("-p", workload.pid, *kind, workload.popen.args[0], "twelve")
            workload.tell("exec", b"ready")  # which does one round before
            found = probes.finish()["twelve"]
            self.assertEqual(CALLS, found["hits"], kind)

    def test_all_processes(self):
        """Without a PID: those that run and those that start later."""
        first = self.rounds()
        probes = self.probes(first.popen.args[0], "twelve")
        second = self.rounds()  # does one round before it is ready
        first.tell()
        second.tell()
        found = probes.finish()["twelve"]
        self.assertEqual(3 * CALLS, found["hits"])
        self.assertEqual(2, found["processes"])

    def test_replaced_file(self):
        """The file that is mapped is probed, though its path leads to another by now."""
        directory = self.temp_dir()
        path = directory + "/probe_calls"
        shutil.copy(os.path.join(harness.WORKLOADS, "probe_calls"), path)
        workload = self.rounds(exe=path)
        shutil.copy(path, path + ".new")
        os.rename(path + ".new", path)
        with open(f"/proc/{workload.pid}/maps", encoding="ascii") as maps:
            mapping = next(line.split()[0] for line in maps if " r-xp " in line and path in line)
        mapped = f"/proc/{workload.pid}/map_files/{mapping}"
        counts = {}
        for file in (mapped, path):
            probes = self.probes("-p", workload.pid, file, "twelve")
            workload.tell()
            counts[file] = probes.finish()["twelve"]["hits"]
        self.assertEqual({mapped: CALLS, path: 0}, counts)


class Failures(AttachTest):
    def test_one_refused_site(self):
        """It is named, and the others are attached, however many they are."""
        workload = self.rounds()
        names = ["malloc", "free", "calloc", "realloc", "getenv", "fopen", "fclose", "qsort"]
        for kind in ([], ["-P"]):
            probes = self.probes("-p", workload.pid, *kind, "-a", "0x40000000", LIBC, *names)
            workload.tell()
            found = probes.finish()
            (attached,) = probes.all("attached")
            self.assertEqual(("8", "9"), (attached["sites"], attached["of"]))
            (refused,) = probes.all("refused")
            self.assertEqual("40000000", refused["offset"])
            self.assertEqual(BLOCKS, found["malloc"]["hits"])
            self.assertEqual(BLOCKS, found["free"]["hits"])

    def test_no_such_process(self):
        for kind in ([], ["-P"]):
            probes = self.probes("-p", "4194303", *kind, LIBC, "malloc")
            probes.finish()
            self.assertTrue(probes.said("no such process"), probes.lines)

    def test_killed_tool_leaves_nothing(self):
        """After SIGKILL the instruction is again what the file says."""
        workload = self.rounds()
        exe = workload.popen.args[0]

        with open(f"/proc/{workload.pid}/maps", encoding="ascii") as maps:
            words = next(line.split() for line in maps if exe in line and " r-xp " in line)
        at = uprobes.symbol_offset(exe, "twelve") - int(words[2], 16)
        at += int(words[0].partition("-")[0], 16)

        def entry():
            with open(f"/proc/{workload.pid}/mem", "rb") as memory:
                memory.seek(at)
                return memory.read(16)

        before = entry()
        probes = self.probes("-p", workload.pid, exe, "twelve")
        workload.tell()
        self.assertNotEqual(before, entry())
        probes.popen.kill()
        probes.popen.wait()
        harness.wait_until(lambda: entry() == before, what="the probe to be gone")
        workload.tell()

    def test_links(self):
        """All sites of an object are one link, where the kernel has such: it is detached at once."""
        workload = self.rounds()
        names = exported_functions(LIBC)
        for kind in ([], ["-P"]):
            probes = self.probes("-p", workload.pid, *kind, LIBC, *names[:30])
            (attached,) = probes.all("attached")
            sites = int(attached["sites"])
            fds = f"/proc/{probes.pid}/fd"
            links = [os.readlink(f"{fds}/{fd}") for fd in os.listdir(fds)]
            self.assertGreater(sites, 10)
            release = tuple(map(int, os.uname().release.split(".")[:2]))
            if not kind and release >= (6, 10):
                self.assertEqual("multi", attached["kind"])
            self.assertEqual(
                1 if attached["kind"] == "multi" else sites, links.count("anon_inode:bpf_link")
            )
            probes.finish()
