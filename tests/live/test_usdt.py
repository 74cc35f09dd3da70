# SPDX-License-Identifier: MIT
"""USDT: what arguments say at a hit, on a workload that knows; what notes say, against BCC's reader."""

import collections
import ctypes
import json
import os
import re
import subprocess

import harness

USDT_VALUES = os.path.join(harness.BUILD, "live", "usdt_values")
WORKLOAD = os.path.join(harness.WORKLOADS, "usdt_args")
LIBS = "/usr/lib/x86_64-linux-gnu/"
FILES = [
    os.path.join(harness.BUILD, "coworkingd"),
    "/usr/lib/postgresql/15/bin/postgres",
    LIBS + "libstdc++.so.6",
    LIBS + "libpython3.11.so.1.0",  # gdb's
    WORKLOAD,
]

RAX = 0x8182838485868788  # of the workload


def signed(value, bits):
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


EXPECTED = {
    "forms:sizes": [
        RAX,
        signed(RAX, 64),
        RAX & 0xFFFFFFFF,
        signed(RAX, 32),
        RAX & 0xFFFF,
        signed(RAX, 16),
        RAX & 0xFF,
        signed(RAX, 8),
        RAX >> 8 & 0xFF,
        signed(RAX >> 8, 8),
    ],
    "forms:memory": [100, 101, 2**32 - 103, -103, 102, -103, -103 & 0xFF, -103 & 0xFFFF],
    "forms:globals": [-41, -103, 102, 0x1122334455667788, 0x11],
    "forms:constants": [5, -7, 255, -1, 2**64 - 1, 65535],
    "forms:unreadable": ["error", 17, "error"],
    "forms:unmapped": ["error", 8],
    "compiled:elements": [11, 12, 3],
    "compiled:globals": [-41, -103, 0x1122334455667788],
    "compiled:constants": [7, -7, 200, 1 << 40],
    "compiled:guarded": [2],
    "compiled:twelve": [1, 2, 3, 2, 5, 6, 7, 8, 9, 10, 11, -10],
}


class Values(harness.LiveTest):
    def hits(self, workload, pattern, count, *kind):
        text = subprocess.run(
            [USDT_VALUES, *kind, "-p", str(workload.pid), WORKLOAD, pattern, str(count)],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        ).stdout
        hits = collections.defaultdict(set)
        for line in text.splitlines():
            name, *values = line.split()
            hits[name].add(tuple(int(v) if v != "error" else v for v in values))
        return hits

    def test_values(self):
        for kind in ([], ["-P"]):
            with self.subTest(kind=kind), harness.Workload("usdt_args") as workload:
                hits = self.hits(workload, "*", 60, *kind)
                for name, values in EXPECTED.items():
                    self.assertEqual({tuple(values)}, hits[name], name)
                # Two sites, each with operands of its own.
                first, second = sorted(hits["compiled:two_sites"], key=len)
                self.assertEqual((2,), first)
                self.assertEqual(ord("t"), second[0])
                self.assertEqual({second[1:]}, hits["compiled:text"])

    def test_semaphore(self):
        """It is raised while something is attached, and only then."""
        with harness.Workload("usdt_args") as workload:
            probes = json.loads(harness.periscope("probes", WORKLOAD, "--json").out)
            probe = next(p for p in probes["objects"][0]["usdt"] if p["name"] == "guarded")
            with open(f"/proc/{workload.pid}/maps", encoding="ascii") as maps:
                base = int(next(line for line in maps if WORKLOAD in line).partition("-")[0], 16)

            def counter():
                with open(f"/proc/{workload.pid}/mem", "rb") as memory:
                    memory.seek(base + probe["semaphore"]["address"])
                    return int.from_bytes(memory.read(2), "little")

            self.assertEqual(0, counter())
            for kind in ([], ["-P"]):
                argv = [USDT_VALUES, *kind, "-p", str(workload.pid), WORKLOAD, "guarded", "1000000"]
                with harness.Process(argv, stdout=subprocess.DEVNULL) as attached:
                    harness.wait_until(lambda: counter() == 1, what="the semaphore to be raised")
                    attached.popen.kill()
                harness.wait_until(lambda: counter() == 0, what="the semaphore to be lowered")


class BccUsdt(ctypes.Structure):
    _fields_ = [
        ("provider", ctypes.c_char_p),
        ("name", ctypes.c_char_p),
        ("bin_path", ctypes.c_char_p),
        ("semaphore", ctypes.c_uint64),
        ("num_locations", ctypes.c_int),
        ("num_arguments", ctypes.c_int),
        ("semaphore_offset", ctypes.c_uint64),
    ]


class BccLocation(ctypes.Structure):
    _fields_ = [("address", ctypes.c_uint64), ("bin_path", ctypes.c_char_p)]


class BccArgument(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_int),
        ("valid", ctypes.c_int),
        ("constant", ctypes.c_longlong),
        ("deref_offset", ctypes.c_int),
        ("deref_ident", ctypes.c_char_p),
        ("base_register_name", ctypes.c_char_p),
        ("index_register_name", ctypes.c_char_p),
        ("scale", ctypes.c_int),
    ]

    CONSTANT, OFFSET, IDENT, BASE, INDEX, SCALE = 1, 2, 4, 8, 16, 32


