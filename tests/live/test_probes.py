# SPDX-License-Identifier: MIT
"""periscope probes: what it lists, against objdump and readelf.

The sites of thousands of functions are held against objdump's disassembly of the whole file: that a
site is the beginning of an instruction which is emulated, that none before it is, that no branch of
the file leads to between the entry and it, and that no instruction until there writes a register
which is said to hold an argument.
"""

import bisect
import json
import os
import re
import subprocess

import harness

LIBC = "/lib/x86_64-linux-gnu/libc.so.6"
LIBCRYPTO = "/usr/lib/x86_64-linux-gnu/libcrypto.so.3"
LIBSQLITE = "/usr/lib/x86_64-linux-gnu/libsqlite3.so.0"
LIBSTDCXX = "/usr/lib/x86_64-linux-gnu/libstdc++.so.6"
POSTGRES = "/usr/lib/postgresql/15/bin/postgres"

ARGUMENTS = ["rdi", "rsi", "rdx", "rcx", "r8", "r9"]
PUSHED = re.compile(r"push +%(r[a-ds0-9][a-zip0-9]*)")
# What a register's parts are called.
PARTS = {
    part: full
    for full, parts in {
        "rax": "eax ax al ah",
        "rbx": "ebx bx bl bh",
        "rcx": "ecx cx cl ch",
        "rdx": "edx dx dl dh",
        "rsi": "esi si sil",
        "rdi": "edi di dil",
        "rbp": "ebp bp bpl",
        **{f"r{n}": f"r{n}d r{n}w r{n}b" for n in range(8, 16)},
    }.items()
    for part in [full, *parts.split()]
}
READING = re.compile(r"(cmp|test|push|nop|endbr|bt$|bt[lqw]$|u?comis|ptest|prefetch|j)")


def listed(*args):
    result = harness.periscope("probes", *args, "--json")
    if result.status:
        raise AssertionError(str(result))
    return json.loads(result.out)


class Code:
    """A file's instructions by objdump: (address, text), and where its branches lead to."""

    LINE = re.compile(r"^ *([0-9a-f]+):\t(?:[0-9a-f]{2} )+ *\t?(.*)$")
    BRANCH = re.compile(r"^(?:bnd |notrack )?(j\w+|call|loop\w*)\s+([0-9a-f]+)\b")

    def __init__(self, path):
        text = subprocess.run(
            ["objdump", "-d", "-w", path], capture_output=True, text=True, check=True
        ).stdout
        self.addresses, self.texts, branches = [], [], set()
        described = self.described(path)
        for line in text.splitlines():
            match = self.LINE.match(line)
            if not match or not match[2]:
                continue
            self.addresses.append(int(match[1], 16))
            self.texts.append(match[2].partition("#")[0].partition("<")[0].strip())
            branch = self.BRANCH.match(self.texts[-1])
            if branch and branch[1] != "call" and self.covers(described, self.addresses[-1]):
                branches.add(int(branch[2], 16))
        self.targets = sorted(branches)

    @staticmethod
    def described(path):
        """Where there is code by the unwind information, [start, end): there is data in text."""
        # Its status tells of warnings, which it has for libc.
        text = subprocess.run(
            ["readelf", "--debug-dump=frames", path], capture_output=True, text=True, check=False
        ).stdout
        found = re.findall(r" FDE .* pc=([0-9a-f]+)\.\.([0-9a-f]+)", text)
        return sorted((int(start, 16), int(end, 16)) for start, end in found)

    @staticmethod
    def covers(ranges, address):
        i = bisect.bisect_right(ranges, (address, 1 << 64)) - 1
        return i >= 0 and ranges[i][0] <= address < ranges[i][1]

    def between(self, start, end):
        """The instructions in [start, end)."""
        low = bisect.bisect_left(self.addresses, start)
        high = bisect.bisect_left(self.addresses, end)
        return self.texts[low:high]

    def at(self, address):
        i = bisect.bisect_left(self.addresses, address)
        if i == len(self.addresses) or self.addresses[i] != address:
            return None
        return self.texts[i]

    def landed(self, start, end):
        """Where branches lead to in (start, end]."""
        return self.targets[
            bisect.bisect_right(self.targets, start) : bisect.bisect_right(self.targets, end)
        ]


