# SPDX-License-Identifier: MIT
"""The picture of the page that reads a timeline: what is drawn, and what pointer, fingers and keys do.

    python3 tests/browser/test_timeline_picture.py [BUILD_DIR [firefox]]
"""

import json
import os
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from timeline_page import Page, main  # noqa: E402


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
        self.browser.wheel(x, y, -400)
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
        self.drag(x, y, x + 100, y, shift=True)
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

    def test_fingers(self):
        self.open("v=picture&at=10000000-20000000")
        x, y = self.place("kf", "periscope.t.start+15e6")
        self.browser.touch([(x, y)], [(x + 40, y)], [(x + 80, y)])
        self.browser.painted()
        self.assertAlmostEqual(self.place("kf", "periscope.t.start+15e6")[0], x + 80, delta=2)
        self.assertEqual(self.state("rb"), 0)
        # Two of them: what was between them stays between them.
        self.open("v=picture&at=10000000-20000000")
        self.browser.touch([(x - 50, y), (x + 50, y)], [(x - 75, y), (x + 75, y)],
                           [(x - 100, y), (x + 100, y)])
        self.browser.painted()
        self.assertAlmostEqual(self.js("periscope.state.b-periscope.state.a"), 5e6, delta=2e5)
        self.assertAlmostEqual(self.place("kf", "periscope.t.start+15e6")[0], x, delta=2)

    def test_what_is_selected(self):
        self.open("v=picture&group=threads&sel=s1.100")
        length = self.js("periscope.item.end-periscope.item.start")
        self.browser.press("]")
        self.assertEqual(self.state("sel"), "s1.101")
        self.browser.press("[")
        self.browser.press("z")
        self.assertEqual(self.state("sel"), "s1.100")
        self.assertAlmostEqual(self.js("periscope.state.b-periscope.state.a"),
                               length + 2 * max(.3 * length, 500), delta=2)
        self.browser.press("p")
        self.assertEqual(self.js("periscope.tracks[0].id"), "t1")
        self.browser.press("h")
        self.assertFalse(self.js("periscope.tracks.some(t=>t.id==='t1')"))
        self.browser.press("u")
        self.browser.press("Escape")
        self.assertEqual(self.state("sel"), "")
        self.browser.press("r")
        self.assertEqual(self.js("[periscope.state.ra,periscope.state.rb]"),
                         self.js("[periscope.state.a,periscope.state.b].map(Math.round)"))
        # A request's neighbours are those of its lane.
        self.js("periscope.go({sel:'q'+periscope.made.requests[0].lane.list[3].index})")
        self.browser.press("]")
        self.assertTrue(self.js("periscope.item.request===periscope.made.requests[0].lane.list[4]"))

    def test_tip(self):
        self.open("v=picture&group=threads&sel=s1.100")
        self.browser.press("z")
        self.browser.painted()
        self.browser.move(*self.place("t1", "(periscope.item.start+periscope.item.end)/2"))
        self.browser.painted()
        self.assertIn(self.js("periscope.item.title"), self.text(".tip"))
        self.browser.move(*self.place("kf", "periscope.item.start"))
        self.browser.painted()
        self.assertIn("requests in flight", self.text(".tip"))

    def show(self, start, end, **more):
        """Zoom to a stretch of time, with a little around it."""
        margin = .1 * (end - start)
        self.js(f"periscope.go(Object.assign({json.dumps(more)},{{a:{start - margin}-periscope.t.start,"
                f"b:{end + margin}-periscope.t.start}}))")
        self.browser.painted()

    def test_requests_are_drawn_with_phases_and_states(self):
        self.open("v=picture&group=requests")
        phases = ["#8fb4e3", "#f2b279", "#9ad0a8", "#d8a4d6"]
        states = ["", "#2f8f46", "#7dbb4f", "#f5b93c", "#e8862e", "#9a78c8", "#dde1e7", "#5b9bd9",
                  "#c4634a", "#c2cad3", "#dc5b92", "#9aa7b4", "", "#e5b98c", "#e4e8ed", "#a85a46",
                  "#f2cf94", "#d690b4"]
        seen = set()
        for nth in (0, 3, 50):
            track, index, start, end = self.js(
                "(()=>{const l=periscope.made.requests.at(-1),q=l.lane.list.filter(q=>q.counts)"
                f"[Math.min({nth},l.lane.n-1)]||l.lane.list[0];return [l.id,q.index,q.start,q.end]}})()")
            self.show(start, end)
            for key, colors, dy in (("stateList", states, 20), ("phaseList", phases, 15)):
                parts = self.js(f"periscope.t.requests[{index}].{key}.map(p=>[p.start,p.end,p.phase?"
                                "p.phase-1:p.state,p.depth||0])")
                self.assertGreater(len(parts), 2)
                for begin, until, kind, depth in parts:
                    x, y = self.place(track, f"({begin}+{until})/2", dy)
                    if depth == 0 and (until - begin) / (end - start) * 500 > 4:
                        r, g, b = self.pixel(round(x), round(y) + (0 if key == "stateList" else -13))
                        self.assertEqual(f"#{r:02x}{g:02x}{b:02x}", colors[kind], (key, kind))
                        seen.add(key)
        self.assertEqual(seen, {"stateList", "phaseList"})
        self.js("periscope.go({sel:'q'+periscope.slowest[0].index})")
        self.assertRegex(self.text(".details"), r"Longest waits\s+[\d.]+\u202f.s ")

    def test_runs_and_samples_are_drawn(self):
        self.open("v=picture&group=cpus")
        cpu, start, end, number = self.js(
            "(()=>{const c=periscope.t.cpus[0],r=c.runs.reduce((a,b)=>b.end-b.start>a.end-a.start?b:a);"
            "return ['c'+c.cpu,r.start,r.end,r.thread.number]})()")
        self.show(start, end)
        x, y = self.place(cpu, f"{start}+({end}-{start})*.9")
        colors = self.js("['#8fb4e3','#f2b279','#9ad0a8','#d8a4d6','#e8d27a','#92cfd3','#e39a96','#b8b2e6']")
        r, g, b = self.pixel(round(x), round(y))
        self.assertEqual(f"#{r:02x}{g:02x}{b:02x}", colors[number % 8])
        self.open("v=picture&group=threads")
        thread, at = self.js("(()=>{const e=periscope.t.instants.find(e=>e.kind===30);"
                             "return [e.thread.number,e.time]})()")
        self.show(at - 1000, at + 1000)
        x, y = self.place(f"t{thread}", str(at), 21)
        self.assertEqual(self.pixel(round(x), round(y)), [0x5B, 0x62, 0x6D])
        self.browser.click(x, y)
        self.browser.painted()
        self.assertEqual(self.js("periscope.item.start"), at)

    def test_details_of_a_call(self):
        self.open("v=picture&group=threads&q=fsync")
        self.browser.press("n")
        self.browser.painted()
        self.assertIn("7, 0, 0", self.text(".details"))
        self.assertIn("returned", self.text(".details"))
        # Keys are for the picture, not while something else is being used.
        before = self.js("[periscope.state.a,periscope.state.b]")
        self.js("document.querySelector('select[aria-label=Route]').focus()")
        self.browser.press("w")
        self.assertEqual(self.js("[periscope.state.a,periscope.state.b]"), before)

    def test_hits_are_marked(self):
        self.open("v=picture&group=threads&q=fsync")
        self.js("periscope.step(1)")
        self.browser.press("z")
        self.browser.painted()
        x, _ = self.place("t1", "(periscope.item.start*.1+periscope.item.end*.9)")
        y = self.js("periscope.ui.canvas.getBoundingClientRect().top+"
                    "periscope.trackOf(periscope.item.track).at_y+periscope.item.dy+8")
        self.assertEqual(self.pixel(round(x), round(y)), [0x6A, 0x1B, 0x9A])

    def test_order_and_groups(self):
        self.open("v=picture&group=all&sort=name")
        names = self.js("periscope.tracks.filter(t=>t.thread).map(t=>t.label)")
        self.assertEqual(names, sorted(names))
        for key, section in (("2", "requests"), ("3", "threads"), ("4", "cpus")):
            self.browser.press(key)
            self.assertEqual(self.js("[...new Set(periscope.tracks.map(t=>t.section).filter(Boolean))]"),
                             ["counters", section])
        self.assertEqual(self.js("periscope.t.cpus.map(c=>c.sum[c.n]).reduce((a,b)=>a+b)"),
                         sum(t["total"][1] + t["total"][2] for t in self.known["threads"]))


