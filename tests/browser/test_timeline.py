# SPDX-License-Identifier: MIT
"""The page that reads a timeline, in a real browser: every function, against the numbers of a server
that never was (tests/synthetic) and of the text report.

    python3 tests/browser/test_timeline.py [BUILD_DIR]
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from chromium import Chromium  # noqa: E402

BUILD = os.path.abspath("build")
HOSTILE = b"<img src=x onerror=alert(1)></script>\x1b[31m\xff\xe2\x80\xae]]>&amp;"


def make(folder, name, events, lose=0, loops=2, hostile=None):
    """A trace, its page, and what is in it."""
    trace, page = (os.path.join(folder, name + end) for end in (".periscope", ".html"))
    command = [f"{BUILD}/live/synthetic_trace", trace, str(events), str(lose), str(loops)]
    answer = subprocess.run(command + ([hostile] if hostile else []), check=True,
                            capture_output=True, timeout=120)
    subprocess.run([f"{BUILD}/periscope", "convert", trace, "-o", page], check=True,
                   capture_output=True, timeout=120)
    return trace, page, json.loads(answer.stdout)


class Page(unittest.TestCase):
    events, lose, hostile = 20000, 0, None

    @classmethod
    def setUpClass(cls):
        if not shutil.which("chromium"):
            raise unittest.SkipTest("chromium is not installed")
        cls.folder = tempfile.TemporaryDirectory(prefix="periscope-timeline.")
        cls.trace, cls.file, cls.known = make(cls.folder.name, "known", cls.events, cls.lose,
                                              hostile=cls.hostile)
        cls.browser = Chromium(1280, 800)

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        cls.folder.cleanup()

    def open(self, state=""):
        self.browser.errors.clear()
        self.browser.open(f"file://{self.file}#{state}")
        end = time.monotonic() + 60
        while not self.js("!!window.periscope") and time.monotonic() < end:
            time.sleep(0.05)
        self.browser.painted()

    def tearDown(self):
        self.assertEqual(self.browser.errors, [])

    def js(self, expression):
        return self.browser.run(expression)

    def state(self, name):
        return self.js(f"periscope.state.{name}")

    def text(self, selector):
        return self.js(f"document.querySelector({json.dumps(selector)}).innerText")

    def rows(self, table):
        """Of a table of the page: a list of dictionaries by column."""
        return self.js("(()=>{const t=document.getElementById('table-" + table + "');"
                       "const h=[...t.querySelectorAll('thead th')].map(x=>x.innerText.replace(/ [↑↓]$/,''));"
                       "return [...t.querySelectorAll('tbody tr')].map(r=>Object.fromEntries("
                       "[...r.children].map((c,i)=>[h[i],c.innerText])))})()")

    def place(self, track, time_expression, dy=8):
        """Where a moment of a track is on the screen."""
        return self.js("(()=>{const a=periscope,p=a.picture,b=a.ui.canvas.getBoundingClientRect(),"
                       f"t=a.trackOf({json.dumps(track)});"
                       f"return [b.left+p.x({time_expression}),b.top+t.at_y+{dy}]}})()")

    def pixel(self, x, y):
        return self.js(f"(()=>{{const b=periscope.ui.canvas.getBoundingClientRect();return [...periscope"
                       f".picture.ctx.getImageData({x}-b.left,{y}-b.top,1,1).data].slice(0,3)}})()")

    def flame(self, expression):
        """The flame graph that a range's frame shows, in a page of its own: frames are closed to us."""
        path = os.path.join(self.folder.name, "flame.svg")
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.js("periscope.flameFile"))
        self.browser.open(f"file://{path}")
        return self.js(expression)

    def drag(self, x1, y1, x2, y2, modifiers=0):
        self.browser.move(x1, y1)
        for kind, x, y in (("mousePressed", x1, y1), ("mouseMoved", (x1 + x2) / 2, y2),
                           ("mouseMoved", x2, y2), ("mouseReleased", x2, y2)):
            self.browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left",
                              buttons=1, clickCount=1, modifiers=modifiers)
        self.browser.painted()


