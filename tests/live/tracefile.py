# SPDX-License-Identifier: MIT
"""A reader of trace files (.periscope), from what tools/lib/trace_file.h says and nothing else.

It believes what it reads: it is there to check what periscope writes.
"""

import collections
import struct
import zlib

from wire import varint

HEADER = struct.Struct("<8sHHIIIQQQQII")
CHUNK = struct.Struct("<IBBHIIQQIIII")
INT, NAME, STACK, TID, REQUEST, TIME, LATER = 1, 3, 4, 5, 6, 7, 8

Header = collections.namedtuple(
    "Header", "magic major minor size flags machine start realtime end index reserved crc"
)
Kind = collections.namedtuple("Kind", "name args fields")
Event = collections.namedtuple("Event", "time cpu tid kind fields args")


def unzigzag(n):
    return (n >> 1) ^ -(n & 1)


class Cursor:
    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self):
        value, self.at = varint(self.data, self.at)
        return value

    def signed(self):
        return unzigzag(self.number())

    def take(self, size):
        part = self.data[self.at : self.at + size]
        assert len(part) == size, "cut short"
        self.at += size
        return part

    def text(self):
        return self.take(self.number())

    def more(self):
        return self.at < len(self.data)


class Trace:
    """events: all of them by time; strings, infos, syscalls, objects, stacks by their numbers."""

    def __init__(self, path):
        with open(path, "rb") as file:
            data = file.read()
        self.header = Header(*HEADER.unpack_from(data))
        assert self.header.magic == b"\x89PSCOPE\n", "no trace file"
        assert self.header.crc == zlib.crc32(data[: HEADER.size - 4]), "header"
        self.kinds, self.strings, self.infos, self.syscalls = {}, {0: ""}, {}, {}
        self.begin = 0  # where it says that it begins
        self.objects, self.frames, self.nodes, self.stacks = {}, {}, {}, {}
        self.symbols, self.mappings, self.events, self.chunks = {}, [], [], []
        at, payloads = self.header.size, []
        while at + CHUNK.size <= len(data):
            chunk = CHUNK.unpack_from(data, at)
            assert chunk[0] == 0x4B484350, f"no chunk at {at}"
            assert chunk[-1] == zlib.crc32(data[at : at + CHUNK.size - 4]), "chunk's header"
            packed = data[at + CHUNK.size : at + CHUNK.size + chunk[4]]
            if len(packed) < chunk[4]:
                break  # killed
            assert chunk[10] == zlib.crc32(packed), "payload"
            payload = zlib.decompress(packed) if chunk[2] == 1 else packed
            assert len(payload) == chunk[5]
            self.chunks.append((at, chunk))
            payloads.append((chunk, payload))
            at += CHUNK.size + chunk[4]
        self.size = at
        for chunk, payload in payloads:
            if chunk[1] == 1:
                self._dictionary(Cursor(payload))
        for chunk, payload in payloads:
            if chunk[1] == 2:
                self._events(Cursor(payload), chunk)
        self.events.sort(key=lambda e: e.time)

    def _dictionary(self, c):
        readers = {
            1: self._kind,
            2: self._strings,
            3: self._object,
            4: self._mapping,
            5: self._frames,
            6: self._nodes,
            7: self._stacks,
            8: self._symbol,
            9: self._syscall,
            10: self._info,
            11: self._begin,
        }
        while c.more():
            kind = c.number()
            readers[kind](Cursor(c.text()))

    def _kind(self, c):
        number, name = c.number(), c.text().decode()
        args, n = c.number() & 1, c.number()
        self.kinds[number] = Kind(name, args, [(c.text().decode(), c.number()) for _ in range(n)])

    def _strings(self, c):
        number = c.number()
        while c.more():
            self.strings[number] = c.text().decode(errors="replace")
            number += 1

    def _object(self, c):
        number, path, build_id = c.number(), c.text().decode(), c.text().hex()
        self.objects[number] = (path, build_id, *(c.number() for _ in range(5)))

    def _mapping(self, c):
        self.mappings.append(tuple(c.number() for _ in range(6)))

    def _frames(self, c):
        number = c.number()
        while c.more():
            where, address = c.number(), c.number()
            pid = 0 if where else c.number()
            self.frames[number] = (where, address, pid)
            number += 1

    def _nodes(self, c):
        number = c.number()
        while c.more():
            up, frame = c.number(), c.number()
            self.nodes[number] = (number - up if up else 0, frame)
            number += 1

    def _stacks(self, c):
        while c.more():
            number = c.number()
            self.stacks[number] = (c.number(), c.number(), c.number())

    def _symbol(self, c):
        frame, lines = c.number(), []
        while c.more():
            lines.append(tuple(c.number() for _ in range(6)))
        self.symbols[frame] = lines

    def _syscall(self, c):
        number = c.number()
        self.syscalls[number] = c.text().decode()

    def _info(self, c):
        key = c.text().decode()
        self.infos[key] = c.text().decode(errors="replace")

    def _begin(self, c):
        self.begin = c.number()

    def stack(self, number):
        """Names of functions, innermost first; an address where there is no name."""
        names, node = [], self.stacks.get(number, (0,))[0]
        while node:
            node, frame = self.nodes[node]
            where, address, _ = self.frames[frame]
            lines = self.symbols.get(frame)
            names += [self.strings[line[0]] for line in lines or ()] or [f"{where}+{address:#x}"]
        return names

    def _events(self, c, chunk):
        first, last = chunk[6], chunk[7]
        texts = [c.text().decode(errors="replace") for _ in range(c.number())]
        count = 0
        while c.more():
            cpu, number = c.number() - 1, c.number()
            section = Cursor(c.text())
            time, tid, request, events = first, 0, 0, 0
            while section.more():
                code = section.take(1)[0]
                body = Cursor(section.text())
                time += body.number()
                assert first <= time <= last, "outside of its chunk"
                if code & 0x80:
                    tid = (tid + body.signed()) & 0xFFFFFFFF
                event, request = self._event(body, code & 0x7F, (time, cpu, tid), texts, request)
                self.events.append(event)
                events += 1
            assert events == number
            count += events
        assert count == chunk[8]

    def _event(self, body, number, at, texts, request):
        kind, fields, args = self.kinds[number], {}, {}
        time, _, tid = at
        for name, form in kind.fields:
            if not body.more() and not kind.args:
                fields[name] = 0
                continue
            value = body.number()
            if form == INT:
                value = unzigzag(value)
            elif form == TID:
                value = (tid + unzigzag(value)) & 0xFFFFFFFF
            elif form == REQUEST:
                value = request = (request + unzigzag(value)) & 0xFFFFFFFFFFFFFFFF
            elif form == TIME:
                value = time - (value - 1) if value else 0
            elif form == LATER:
                value += time
            elif form == NAME:
                value = self.strings[value]
            fields[name] = value
        while kind.args and body.more():
            key, value = body.number(), body.number()
            if key & 7 == 0:
                value = unzigzag(value)
            elif key & 7 == 3:
                value = texts[value]
            args[self.strings[key >> 3]] = value
        assert not body.more()
        return Event(*at, kind.name, fields, args), request