def is_emulated(text):
    if re.match(r"(nop|xchg +%ax,%ax|data16 nop)$", text):
        return True
    if PUSHED.match(text):
        return True
    return bool(re.match(r"(bnd )?(j(?!rcxz)\w+|call) +[0-9a-f]+$", text))


def written(text):
    """The register that an instruction writes, in AT&T syntax its last operand; "" for none."""
    if READING.match(text):
        return ""
    last = re.search(r"(?:,| )%(\w+)$", text)
    return PARTS.get(last[1], "") if last else ""


class Sites(harness.LiveTest):
    def check_function(self, code, function):
        entry, site = function["address"], function["site"]
        text = code.at(site["address"])
        self.assertIsNotNone(text, f"{function['name']}: not at an instruction")
        path = code.between(entry, site["address"])
        if site["class"] == "emulated":
            self.assertTrue(is_emulated(text), f"{function['name']}: {text}")
            if not site["repeats"]:
                self.assertEqual(
                    [], code.landed(entry, site["address"]), f"{function['name']}: branches"
                )
                self.assertFalse(any(map(is_emulated, path)), f"{function['name']}: {path}")
        else:
            self.assertFalse(is_emulated(text), f"{function['name']}: {text}")
        for argument, register in zip(ARGUMENTS, site["arguments"]):
            if register == argument:
                changed = [text for text in path if written(text) == register]
                self.assertEqual([], changed, f"{function['name']}: {argument}")
            elif register:
                # A copy: after the one instruction that made it nothing writes it.
                writes = [text for text in path if written(text) == register]
                self.assertRegex(writes[-1], f"^mov +%\\w+,%{register}$", function["name"])
        if site["stack"]:
            self.assertRegex(" ".join(path), r"(sub|add|lea|push)", function["name"])

    def check_file(self, path, least):
        code = Code(path)
        functions = listed(path, "*")["objects"][0]["functions"]
        emulated = 0
        for function in functions:
            if function["error"] and "lock" in code.at(function["address"]):
                continue
            self.assertIsNone(function["error"], function["name"])
            with self.subTest(function=function["name"]):
                self.check_function(code, function)
            emulated += function["site"]["class"] == "emulated"
        self.assertGreater(len(functions), least)
        # A function that begins with a plain instruction up to its end is rare in real code.
        self.assertGreater(emulated, 0.7 * len(functions))

    def test_libc(self):
        self.check_file(LIBC, 2000)

    def test_libcrypto(self):
        self.check_file(LIBCRYPTO, 4500)

    def test_libsqlite(self):
        self.check_file(LIBSQLITE, 250)

    def test_neighbours(self):
        """Jumps from other functions count, whether these are listed too or not.

        glibc's mempcpy jumps into memcpy, to behind its first instruction.
        """
        together = listed(LIBC, "__mem*_avx*_erms")["objects"][0]["functions"]
        self.assertGreater(len(together), 4)
        stepped = 0
        for function in together:
            alone = listed(LIBC, function["name"])["objects"][0]["functions"]
            self.assertEqual([function], alone)
            stepped += function["site"]["class"] == "single-stepped"
        self.assertGreater(stepped, 0)

    def test_known_sites(self):
        """By hand, from the disassembly of each."""
        self.assertEqual(
            {"malloc": (0, "rdi"), "free": (3, "rdi")}, self.sites(LIBC, "malloc", "free")
        )
        libs = "/usr/lib/x86_64-linux-gnu/"
        self.assertEqual(
            {"malloc": (7, "rdi"), "free": (48, "rdi")},
            self.sites(libs + "libjemalloc.so.2", "malloc", "free"),
        )
        self.assertEqual(
            {"malloc": (10, "rdi"), "free": (10, "rdi")},
            self.sites(libs + "libtcmalloc_minimal.so.4", "malloc", "free"),
        )
        self.assertEqual(
            {"malloc": (21, "rsi"), "free": (6, "rdi")},
            self.sites(libs + "libmimalloc.so.2.0", "malloc", "free"),
        )

    def sites(self, path, *names):
        found = {}
        for name in names:
            (function,) = listed(path, name)["objects"][0]["functions"]
            site = function["site"]
            self.assertEqual("emulated", site["class"])
            found[name] = (site["address"] - function["address"], site["arguments"][0])
        return found


