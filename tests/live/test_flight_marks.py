# SPDX-License-Identifier: MIT
"""The guilty request, thread and moment are marked in whatever a dump is converted to."""

import collections
import json
import os
import sys
import time

import wire
from harness import REPO
from test_flight import Flight

sys.path.insert(0, os.path.join(REPO, "tests", "browser"))
from chromium import Chromium  # noqa: E402

TRIGGER = "latency>150ms"
INSTANT, END = 3, 2  # TrackEvent.Type


class Marks(Flight):
    def test_every_output(self):
        known = self.workload()
        tool = self.fly(known.pid, "--trigger", TRIGGER)
        self.slow = known.do("f")["slow"][0]
        self.guilty = known.tid("guilty")
        (self.dump,) = self.wait_for_dumps(tool, 1)
        _, _, self.mark = self.once(tool, TRIGGER)
        for check in (self.text, self.chrome, self.perfetto, self.page):
            with self.subTest(check.__name__):
                check()

    def text(self):
        sections = self.tables(self.dump)
        (row,) = sections["triggers"]["tables"][0]["rows"]
        self.assertEqual(row["trigger"], TRIGGER)
        self.assertEqual(row["thread"], f"guilty {self.guilty}")
        self.assertEqual(row["request"], f"GET /slow, id {self.slow}")
        self.assertEqual(row["lasted_ns"], self.mark.args["lasted_ns"])
        with open(self.convert(self.dump, ".txt"), encoding="utf-8") as file:
            text = file.read()
        self.assertIn(f"id {self.slow}, kept for {TRIGGER}", text)
        self.assertEqual(text.count("kept for"), 1)

    def chrome(self):
        with open(self.convert(self.dump, ".json"), encoding="utf-8") as file:
            events = json.load(file)["traceEvents"]
        (moment,) = [e for e in events if e["ph"] == "i" and e["s"] == "g"]
        self.assertEqual((moment["name"], moment["tid"]), (TRIGGER, self.guilty))
        self.assertEqual(moment["args"]["what"], "GET /slow")
        (end,) = [e for e in events if e.get("args", {}).get("trigger")]
        self.assertEqual((end["ph"], end["args"]["trigger"]), ("e", TRIGGER))
        self.assertEqual(end["name"], "GET /slow")
        self.assertAlmostEqual(end["ts"], moment["ts"], delta=0.002)

    def perfetto(self):
        names, notes, told = {}, {}, collections.Counter()
        with open(self.convert(self.dump, ".pftrace"), "rb") as file:
            packets = [wire.message(data) for number, data in wire.fields(file.read())]
        for packet in packets:
            for data in packet.get(12, []):  # interned_data: event_names, debug_annotation_names
                interned = wire.message(data)
                for field, table in ((2, names), (3, notes)):
                    for entry in map(wire.message, interned.get(field, [])):
                        table[entry[1][0]] = entry[2][0].decode()
        for packet in packets:
            for event in map(wire.message, packet.get(11, [])):
                kind = event.get(9, [0])[0]
                args = {}
                for note in map(wire.message, event.get(4, [])):
                    value = (note.get(6) or note.get(3) or [None])[0]
                    args[notes.get(note.get(1, [0])[0])] = value
                if kind == INSTANT and names.get(event.get(10, [0])[0]) == TRIGGER:
                    told["moment"] += 1
                    self.assertEqual(args["request"], self.slow)
                    self.assertEqual(args["what"], b"GET /slow")
                if kind == END and "trigger" in args:
                    told["request"] += 1
                    self.assertEqual(args["trigger"], TRIGGER.encode())
        self.assertEqual(told, {"moment": 1, "request": 1})

    def opened(self, path):
        browser = Chromium(1000, 700)
        self.addCleanup(browser.close)
        browser.open("file://" + self.convert(path, ".html"))
        end = time.monotonic() + 60
        while not browser.run("!!(window.periscope && periscope.t)") and time.monotonic() < end:
            time.sleep(0.1)
        return browser

    def page(self):
        browser = self.opened(self.dump)
        marked = browser.run(
            "periscope.t.requests.filter(q => q.what.includes('kept for')).map(q => q.id + ' ' + q.what)"
        )
        self.assertEqual(marked, [f"{self.slow} GET /slow, kept for {TRIGGER}"])
        moments = browser.run(
            f"periscope.t.instants.filter(e => e.name === '{TRIGGER}')"
            ".map(e => [e.thread && e.thread.tid, e.args.includes('GET /slow')])"
        )
        self.assertEqual(moments, [[self.guilty, True]])
        self.assertEqual(browser.errors, [])

    def test_crash_in_the_page(self):
        """The signal has its registers in the details."""
        known = self.workload()
        tool = self.fly(known.pid, "--trigger", "signal")
        guilty = known.tid("guilty")
        known.die("d")
        self.assert_ok(tool.finish())
        (path,) = self.dumps(tool)
        trace, _ = self.trace(path)
        fault = next(e for e in trace.events if e.kind == "signal" and e.tid == guilty)
        browser = self.opened(path)
        shown = browser.run(
            f"periscope.t.instants.filter(e => e.thread && e.thread.tid === {guilty}"
            " && String(e.args).includes('signo=')).map(e => String(e.args).split('\\u2003'))"
        )
        self.assertEqual(len(shown), 1)
        for name, value in fault.args.items():
            self.assertIn(f"{name}={value:#x}", shown[0])
        self.assertEqual(browser.errors, [])
