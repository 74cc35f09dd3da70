# SPDX-License-Identifier: MIT
"""A reader of Perfetto's traces, just large enough to check ours.

Fields by their numbers in google/perfetto, protos/perfetto/trace (v58). It is strict: what it does
not know is an error, and so is an iid that was not interned before.
"""

import collections

import wire

BEGIN, END, INSTANT, COUNTER = 1, 2, 3, 4

Slice = collections.namedtuple(
    "Slice", "track name category start end correlation stack flows ended args"
)
Moment = collections.namedtuple("Moment", "track name category time correlation stack flows args")
Sample = collections.namedtuple("Sample", "pid tid cpu time stack weight")
Run = collections.namedtuple("Run", "cpu tid start end state")
Waking = collections.namedtuple("Waking", "cpu tid time target flags")

OTHERS = 0x7FFFFFFE

PACKET = {1, 6, 8, 10, 11, 12, 13, 42, 45, 59, 60, 135}
EVENT = {3, 4, 9, 10, 11, 22, 23, 30, 47, 48, 52, 56}


def one(message, field, default=0):
    values = message.get(field, [default])
    assert len(values) == 1, f"field {field} more than once"
    return values[0]


def nested(message, field):
    return wire.message(one(message, field, b""))


class Pftrace:
    def __init__(self, path):
        with open(path, "rb") as file:
            data = file.read()
        self.tracks, self.slices, self.moments, self.samples = {}, [], [], []
        self.runs, self.wakings, self.counters = [], [], collections.defaultdict(list)
        self.lost_bundles = self.dropped_packets = 0
        self.clocks, self.system, self.defaults = {}, {}, {}
        self.tables = collections.defaultdict(dict)
        self._open, self._cpus, self._cleared = collections.defaultdict(list), {}, False
        for number, packet in wire.fields(data):
            assert number == 1
            self._packet(wire.message(packet))
        for track, stack in self._open.items():
            assert not stack, f"open at the end: {self.tracks[track]}, {stack}"

    def _packet(self, packet):
        assert set(packet) <= PACKET, set(packet)
        assert one(packet, 10) in (1, 2)
        flags = one(packet, 13)
        if flags & 1:
            assert not self._cleared
            self._cleared = True
        assert not flags & 2 or self._cleared
        self.dropped_packets += one(packet, 42)
        if 12 in packet:
            self._intern(nested(packet, 12))
        if 6 in packet:
            for clock in nested(packet, 6)[1]:
                clock = wire.message(clock)
                self.clocks[one(clock, 1)] = one(clock, 2)
        if 45 in packet:
            self.system = nested(nested(packet, 45), 1)
        if 59 in packet:
            self.defaults = nested(nested(packet, 59), 100)
        if 60 in packet:
            self._track(nested(packet, 60))
        if 11 in packet:
            self._event(one(packet, 8), nested(packet, 11))
        if 135 in packet:
            self._sample(one(packet, 8), nested(packet, 135))
        if 1 in packet:
            self._bundle(nested(packet, 1))

    def _intern(self, data):
        names = {1, 2, 3, 5, 16, 17, 18}
        # Within a packet their order means nothing: what is referred to first.
        for table, entries in sorted(data.items(), key=lambda e: (e[0] in (6, 7), e[0])):
            for entry in entries:
                entry = wire.message(entry)
                iid = one(entry, 1)
                assert iid and iid not in self.tables[table], (table, iid)
                if table in names:
                    text = one(entry, 2, b"")
                    self.tables[table][iid] = text.hex() if table == 16 else text.decode()
                elif table == 6:
                    assert one(entry, 2) in self.tables[5]
                    assert not one(entry, 3) or (one(entry, 3) in self.tables[19] and 4 in entry)
                    self.tables[6][iid] = self.tables[5][one(entry, 2)]
                elif table == 7:
                    self.tables[7][iid] = [self.tables[6][n] for n in entry.get(2, [])]
                elif table == 19:
                    self.tables[19][iid] = self.tables[17][one(entry, 7)]
                else:
                    raise AssertionError(f"table {table}")

    def _track(self, track):
        uuid = one(track, 1)
        assert uuid
        assert not one(track, 5) or one(track, 5) in self.tracks, "its parent is not there"
        described = {"parent": one(track, 5), "name": one(track, 2, b"").decode()}
        if 3 in track:
            process = nested(track, 3)
            described["pid"], described["process"] = one(process, 1), one(process, 6, b"").decode()
        if 4 in track:
            thread = nested(track, 4)
            described["pid"], described["tid"] = one(thread, 1), one(thread, 2)
            described["thread"] = one(thread, 5, b"").decode()
        if 8 in track:
            described["unit"] = one(nested(track, 8), 3)
        self.tracks[uuid] = described

    def _args(self, event):
        args = {}
        for note in event.get(4, []):
            note = wire.message(note)
            name = self.tables[3][one(note, 1)]
            (field,) = set(note) - {1}
            value = one(note, field)
            assert field in (3, 4, 6, 7)
            if field == 4:
                value = wire.signed(value)
            args[name] = value.decode() if field == 6 else value
        return args

    def _event(self, time, event):
        assert set(event) <= EVENT, set(event)
        kind, track = one(event, 9), one(event, 11)
        assert track in self.tracks or (kind == INSTANT and not track), track
        name = self.tables[2][one(event, 10)] if 10 in event else one(event, 23, b"").decode()
        categories = [self.tables[1][n] for n in event.get(3, [])]
        categories += [c.decode() for c in event.get(22, [])]
        stack = self.tables[7][one(event, 56)] if 56 in event else []
        if kind == COUNTER:
            assert "unit" in self.tracks[track]
            self.counters[track].append((time, wire.signed(one(event, 30))))
        elif kind == INSTANT:
            self.moments.append(Moment(track, name, categories, time, one(event, 52), stack,
                                       event.get(47, []), self._args(event)))
        elif kind == BEGIN:
            opened = self._open[track]
            assert name
            assert not opened or time >= opened[-1][2], "begins before what it is in"
            opened.append((name, categories, time, one(event, 52), stack,
                           event.get(47, []), event.get(48, []), self._args(event)))
        else:
            assert kind == END
            name, categories, start, correlation, stack, flows, ended, args = self._open[track].pop()
            assert time >= start
            self.slices.append(Slice(track, name, categories, start, time, correlation, stack,
                                     flows, ended, {**args, **self._args(event)}))

    def _sample(self, time, sample):
        task, place = nested(sample, 1), nested(sample, 3)
        stack = self.tables[7][one(sample, 6)] if 6 in sample else []
        self.samples.append(Sample(one(task, 2), one(task, 3), one(place, 2, None), time, stack,
                                   one(sample, 11)))

    def _bundle(self, bundle):
        cpu, compact = one(bundle, 1), nested(bundle, 4)
        self.lost_bundles += one(bundle, 3)
        comms = [c.decode() for c in compact.get(5, [])]

        def column(field):
            return [wire.signed(n) for value in compact.get(field, []) for n in wire.numbers(value)]

        rows = list(zip(*(column(n) for n in (1, 2, 3, 4, 6)), strict=True))
        time = 0
        for delta, state, tid, _, comm in rows:
            assert comms[comm]
            time += delta
            last = self._cpus.get(cpu)
            # As Perfetto: the first switch of a CPU tells nothing.
            if last:
                assert time >= last[1], "switches out of order"
                if last[0] != OTHERS:
                    self.runs.append(Run(cpu, last[0], last[1], time, state))
            self._cpus[cpu] = (tid, time)
        time = 0
        for delta, tid, target, _, comm, flags in zip(
            *(column(n) for n in (7, 8, 9, 10, 11, 12)), strict=True
        ):
            assert comms[comm]
            time += delta
            self.wakings.append(Waking(cpu, tid, time, target, flags))