class Usdt(harness.LiveTest):
    FIELD = re.compile(r"\s(Provider|Name|Arguments): ?(.*)$")
    PLACE = re.compile(r"\sLocation: 0x([0-9a-f]+), Base: 0x[0-9a-f]+, Semaphore: 0x([0-9a-f]+)$")

    def by_readelf(self, path):
        text = subprocess.run(
            ["readelf", "-n", "-W", path], capture_output=True, text=True, check=True
        ).stdout
        probes, probe = [], {}
        for line in text.splitlines():
            field, place = self.FIELD.search(line), self.PLACE.search(line)
            if field and field[1] == "Provider":
                probe = {"Provider": field[2]}
            elif field:
                probe[field[1]] = field[2]
            elif place:
                probe["at"] = (int(place[1], 16), int(place[2], 16))
            if field and field[1] == "Arguments":
                probes.append(
                    (probe["Provider"], probe["Name"], *probe["at"], probe["Arguments"].strip())
                )
        return sorted(probes)

    def test_against_readelf(self):
        for path in (POSTGRES, harness.BUILD + "/coworkingd", LIBSTDCXX):
            with self.subTest(path=path):
                found = [
                    (
                        probe["provider"],
                        probe["name"],
                        probe["address"],
                        probe["semaphore"]["address"] if probe["semaphore"] else 0,
                        probe["operands"].strip(),
                    )
                    for probe in listed(path)["objects"][0]["usdt"]
                ]
                expected = self.by_readelf(path)
                self.assertEqual(expected, sorted(found))
                self.assertGreaterEqual(len(expected), 3)

    def test_semaphore_is_in_the_file(self):
        """At its offset there is the counter, which is 0 in the file."""
        probes = listed(POSTGRES)["objects"][0]["usdt"]
        with open(POSTGRES, "rb") as file:
            for probe in probes:
                file.seek(probe["semaphore"]["offset"])
                self.assertEqual(b"\0\0", file.read(2), probe["name"])
                file.seek(probe["offset"])
                self.assertEqual(b"\x90", file.read(1), probe["name"])

    def test_five_byte_nop(self):
        """Refused where the kernel replaces it by a call, and why is said."""
        workload = os.path.join(harness.WORKLOADS, "usdt_args")
        (probe,) = listed(workload, "forms:nop5")["objects"][0]["usdt"]
        with open("/proc/kallsyms", encoding="ascii") as symbols:
            replaces = any(line.split()[2] == "arch_uprobe_optimize" for line in symbols)
        if replaces:
            self.assertIn("5-byte nop", probe["error"])
            self.assertIsNone(probe["class"])
        else:
            self.assertIsNone(probe["error"])
            self.assertEqual("single-stepped", probe["class"])
        self.assertEqual("constant 5", probe["arguments"][0]["place"])

    def test_patterns(self):
        def names(pattern):
            objects = listed(POSTGRES, pattern)["objects"]
            return {probe["name"] for probe in objects[0]["usdt"]}

        self.assertEqual({"query__start", "query__done"}, names("postgresql:query__[sd]*"))
        self.assertEqual({"query__start"}, names("postgresql:query-start"))
        self.assertEqual({"query__start"}, names("*sql:query__start"))


