# SPDX-License-Identifier: MIT
"""Reads the contract of the probes from server/probes.h, and listens to all of them by bpftrace."""

import json
import os
import re
import struct
import subprocess
import tempfile
import time

from harness import ROOT, binary


def declared():
    """The probes in server/probes.h: name -> [(type, argument)]."""
    with open(os.path.join(ROOT, "server", "probes.h"), encoding="utf-8") as file:
        text = file.read()
    probes = {}
    for name, arguments in re.findall(r"^DECLARE_PROBE\((\w+), ([^;]*)\);", text, re.M):
        probes[name] = [re.fullmatch(r"(.*?)\s*(\w+)", " ".join(a.split())).groups()
                        for a in arguments.split(",")]
    return probes


def notes():
    """(name, address, base, semaphore, operands) of every probe in the file."""
    text = subprocess.run(["readelf", "--wide", "-n", binary()], capture_output=True, text=True,
                          check=True).stdout
    return re.findall(r"Provider: coworking\s+Name: (\w+)\s+Location: (0x\w+), Base: (0x\w+), "
                      r"Semaphore: (0x\w+)\s+Arguments: (.*)", text)


class Event:
    """One probe that fired; its arguments are attributes, `args` all of them in order."""

    def __init__(self, name, time_ns, tid, args):
        self.name, self.time, self.tid, self.args = name, time_ns, tid, args

    def __getattr__(self, name):
        for (_, known), value in zip(DECLARED[self.name], self.args):
            if known == name:
                return value
        raise AttributeError(name)

    def __repr__(self):
        return "%s%r" % (self.name, tuple(self.args))


DECLARED = declared()


class Bpftrace:
    """bpftrace with a script on a server, from when all probes of `names` are attached to stop()."""

    def __init__(self, server, script, names, *options):
        self.server, self.names = server, names
        self.directory = tempfile.TemporaryDirectory(prefix="coworkingd-trace-")
        self.out, self.err = (os.path.join(self.directory.name, n) for n in ("out", "err"))
        path = os.path.join(self.directory.name, "script.bt")
        with open(path, "w", encoding="utf-8") as file:
            file.write(script)
        # not by -o, which keeps everything to itself until the end
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen(
                ["bpftrace", *options, "-p", str(server.process.pid), path],
                stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                env={**os.environ, "BPFTRACE_STRLEN": "200", "BPFTRACE_PERF_RB_PAGES": "4096"})
        self.wait_until_attached()

    def wait_until_attached(self):
        deadline = time.monotonic() + 60
        while not all(self.semaphores()):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                self.process.wait()
                with open(self.err, encoding="utf-8") as file:
                    raise AssertionError("bpftrace does not attach: " + file.read())
            time.sleep(0.1)
        # it attaches in the script's order, and has said nothing of other probes
        time.sleep(0.3)

    def semaphores(self):
        """How many are attached to each probe, as the process has it in its memory."""
        with open("/proc/%d/maps" % self.server.process.pid, encoding="utf-8") as file:
            base = next(int(line.split("-")[0], 16) for line in file if binary() in line)
        with open("/proc/%d/mem" % self.server.process.pid, "rb", buffering=0) as memory:
            return [struct.unpack("H", os.pread(memory.fileno(), 2, base + int(address, 16)))[0]
                    for name, _, _, address, _ in notes() if name in self.names]

    def stop(self):
        """What it printed."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:  # taking its probes away; what it saw is written
            self.process.kill()
            self.process.wait(60)
        with open(self.out, encoding="utf-8") as file:
            text = file.read()
        with open(self.err, encoding="utf-8") as file:
            assert "ost " not in file.read(), "events were lost"
        self.directory.cleanup()
        return text


def usdt(name):
    return "usdt:%s:coworking:%s" % (binary(), name)


class Counter(Bpftrace):
    """Counts by bpftrace's own maps: a script whose clauses count into @name[keys]."""

    def __init__(self, server, script, names):
        super().__init__(server, script, names, "-f", "json")

    def stop(self):
        """The maps: name -> {keys, a tuple of texts -> count}."""
        maps = {}
        for line in super().stop().splitlines():
            line = json.loads(line) if line.startswith("{") else {}
            if line.get("type") != "map":
                continue
            for name, value in line["data"].items():
                if not isinstance(value, dict):
                    value = {"": value}
                maps[name.lstrip("@")] = {tuple(k.split(",")): n for k, n in value.items()}
        return maps


class Tracer(Bpftrace):
    """Every probe of a server, until stop() returns what it saw in order."""

    def __init__(self, server):
        self.token = server.login()
        super().__init__(server, "\n".join(self.clause(name) for name in DECLARED), DECLARED,
                         "-B", "line")
        # before this some were attached already, and some were not
        self.since = time.clock_gettime_ns(time.CLOCK_MONOTONIC)

    def clause(self, name):
        formats, values = [], []
        for n, (kind, _) in enumerate(DECLARED[name]):
            if kind == "const char *":
                formats.append("%s")
                values.append("str(arg%d)" % n)
            elif kind == "int":
                formats.append("%d")
                values.append("(int32)arg%d" % n)
            else:
                formats.append("%llu")
                values.append("(uint64)arg%d" % n)
        return '%s { printf("@%s\\t%%llu\\t%%d\\t%s\\n", nsecs, tid, %s); }' % (
            usdt(name), name, "\\t".join(formats), ", ".join(values))

    def wait_for_the_last(self):
        """Fires one more probe and waits until it has come out at the other end."""
        def count():
            with open(self.out, encoding="utf-8") as file:
                return file.read().count("@trace__request\t")

        before, deadline = count(), time.monotonic() + 30
        self.server.request("GET", "/trace", token=self.token)
        while count() == before and time.monotonic() < deadline:
            time.sleep(0.1)

    def stop(self):
        if self.server.process.poll() is None:
            self.wait_for_the_last()
        # other CPUs' buffers
        time.sleep(0.5)
        text = super().stop()
        assert "ost" not in re.sub(r"^@.*$", "", text, flags=re.M), "events were lost: " + text
        events = []
        for line in text.splitlines():
            if not line.startswith("@"):
                continue
            name, time_ns, tid, *args = line[1:].split("\t")
            args = [a if kind == "const char *" else int(a)
                    for (kind, _), a in zip(DECLARED[name], args)]
            events.append(Event(name, int(time_ns), int(tid), args))
        return sorted((e for e in events if e.time >= self.since), key=lambda e: e.time)
