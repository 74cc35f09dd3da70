# SPDX-License-Identifier: MIT
"""Run-time statistics of BPF programs, by bpf(2) directly.

A program that is held by a descriptor can still be asked after the tool that loaded it is gone, so
its last figures are read without a race; and statistics that are switched on by a descriptor are
off again when it closes, however this process ends. Offsets: struct bpf_prog_info and union
bpf_attr in include/uapi/linux/bpf.h.
"""

import ctypes
import errno
import os
import platform
import struct
import time

from bench_run import CannotMeasure

SYS_BPF = {"x86_64": 321, "aarch64": 280}
MAP_LOOKUP_ELEM, PROG_LOAD, PROG_GET_NEXT_ID, PROG_GET_FD_BY_ID, MAP_GET_FD_BY_ID = 1, 5, 11, 13, 14
OBJ_GET_INFO_BY_FD, LINK_CREATE, ENABLE_STATS = 15, 28, 32
STATS_RUN_TIME = 0
PROG_TYPE_KPROBE, PROG_TYPE_PERF_EVENT = 2, 7
TRACE_UPROBE_MULTI, UPROBE_MULTI_RETURN = 48, 1

INFO_SIZE = 224
NR_MAP_IDS, MAP_IDS, NAME, RUN_TIME_NS, RUN_CNT = 52, 56, 64, 192, 200

_libc = ctypes.CDLL(None, use_errno=True)


def _bpf(command, attr):
    """`attr` is a bytearray, which the kernel may write to."""
    attr.extend(bytes(144 - len(attr)))
    buffer = (ctypes.c_char * len(attr)).from_buffer(attr)
    result = _libc.syscall(SYS_BPF[platform.machine()], command, buffer, len(attr))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


class RunTimeStats:
    """A context in which the kernel takes the time of every run of a BPF program."""

    def __enter__(self):
        try:
            self._fd = _bpf(ENABLE_STATS, bytearray(struct.pack("I", STATS_RUN_TIME)))
        except OSError as error:
            raise CannotMeasure(f"no run-time statistics of BPF programs: {error}") from error
        return self

    def __exit__(self, *unused):
        os.close(self._fd)


def program_ids():
    found, last = set(), 0
    while True:
        attr = bytearray(struct.pack("II", last, 0))
        try:
            _bpf(PROG_GET_NEXT_ID, attr)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return found
            raise
        last = struct.unpack_from("I", attr, 4)[0]
        found.add(last)


def _info(fd, map_ids=None):
    info = ctypes.create_string_buffer(INFO_SIZE)
    if map_ids:
        struct.pack_into("I", info, NR_MAP_IDS, len(map_ids))
        struct.pack_into("Q", info, MAP_IDS, ctypes.addressof(map_ids))
    _bpf(OBJ_GET_INFO_BY_FD, bytearray(struct.pack("IIQ", fd, INFO_SIZE, ctypes.addressof(info))))
    return info


def _name(info, at):
    return info.raw[at : at + 16].split(b"\0")[0].decode()


class Program:
    """A loaded program; close() lets go of it."""

    def __init__(self, number):
        self.fd = _bpf(PROG_GET_FD_BY_ID, bytearray(struct.pack("I", number)))
        info = _info(self.fd)
        self.kind = struct.unpack_from("I", info, 0)[0]
        self.name = _name(info, NAME)

    def close(self):
        os.close(self.fd)

    def runs(self):
        """(nanoseconds, times) since it was loaded, while statistics were on."""
        info = _info(self.fd)
        return struct.unpack_from("Q", info, RUN_TIME_NS)[0], struct.unpack_from("Q", info, RUN_CNT)[0]

    def map(self, name):
        """A descriptor of one of its maps."""
        count = struct.unpack_from("I", _info(self.fd), NR_MAP_IDS)[0]
        ids = (ctypes.c_uint32 * count)()
        _info(self.fd, ids)
        for number in ids:
            fd = _bpf(MAP_GET_FD_BY_ID, bytearray(struct.pack("I", number)))
            # struct bpf_map_info: six numbers of 32 bits, then the name
            if _name(_info(fd), 24) == name:
                return fd
            os.close(fd)
        raise CannotMeasure(f"the program {self.name} has no map {name}")


def find_new(known, wanted, process, seconds=20, interval=0.001):
    """The program for which wanted(program) holds and whose number is not among the known ones."""
    end = time.monotonic() + seconds
    seen = set(known)
    while time.monotonic() < end and process.poll() is None:
        for number in program_ids() - seen:
            seen.add(number)
            try:
                program = Program(number)
            except OSError:
                continue  # gone again: a probe for features
            if wanted(program):
                return program
            program.close()
        time.sleep(interval)
    raise CannotMeasure("the profiler did not load its BPF program")


class EmptyProbes:
    """A context in which programs that do nothing sit at the entries and returns of a file's code.

    counters: of each entry the offset of its semaphore, for USDT probes that have one.
    """

    # r0 = 0; exit
    CODE = struct.pack("<BBhiBBhi", 0xB7, 0, 0, 0, 0x95, 0, 0, 0)

    def __init__(self, pid, path, entries, returns=(), counters=()):
        self._pid, self._path = pid, path.encode() + b"\0"
        self._sites = [(entries, counters, 0)] if entries else []
        self._sites += [(returns, (), UPROBE_MULTI_RETURN)] if returns else []
        self._fds = []

    def __enter__(self):
        code, path = ctypes.create_string_buffer(self.CODE), ctypes.create_string_buffer(self._path)
        license_ = ctypes.create_string_buffer(b"GPL")
        attr = struct.pack("IIQQ", PROG_TYPE_KPROBE, 2, ctypes.addressof(code),
                           ctypes.addressof(license_)) + bytes(44)
        try:
            program = _bpf(PROG_LOAD, bytearray(attr + struct.pack("I", TRACE_UPROBE_MULTI)))
            self._fds.append(program)
            for offsets, counters, flags in self._sites:
                array = (ctypes.c_uint64 * len(offsets))(*offsets)
                counted = (ctypes.c_uint64 * len(offsets))(*counters) if counters else None
                attr = struct.pack("IIII", program, 0, TRACE_UPROBE_MULTI, 0)
                attr += struct.pack("QQQQIII", ctypes.addressof(path), ctypes.addressof(array),
                                    ctypes.addressof(counted) if counted else 0, 0,
                                    len(offsets), flags, self._pid)
                self._fds.append(_bpf(LINK_CREATE, bytearray(attr)))
        except OSError as error:
            self.__exit__()
            raise CannotMeasure(f"no empty probes (Linux 6.6 has them): {error}") from error
        return self

    def __exit__(self, *unused):
        for fd in self._fds[::-1]:
            os.close(fd)


def possible_cpus():
    with open("/sys/devices/system/cpu/possible", encoding="ascii") as possible:
        return int(possible.read().replace("-", ",").split(",")[-1]) + 1


def percpu_sum(fd, index):
    """The sum of the 64-bit element `index` of a per-CPU array."""
    key = ctypes.c_uint32(index)
    values = (ctypes.c_uint64 * possible_cpus())()
    attr = struct.pack("IIQQQ", fd, 0, ctypes.addressof(key), ctypes.addressof(values), 0)
    _bpf(MAP_LOOKUP_ELEM, bytearray(attr))
    return sum(values)