class Process(harness.LiveTest):
    def test_every_file(self):
        """A process's libraries, each once, by what maps says."""
        with harness.Workload("shares", ["plain"]) as workload:
            found = {o["path"] for o in listed("-p", workload.pid, "*")["objects"]}
            with open(f"/proc/{workload.pid}/maps", encoding="utf-8") as maps:
                mapped = {
                    line.split()[5] for line in maps if " r-xp " in line and len(line.split()) > 5
                }
        self.assertEqual({path for path in mapped if path.startswith("/")}, found)

    def test_library(self):
        with harness.Workload("shares", ["plain"]) as workload:
            for spec in ("libc:malloc", "libc.so.6:malloc", "libc.so:mal?oc", os.path.realpath(LIBC) + ":malloc"):
                objects = listed("-p", workload.pid, spec)["objects"]
                names = [f["name"] for o in objects for f in o["functions"]]
                self.assertEqual(["malloc"], names, spec)

    def test_alias(self):
        """glibc's other name of malloc is found as well, at the same address."""
        ((first,), (second,)) = (
            listed(LIBC, name)["objects"][0]["functions"] for name in ("malloc", "__libc_malloc")
        )
        self.assertEqual("__libc_malloc", second["name"])
        self.assertEqual(first["address"], second["address"])

    def test_ifunc(self):
        functions = listed(LIBC, "memcpy")["objects"][0]["functions"]
        self.assertTrue(any(function["ifunc"] for function in functions))
        (function,) = listed(LIBC, "malloc")["objects"][0]["functions"]
        self.assertFalse(function["ifunc"])

    def test_cplusplus(self):
        """By readable name, with and without parameters; its returns are not offered."""
        names = ("std::runtime_error::what", "std::runtime_error::what() const", "_ZN*what*")
        for name in names:
            functions = listed(LIBSTDCXX, name)["objects"][0]["functions"]
            found = [f for f in functions if f["linkage"] == "_ZNKSt13runtime_error4whatEv"]
            if name.startswith("_Z"):
                continue
            self.assertEqual(1, len(found), name)
            self.assertEqual("std::runtime_error::what() const", found[0]["name"])
        functions = listed(LIBSTDCXX, "__cxa_throw")["objects"][0]["functions"]
        self.assertFalse(functions[0]["returns"])
        self.assertIn("exception", functions[0]["no_returns"])

    def test_returns(self):
        (function,) = listed(LIBC, "malloc")["objects"][0]["functions"]
        self.assertTrue(function["returns"])
        self.assertIsNone(function["no_returns"])


class Returns(harness.LiveTest):
    def why_not(self, *args):
        (function,) = [f for o in listed(*args)["objects"] for f in o["functions"]]
        self.assertEqual(function["no_returns"] is None, function["returns"])
        return function["no_returns"]

    def test_exceptions(self):
        """A C++ library that calls into libc makes libc's returns unsafe, and not a program's own."""
        tcmalloc = "/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4"
        self.assertIn("exception", self.why_not(tcmalloc, "realloc"))
        with harness.Workload("probe_calls", stdin=subprocess.PIPE) as plain:
            self.assertIsNone(self.why_not("-p", plain.pid, "libc:qsort"))
            self.assertIsNone(self.why_not("-p", plain.pid, "down"))
        env = dict(os.environ, LD_PRELOAD=tcmalloc)
        with harness.Workload("probe_calls", stdin=subprocess.PIPE, env=env) as mixed:
            self.assertIn("exception", self.why_not("-p", mixed.pid, "libc:qsort"))
            self.assertIsNone(self.why_not("-p", mixed.pid, "libc:bcmp"))  # it calls nothing
            self.assertIsNone(self.why_not("-p", mixed.pid, "down"))

    def test_coroutines(self):
        with harness.Workload("coroutines") as workload:
            self.assertIn("coroutines", self.why_not("-p", workload.pid, "hand_over"))
        # libcrypto has them to offer, which is no reason by itself.
        self.assertIsNone(self.why_not(LIBCRYPTO, "EVP_DigestInit"))

    def test_frame(self):
        """Where the entry cannot be probed and the next place is below a moved stack pointer."""
        for function in listed(LIBC, "*")["objects"][0]["functions"]:
            if function["site"] and function["site"]["stack"] and function["returns"]:
                # There is another site for it, at the entry.
                self.assertGreater(function["site"]["address"], function["address"])