class Known(Page):
    """Figures, each equal to what was put in."""

    def test_data(self):
        self.open()
        got = self.js("periscope.t.requests.length")
        self.assertEqual(got, self.known["requests"])
        self.assertEqual(self.js("periscope.t.events"), self.known["events"])
        self.assertEqual(self.js("periscope.t.end-periscope.t.start"), self.known["span"])
        for thread in self.known["threads"]:
            mine = self.js("(()=>{const t=periscope.t.byTid.get(%d)[0],s=t.states,sum=Array(13).fill(0);"
                           "for(let i=0;i<s.n;i++)sum[s.state[i]]+=s.end[i]-s.start[i];"
                           "return [t.runs,t.syscalls,t.samples,t.total,sum]})()" % thread["tid"])
            self.assertEqual(mine, [thread["runs"], thread["syscalls"], thread["samples"],
                                    thread["total"], thread["total"]])

    def test_requests_by_state_as_told_and_as_drawn(self):
        self.open()
        for route, known in self.known["routes"].items():
            told, drawn = self.js(
                "(()=>{const a=Array(18).fill(0),b=Array(18).fill(0);for(const q of periscope.t.requests)"
                f"if(q.route==={json.dumps(route)}){{for(const p of q.states)a[p[0]]+=p[1];"
                "for(const s of periscope.pieces(q))b[s.state]+=s.end-s.start}return [a,b]})()")
            self.assertEqual(told, known["by_state"], route)
            self.assertEqual(drawn, known["by_state"], route)
            self.assertEqual(sum(told), known["latency"])

    def test_summary(self):
        self.open()
        rows = {row["route"]: row for row in self.rows("r")}
        self.assertEqual(set(rows), set(self.known["routes"]))
        for route, row in rows.items():
            self.assertEqual(int(row["requests"].replace(",", "")),
                             self.known["routes"][route]["count"])
        self.assertIn(f"{self.known['events']:,} events", self.text(".lead"))
        self.assertIn("Nothing was lost", self.text(".page"))
        self.assertEqual(self.js("periscope.slowest[0].latency"), self.known["slowest"])
        self.assertEqual(self.js("document.querySelectorAll('.slow li').length"), 8)

    def test_percentiles_are_the_reports(self):
        """The report's come from a histogram, which is wrong by less than 1 %."""
        tables = json.loads(subprocess.run(
            [f"{BUILD}/periscope", "convert", self.trace, "--format", "tables"],
            check=True, capture_output=True, timeout=60).stdout)
        text = json.dumps(tables)
        self.open()
        for row in self.js("periscope.routes.map(r=>[r.route,r.p50,r.p99,r.p100])"):
            found = find_route(tables, row[0])
            self.assertTrue(found, (row[0], text[:500]))
            for value in row[1:]:
                self.assertTrue(any(abs(value - other) <= 0.01 * value for other in found),
                                (row, found))

    def test_every_figure_leads_to_its_place(self):
        self.open()
        self.js("document.querySelector('.slow a').click()")
        self.browser.painted()
        self.assertEqual(self.state("v"), "picture")
        self.assertEqual(self.js("periscope.item.request.latency"), self.known["slowest"])
        self.assertTrue(self.js("periscope.state.a<=periscope.item.start&&periscope.item.end<=periscope.state.b"))
        self.assertIn("It took", self.text(".why"))
        self.open()
        self.js("document.querySelector('#table-b tbody a').click()")
        self.browser.painted()
        self.assertEqual(self.state("group"), "threads")
        self.assertTrue(self.js("periscope.drawn.some(t=>t.id==='t0')"))


def find_route(tables, route):
    """All numbers in a JSON report's rows that are of a route."""
    numbers = []

    def walk(node, within):
        if isinstance(node, dict):
            here = within or route in [v for v in node.values() if isinstance(v, str)]
            for value in node.values():
                walk(value, here)
        elif isinstance(node, list):
            here = within or route in [v for v in node if isinstance(v, str)]
            for value in node:
                walk(value, here)
        elif within and isinstance(node, (int, float)):
            numbers.append(node)
    walk(tables, False)
    return numbers