class Bcc:
    """BCC's reader of USDT notes, by its C interface."""

    def __init__(self):
        self.lib = ctypes.CDLL("libbcc.so.0")
        self.lib.bcc_usdt_new_frompath.restype = ctypes.c_void_p
        self.callback = ctypes.CFUNCTYPE(None, ctypes.POINTER(BccUsdt))

    @staticmethod
    def quietly(function, *args):
        """Without its complaints about operands that it does not read."""
        stderr = os.dup(2)
        with open(os.devnull, "wb") as null:
            os.dup2(null.fileno(), 2)
        try:
            return function(*args)
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)

    def read(self, path):
        """Sites as {(provider, name, address): (semaphore, semaphore's offset, arguments)}."""
        context = ctypes.c_void_p(self.quietly(self.lib.bcc_usdt_new_frompath, path.encode()))
        probes, sites = [], {}

        def note(usdt):
            u = usdt.contents
            probes.append(
                (u.provider, u.name, u.semaphore, u.semaphore_offset, u.num_locations)
            )

        self.lib.bcc_usdt_foreach(context, self.callback(note))
        for provider, name, semaphore, offset, locations in probes:
            for i in range(locations):
                location = BccLocation()
                self.lib.bcc_usdt_get_location(context, provider, name, i, ctypes.byref(location))
                found = []
                for j in range(12):
                    argument = BccArgument()
                    if not self.lib.bcc_usdt_get_argument(
                        context, provider, name, i, j, ctypes.byref(argument)
                    ):
                        found.append(self.in_words(argument))
                key = (provider.decode(), name.decode(), location.address)
                sites[key] = (semaphore, offset, found)
        self.lib.bcc_usdt_close(context)
        return sites

    @staticmethod
    def in_words(a):
        """(type, place), as periscope tells them; an identifier in braces, for its address."""

        def reg(name):
            name = name.decode()
            return name if name.startswith("r") else "r" + name

        kind = ("int" if a.size < 0 else "uint") + str(abs(a.size) * 8)
        if a.valid & a.CONSTANT:
            # It does not bring a constant into its type's range.
            return kind, f"constant {a.constant % (1 << 8 * a.size) if a.size > 0 else a.constant}"
        if not a.valid & (a.OFFSET | a.IDENT):
            return kind, reg(a.base_register_name)
        if a.valid & a.IDENT:
            return kind, (a.deref_ident.decode(), a.deref_offset if a.valid & a.OFFSET else 0)
        place = "memory at " + reg(a.base_register_name)
        if a.valid & a.INDEX:
            place += " + " + reg(a.index_register_name)
            if a.valid & a.SCALE and a.scale > 1:
                place += f" * {a.scale}"
        if a.deref_offset:
            place += f" {'-' if a.deref_offset < 0 else '+'} {abs(a.deref_offset)}"
        return kind, place


def symbols(path):
    """Addresses of a file's objects by name, of a name that there is once."""
    text = subprocess.run(["readelf", "-sW", path], capture_output=True, text=True, check=True)
    found = collections.defaultdict(set)
    for words in map(str.split, text.stdout.splitlines()):
        if len(words) == 8 and words[3] in ("OBJECT", "NOTYPE") and words[6].isdigit():
            found[words[7].partition("@")[0]].add(int(words[1], 16))
    return {name: places.pop() for name, places in found.items() if len(places) == 1}


class AgainstBcc(harness.LiveTest):
    # What BCC's parser does not read: high bytes, floats, thread-local memory; and a signed constant
    # that is beyond its type.
    NOT_BCC = re.compile(r"[0-9]f@|%[abcd]h|%fs|-1@\$255")

    def check_site(self, ours, theirs, addresses):
        semaphore, offset, arguments = theirs
        own = ours["semaphore"] or {"address": 0, "offset": 0}
        self.assertEqual(semaphore, own["address"])
        if semaphore:
            self.assertEqual(offset, own["offset"])
        if self.NOT_BCC.search(ours["operands"]):
            return 0
        # Of several sites it tells no more arguments than the first one has.
        if ours["name"] != "two_sites":
            self.assertEqual(len(arguments), len(ours["arguments"]), ours)
        for (kind, place), own in zip(arguments, ours["arguments"]):
            self.assertEqual(kind, own["type"], ours)
            if isinstance(place, tuple):
                place = f"memory at {addresses[place[0]] + place[1]:#x} of the file"
            self.assertEqual(place, own["place"], ours)
        return len(arguments)

    def test_notes(self):
        bcc = Bcc()
        compared = 0
        for path in FILES:
            with self.subTest(path=path):
                theirs = bcc.read(path)
                objects = json.loads(harness.periscope("probes", path, "--json").out)["objects"]
                ours = {(p["provider"], p["name"], p["address"]): p for p in objects[0]["usdt"]}
                self.assertEqual(set(theirs), set(ours))
                addresses = symbols(path)
                for key, probe in ours.items():
                    compared += self.check_site(probe, theirs[key], addresses)
        self.assertGreater(compared, 200)