class Output(harness.LiveTest):
    def test_text(self):
        result = harness.periscope("probes", POSTGRES, "query__start")
        self.assertEqual(0, result.status, result)
        self.assertRegex(result.out, r"postgresql:query__start +0x[0-9a-f]+ +emulated, semaphore")
        self.assertRegex(result.out, r"arg1 uint64 in r[a-d0-9]+")
        self.assertEqual(1, result.summary["usdt"])

    def test_measured(self):
        """Costs appear only when they were measured, and stepping costs more than emulation."""
        self.assertNotRegex(harness.periscope("probes", LIBC, "malloc").out, r"[0-9] ns")
        cost = listed(LIBC, "malloc", "--measure")["cost"]
        self.assertGreater(cost["emulated_ns"], 0)
        self.assertGreater(cost["stepped_ns"], cost["emulated_ns"])
        self.assertIsNone(listed(LIBC, "malloc")["cost"])


class BadInput(harness.LiveTest):
    def fails(self, status, pattern, *args):
        result = harness.periscope("probes", *args)
        self.assertEqual(status, result.status, result)
        self.assertEqual("", result.out, result)
        self.assertEqual(1, len(result.err.splitlines()), result)
        self.assertRegex(result.err, pattern)

    def test_usage(self):
        self.fails(2, "of what", *[])
        self.fails(2, "did you mean -p 1234", "1234")
        self.fails(2, "-p", "-p", "12abc")
        self.fails(2, "mean nothing here", "-p", "1", "--children")
        self.fails(2, "what is 'b'", LIBC, "a", "b")
        self.fails(2, "--nonsense", LIBC, "--nonsense")

    def test_files(self):
        self.fails(1, "no ELF file", "/etc/passwd")
        self.fails(1, "No such file", "/nonexistent")
        self.fails(1, "there is no file 'handle_.*'; in a process: -p PID 'handle_", "handle_*")
        self.fails(1, "no ELF file|directory", "/tmp")
        self.fails(1, "no process with PID", "-p", "4194303")

    def test_no_match_suggests(self):
        self.fails(1, r"similar: .*\bmalloc\b", LIBC, "mallox")
        self.fails(1, r"similar: .*query__start", POSTGRES, "query_strat")
        self.fails(1, r"similar: .*postgresql:query__start", POSTGRES, "postgresql:query__strat")
        self.fails(1, "neither a provider", LIBC, "libfoo:malloc")
        self.fails(1, "no USDT probe of postgresql is called 'qu'; it has [1-9][0-9]+ others",
                   POSTGRES, "postgresql:qu")
        self.fails(1, "neither a USDT probe nor a function", LIBC, "ZZZZZZZZZ*")

    def test_nothing_there(self):
        result = harness.periscope("probes", LIBC)
        self.assertEqual(0, result.status, result)
        self.assertIn("No USDT probes", result.out)

    def test_damaged(self):
        """Cut anywhere, overwritten anywhere: an answer or a line, never a crash."""
        directory = self.temp_dir()
        with open(POSTGRES, "rb") as file:
            whole = file.read()
        size = len(whole)
        for cut in (64, 4096, size // 2, size - 100):
            path = f"{directory}/cut{cut}"
            with open(path, "wb") as file:
                file.write(whole[:cut])
            result = harness.periscope("probes", path, "*")
            self.assertIn(result.status, (0, 1), result)
        for at in range(0, 1024, 8):
            path = f"{directory}/damaged"
            with open(path, "wb") as file:
                file.write(whole[:at] + b"\xff" * 8 + whole[at + 8 : 1 << 20])
            result = harness.periscope("probes", path, "query*")
            self.assertIn(result.status, (0, 1), result)