class Picture(Page):
    """What is drawn, and what pointer and keys do."""

    def test_states_are_drawn_in_their_colours(self):
        self.open("v=picture&group=threads")
        self.js("(()=>{const s=periscope.t.threads[1].states;let k=s.state.indexOf(8);for(let i=k;i<s.n;i++)"
                "if(s.state[i]===8&&s.end[i]-s.start[i]>s.end[k]-s.start[k])k=i;window.k=k;"
                "periscope.go({a:s.start[k]-1000-periscope.t.start,b:s.end[k]+1000-periscope.t.start})})()")
        self.browser.painted()
        x, y = self.place("t1", "(periscope.t.threads[1].states.start[k]*.2+periscope.t.threads[1].states.end[k]*.8)")
        self.assertEqual(self.pixel(x, y), [0xC4, 0x63, 0x4A])
        self.browser.click(x, y)
        self.browser.painted()
        self.assertEqual(self.js("periscope.state.sel===`s1.${k}`"), True)
        self.assertIn("disk", self.text(".details h2"))
        self.assertIn("io_schedule", self.text(".details .stack"))

    def test_wheel_zooms_at_the_pointer(self):
        self.open("v=picture")
        x, y = self.place("kf", "periscope.t.start+1e7")
        before = self.js("[periscope.state.a,periscope.state.b]")
        self.browser.call("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=-400)
        self.browser.painted()
        after = self.js("[periscope.state.a,periscope.state.b]")
        self.assertLess(after[1] - after[0], 0.7 * (before[1] - before[0]))
        self.assertAlmostEqual(self.place("kf", "periscope.t.start+1e7")[0], x, delta=1)

    def test_keys(self):
        self.open("v=picture&at=10000000-20000000")
        width = self.js("periscope.state.b-periscope.state.a")
        self.browser.press("d")
        self.assertAlmostEqual(self.js("periscope.state.a-periscope.t.start"), 1e7 + .2 * width, delta=2)
        self.browser.press("a")
        self.browser.press("w")
        self.assertAlmostEqual(self.js("periscope.state.b-periscope.state.a"), width / 1.4, delta=2)
        self.browser.press("s")
        self.assertAlmostEqual(self.js("periscope.state.b-periscope.state.a"), width, delta=2)
        self.browser.press("0")
        self.assertEqual(self.js("periscope.state.b-periscope.state.a"), self.known["span"])
        self.browser.press("3")
        self.assertEqual(self.state("group"), "threads")
        self.assertFalse(self.js("periscope.tracks.some(t=>t.section==='requests')"))
        self.browser.press("?")
        self.assertIn("next, previous match", self.text(".help"))
        self.browser.press("Escape")
        self.assertTrue(self.js("periscope.dialog.hidden"))

    def test_pan(self):
        self.open("v=picture&at=10000000-20000000")
        x, y = self.place("kf", "periscope.t.start+15e6")
        self.drag(x, y, x + 100, y, modifiers=8)
        self.assertAlmostEqual(self.place("kf", "periscope.t.start+15e6")[0], x + 100, delta=1)
        self.assertEqual(self.state("rb"), 0)

    def test_range_tables_and_flame_graphs(self):
        self.open("v=picture&at=10000000-20000000")
        x1, y = self.place("kf", "periscope.t.start+12e6")
        x2, _ = self.place("kf", "periscope.t.start+14e6")
        self.drag(x1, y, x2, y)
        width = self.js("periscope.state.rb-periscope.state.ra")
        self.assertAlmostEqual(width, 2e6, delta=3e4)
        self.assertEqual(len(self.rows("x")), 4)
        total = self.js("periscope.t.threads.map(th=>periscope.within(th).reduce((a,b)=>a+b,0))")
        for value in total:
            self.assertAlmostEqual(value, width, delta=1)
        wanted = {
            "cpu": self.js("periscope.t.instants.filter(e=>e.kind===30&&e.time>=periscope.state.ra&&"
                           "e.time<periscope.state.rb).reduce((a,e)=>a+e.weight,0)"),
            "offcpu": self.js("periscope.t.threads.map(th=>periscope.within(th)).reduce((a,s)=>a+"
                              "[3,4,5,6,7,8,9,10,11].reduce((x,i)=>x+s[i],0),0)")}
        address = self.js("(periscope.go({}),new Promise(d=>setTimeout(()=>d(location.hash.slice(1)),99)))")
        for kind, want in wanted.items():
            self.open(address)
            self.js(f"document.querySelector('[data-flame={kind}]').click()")
            self.browser.painted()
            self.assertGreater(self.js("document.querySelector('.range iframe').clientHeight"), 100)
            got = self.flame("periscope.m.t.total[0]")
            self.assertGreater(want, 0)
            self.assertEqual(got, want, kind)
            self.assertEqual(self.js("periscope.m.names.some(n=>n.name==='main')"), True)
            self.assertEqual(len(self.js("periscope.m.roots")), len(self.js("periscope.m.threads")))

    def test_search(self):
        self.open("v=picture")
        known = sum(t["syscalls"] for t in self.known["threads"])
        self.js("periscope.go({q:'SELECT id, name'})")
        statements = self.js("periscope.hits.list.length")
        self.assertEqual(statements, self.js(
            "periscope.t.threads.reduce((a,th)=>a+th.rows.reduce((b,r)=>b+[...r.head].filter(h=>!(h&3)).length,0),0)"))
        times = []
        for _ in range(3):
            self.browser.press("n")
            times.append(self.js("periscope.item.start"))
        self.assertEqual(times, sorted(times))
        self.assertEqual(len(set(times)), 3)
        self.browser.press("N")
        self.assertEqual(self.js("periscope.item.start"), times[1])
        self.assertIn(f"2 of {statements:,}", self.text(".matched"))
        self.assertIn("SELECT id, name FROM rooms", self.text(".details"))
        calls = 0
        for name in ("epoll_wait", "futex", "write", "fsync", "pread64"):
            self.js(f"periscope.go({{q:{json.dumps(name)}}})")
            calls += self.js("periscope.hits.list.filter(h=>h.row).length")
        # Those that were open at the begin and at the end are shown, too.
        self.assertTrue(known <= calls <= known + 8, (known, calls))

    def test_filter(self):
        self.open("v=requests&route=POST%20%2Fbookings")
        count = self.known["routes"]["POST /bookings"]["count"]
        self.assertIn(f"{count:,} of {count:,} rows", self.js("document.querySelectorAll('.count')[0].innerText"))
        self.js("periscope.go({v:'picture'})")
        self.assertEqual(self.js("[...new Set(periscope.made.requests.map(t=>t.label))]"), ["POST /bookings"])
        self.js("periscope.go({route:'',status:'201'})")
        self.assertEqual(self.js("periscope.filtered().length"), count)
        self.js("periscope.go({status:'',slower:'1ms'})")
        self.assertEqual(self.js("periscope.filtered().every(q=>q.latency>=1e6)"), True)
        self.assertLess(self.js("periscope.filtered().length"), self.known["requests"])

    def test_hide_pin_sort(self):
        self.open("v=picture&group=threads")
        self.js("document.querySelector('[data-track=t0] [aria-label^=Hide]').click()")
        self.browser.painted()
        self.assertFalse(self.js("periscope.tracks.some(t=>t.id==='t0')"))
        self.browser.press("u")
        self.js("document.querySelector('[data-track=t1] [aria-label^=Pin]').click()")
        self.browser.painted()
        self.assertEqual(self.js("periscope.tracks[0].id"), "t1")
        self.js("periscope.go({pin:[],sort:'busy'})")
        busy = self.js("periscope.tracks.filter(t=>t.thread).map(t=>t.total)")
        self.assertEqual(busy, sorted(busy, reverse=True))

    def test_wakeups(self):
        self.open("v=picture&group=threads")
        found = self.js("(()=>{for(const th of periscope.t.threads)for(let i=0;i<th.states.n;i++)"
                        "if(th.states.waker[i]&&th.states.waker[i]!==th.tid){periscope.go({sel:`s${th.number}.${i}`,"
                        "a:th.states.start[i]-20000-periscope.t.start,b:th.states.end[i]+20000-periscope.t.start});"
                        "periscope.drawNow();return th.states.waker[i]}})()")
        self.assertEqual(self.js("periscope.arrows"), 1)
        self.assertIn(str(found), self.text(".details"))
        self.browser.press("Escape")
        self.browser.press("e")
        self.browser.painted()
        self.assertGreater(self.js("periscope.arrows"), 0)

    def test_state_is_in_the_address(self):
        self.open("v=picture&group=threads&at=10000000-20000000")
        self.js("periscope.go({sel:'s1.3',hide:['t2'],pin:['t3'],q:'fsync'})")
        time.sleep(.1)
        before = self.js("JSON.stringify([periscope.state,periscope.tracks.map(t=>t.id)])")
        link = self.js("location.hash")
        self.open()
        self.open(link[1:])
        self.assertEqual(self.js("JSON.stringify([periscope.state,periscope.tracks.map(t=>t.id)])"), before)

    def test_tables(self):
        self.open("v=threads")
        rows = {int(r["TID"]): r for r in self.rows("t")}
        for thread in self.known["threads"]:
            self.assertEqual(int(rows[thread["tid"]]["runs"].replace(",", "")), thread["runs"])
        self.js("[...document.querySelectorAll('#table-t thead button')].find(b=>b.innerText==='on CPU').click()")
        self.assertEqual(self.js("document.querySelector('#table-t [aria-sort]').innerText"), "on CPU ↓")
        first = int(self.rows("t")[0]["TID"])
        most = max(self.known["threads"], key=lambda t: t["total"][1] + t["total"][2])
        self.assertEqual(first, most["tid"])


class Lossy(Page):
    lose = 997

    def test_losses_are_shown_in_place(self):
        self.open()
        note = self.text(".loss")
        self.assertIn(f"{self.known['lost']:,} events are missing", note)
        torn = self.js("periscope.t.requests.filter(q=>q.lost).length")
        self.assertGreater(torn, 0)
        self.assertIn(f"{torn:,} request", note)
        left = sum(int(row["left out"].replace(",", "")) for row in self.rows("r"))
        self.assertEqual(left, self.js("periscope.t.requests.filter(q=>q.lost||q.partial).length"))
        self.js("periscope.go({v:'picture',sel:'l0',a:periscope.t.lost[0].start-50000-periscope.t.start,"
                "b:periscope.t.lost[0].end+50000-periscope.t.start})")
        self.browser.painted()
        self.assertIn("events are missing", self.text(".details"))
        x, _ = self.place("kf", "periscope.t.lost[0].start")
        top = self.js("periscope.ui.canvas.getBoundingClientRect().top")
        self.assertEqual(self.pixel(x + 1, top + 21), [0xB3, 0x26, 0x1E])


class Hostile(Page):
    events, hostile = 3000, HOSTILE

    def test_names_are_text(self):
        for view in ("summary", "requests", "threads", "picture"):
            self.open(f"v={view}&q=onerror")
            self.assertEqual(self.js("document.querySelectorAll('img').length"), 0)
        self.assertGreater(self.js("periscope.hits.list.length"), 2)
        name = "<img src=x onerror=alert(1)></script>\ufffd[31m\ufffd\ufffd]]>&amp;"
        self.assertEqual(self.js("periscope.t.threads.find(t=>t.tid===666).name"), name)
        self.browser.press("n")
        self.assertIn("<img", self.text(".details"))
        self.js("periscope.go({ra:periscope.t.start,rb:periscope.t.end,flame:'offcpu'})")
        self.assertTrue(self.flame("periscope.m.names.some(n=>n.name.startsWith('<img'))"))


class Small(Page):
    events = 10

    def test_ten_events(self):
        self.open()
        self.assertEqual(self.js("periscope.t.requests.length"), self.known["requests"])
        self.js("periscope.go({v:'picture'})")
        self.browser.painted()
        self.assertGreater(self.js("periscope.picture.rects"), 50)


class Size(unittest.TestCase):
    def test_twelve_bytes_an_event(self):
        with tempfile.TemporaryDirectory(prefix="periscope-timeline.") as folder:
            _, page, known = make(folder, "big", 100000)
            self.assertLess(os.path.getsize(page), 12 * known["events"])
            with open(page, encoding="utf-8") as file:
                text = file.read()
        for word in ("http://", "https://", "src=\"", "@import", "url("):
            self.assertNotIn(word, text.replace("http://www.w3.org/", ""))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        BUILD = os.path.abspath(sys.argv.pop(1))
    unittest.main()
