# SPDX-License-Identifier: MIT
"""Return probes of nobody in particular: perf_event_open(2) through ctypes, without BPF."""

import ctypes
import os
import struct
import subprocess

SYS_PERF_EVENT_OPEN = 298  # x86_64
PERF_ATTR_SIZE = 128
PERF_FLAG_FD_CLOEXEC = 8


def symbol_offset(path, function):
    """The file offset of a function, by readelf: its address less the segment's."""
    symbols = subprocess.run(["readelf", "-sW", path], capture_output=True, text=True, check=True)
    address = next(
        int(words[1], 16)
        for words in map(str.split, symbols.stdout.splitlines())
        if len(words) == 8 and words[3] == "FUNC" and words[7] == function
    )
    headers = subprocess.run(["readelf", "-lW", path], capture_output=True, text=True, check=True)
    for words in map(str.split, headers.stdout.splitlines()):
        if words and words[0] == "LOAD":
            offset, virtual, size = (int(words[i], 16) for i in (1, 2, 4))
            if virtual <= address < virtual + size:
                return address - virtual + offset
    raise AssertionError(f"{function} is in no segment of {path}")


class ReturnProbe:
    """A counting return probe on a function, for every process that runs the file."""

    def __init__(self, path, function):
        with open("/sys/bus/event_source/devices/uprobe/type", encoding="ascii") as file:
            kind = int(file.read())
        with open(
            "/sys/bus/event_source/devices/uprobe/format/retprobe", encoding="ascii"
        ) as file:
            bit = int(file.read().strip().partition("config:")[2])
        self.path = ctypes.create_string_buffer(os.fsencode(path))
        attr = bytearray(PERF_ATTR_SIZE)
        struct.pack_into("=IIQQ", attr, 0, kind, PERF_ATTR_SIZE, 1 << bit, 1)
        # config1: the path's address, config2: the offset in the file.
        address = ctypes.addressof(self.path)
        struct.pack_into("=QQ", attr, 56, address, symbol_offset(path, function))
        buffer = ctypes.create_string_buffer(bytes(attr), PERF_ATTR_SIZE)
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.syscall(SYS_PERF_EVENT_OPEN, buffer, -1, 0, -1, PERF_FLAG_FD_CLOEXEC)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "perf_event_open of a return probe")

    def close(self):
        os.close(self.fd)