class Dense(Page):
    events = 300000

    def test_highest_of_a_pixel(self):
        """A peak of some nanoseconds must be in the picture of all of it."""
        self.open("v=picture")
        for track, counter in (("kf", "inFlight"), ("kq", "waiting")):
            at = self.js(f"periscope.{counter}.maxAt")
            self.assertEqual(self.js(f"periscope.trackOf({track!r}).maxAt"), at)
            # Each pixel's: as high as the highest of its steps.
            for x, most in self.js(
                    f"(()=>{{const p=periscope.picture,c=periscope.{counter},m=new Map();c.time.forEach("
                    "(t,i)=>{const x=Math.floor(p.x(t));m.set(x,Math.max(m.get(x)||0,c.value[i]/c.max))});"
                    "return [...m].filter((_,i)=>i%20===0)})()"):
                high = self.js(f"(()=>{{const p=periscope.picture,r=p.ratio,y=periscope.trackOf({track!r})"
                               f".at_y,d=p.ctx.getImageData({x}*r,y*r,1,36*r).data;let n=0;for(let i=0;"
                               "i<d.length;i+=4)n+=d[i]===0x4a&&d[i+1]===0x7f&&d[i+2]===0xb5;return n/r})()")
                self.assertGreaterEqual(high, 28 * most - 1.5, (track, x))

    def test_p99(self):
        """Of what ended in each tenth of a second."""
        self.open("v=picture")
        latencies = self.js("periscope.t.requests.filter(q=>q.counts).map(q=>[q.end,q.latency])")
        times, values = self.js("[periscope.p99s.time,periscope.p99s.value]")
        every = self.js("periscope.p99s.every")
        for at, value in zip(times, values):
            of = sorted(l for end, l in latencies if at <= end < at + every)
            self.assertEqual(value, of[-(-99 * len(of) // 100) - 1] if of else 0)
        self.assertGreater(len(values), 10)

    def test_narrow_hits_are_marked(self):
        """What is narrower than a pixel is seen from afar, too."""
        self.open("v=picture&q=fsync")
        at = self.js("periscope.hits.list.slice(0,40).map(h=>[h.row.id,h.row.start[h.i]])")
        for row, start in at:
            thread, depth, _ = row.split(".")
            x, y = self.place("t" + thread, str(start), 18 + 8 + 15 * int(depth) + 7)
            if y < 700:
                self.assertEqual(self.pixel(int(x), round(y)), [0x6A, 0x1B, 0x9A])
        self.js("periscope.go({q:'/rooms/77'})")
        self.browser.painted()
        hits = self.js("periscope.made.requests.flatMap(t=>t.lane.list.filter(q=>periscope.hits.requests"
                       ".has(q.index)).map(q=>[t.id,q.start,(q.end-q.start)/1e6]))")
        self.assertGreater(len(hits), 5)
        for track, start, _ in hits[:20]:
            x, y = self.place(track, str(start), 8)
            self.assertEqual(self.pixel(int(x), round(y)), [0x6A, 0x1B, 0x9A])

    def test_shares_within_a_pixel(self):
        """What is too narrow to be drawn: the heights of the three colours in one pixel."""
        self.open("v=picture&group=threads")
        colors = [[0x3F, 0x9C, 0x50], [0xF0, 0xA0, 0x20], [0xC3, 0xC9, 0xD2]]
        tested = 0
        left, y = self.place("t0", "periscope.state.a", 1)
        for x in range(20, 700, 10):
            # What begins in the pixel counts in it; nothing is as wide as one.
            shares, narrow = self.js(
                f"(()=>{{const p=periscope.picture,s=periscope.t.threads[0].states,a=p.time({x}),"
                f"b=p.time({x}+1),c=[0,0,0];let wide=0;for(let i=0;i<s.n;i++){{const w=s.end[i]-"
                "s.start[i];if(s.end[i]>a&&s.start[i]<b)wide=Math.max(wide,w);if(s.start[i]<a||"
                "s.start[i]>=b)continue;c[[1,2].includes(s.state[i])?0:[3,4].includes(s.state[i])?1:2]"
                "+=w}return [c.map(v=>16*v/(b-a)),wide<b-a&&c[0]+c[1]+c[2]<1.02*(b-a)]})()")
            if not narrow:
                continue
            column = [self.pixel(left + x, y + dy) for dy in range(16)]
            for share, color in zip(shares, colors):
                self.assertAlmostEqual(column.count(color), share, delta=2)
            tested += 1
        self.assertGreater(tested, 5)


if __name__ == "__main__":
    main()
