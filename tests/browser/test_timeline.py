# SPDX-License-Identifier: MIT
"""The page that reads a timeline, in a real browser: every figure, against the numbers of a server
that never was (tests/synthetic) and of the text report.

    python3 tests/browser/test_timeline.py [BUILD_DIR [firefox]]
"""

import json
import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from timeline_page import Page, main, make  # noqa: E402

HOSTILE = b"<img src=x onerror=alert(1)></script>\x1b[31m\xff\xe2\x80\xae]]>&amp;"


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

    def test_routes_are_the_reports(self):
        """Its percentiles come from a histogram, which is wrong by less than 1 %."""
        report = {row["route"]: row for row in self.report()["latency"]}
        self.open()
        rows = self.js("periscope.routes.map(r=>({route:r.route,requests:r.whole.length,mean_ns:"
                       "r.mean,p50_ns:r.p50,p90_ns:r.p90,p99_ns:r.p99,p999_ns:r['p99.9'],"
                       "max_ns:r.p100,failed:r.failed,partial:r.partial,lost:r.lost}))")
        self.assertEqual({row["route"] for row in rows}, set(report))
        for row in rows:
            for key, value in report[row["route"]].items():
                if key.startswith("p") and key.endswith("_ns"):
                    self.assertAlmostEqual(row[key], value, delta=0.01 * value)
                elif key == "mean_ns":
                    self.assertAlmostEqual(row[key], value, delta=1)
                else:
                    self.assertEqual(row[key], value, key)

    def test_threads_are_the_reports(self):
        report = {row["tid"]: row for row in self.report()["threads"]}
        self.open()
        threads = self.js("periscope.t.threads.map(t=>({tid:t.tid,execution_ns:t.total[1],syscall_ns"
                          ":t.total[2],sched_wait_ns:t.total[3]+t.total[4],futex_ns:t.total[5],"
                          "epoll_ns:t.total[6],network_ns:t.total[7],disk_ns:t.total[8],sleep_ns:"
                          "t.total[9],fault_ns:t.total[10],other_ns:t.total[11],runs:t.runs,"
                          "preemptions:t.preemptions,syscalls:t.syscalls,faults:t.faults,"
                          "wakeups:t.wakeups,pid:t.pid}))")
        self.assertEqual(len(threads), len(report))
        for thread in threads:
            for key, value in thread.items():
                self.assertEqual(value, report[thread["tid"]][key], key)

    def test_why_slow(self):
        """The sentence's parts, against the report's row of the same request."""
        row = self.report()["slowest"][0]
        self.open()
        said = self.js("document.querySelector('.slow li').innerText").replace("\u202f", " ")
        self.assertTrue(said.startswith(row["request"] + " It took "), said)
        median = self.js("periscope.medians.get(periscope.slowest[0].route)")
        self.assertIn(f"{row['latency_ns'] / median:.1f} times the median", said)
        reasons = {"commit_ns": "waited for a shared commit", "disk_ns": "waited for the disk",
                   "execution_ns": "ran in user mode", "loop_ns": "waited for its busy loop",
                   "futex_ns": "waited for a lock (futex)", "syscall_ns": "ran in system calls",
                   "queue0_writer_ns": "waited in the queue writer",
                   "reply_ns": "waited for its loop to send what was done"}
        parts = sorted((row[key], reason) for key, reason in reasons.items())[-3:]
        places = []
        for ns, reason in reversed(parts):
            self.assertIn(f"({100 * ns / row['latency_ns']:.1f} %)", said)
            places.append(said.index(reason))
        self.assertEqual(places, sorted(places))

    def test_counters(self):
        """Each step, against sums made here."""
        self.open()
        started, ended, waits, span = self.js(
            "[periscope.t.requests.map(q=>q.start),periscope.t.requests.filter(q=>!q.open).map(q=>q.end),"
            "periscope.t.threads.flatMap(th=>[...th.states.state].flatMap((s,i)=>s===3||s===4?"
            "[[th.states.start[i],th.states.end[i]]]:[])),[periscope.t.start,periscope.t.end]]")
        flying, running = self.js("[periscope.inFlight,periscope.waiting].map(c=>[c.time,c.value])")
        for counter, begins, ends in ((flying, started, ended),
                                      (running, [w[0] for w in waits], [w[1] for w in waits])):
            begins, ends = sorted(begins), sorted(ends)
            for at, value in list(zip(*counter))[::37]:
                known = sum(b <= at for b in begins) - sum(e <= at for e in ends)
                if at < span[1]:
                    self.assertEqual(value, known, at)
        # A total is shown as its rate between two readings.
        track, readings = self.js(
            "[periscope.made.counters.findIndex(t=>t.label==='time in the allocator'),periscope.t.counters"
            ".filter(c=>periscope.t.counters_info[c.counter][0]==='time in the allocator').map(c=>"
            "c.time.map((t,i)=>[t,c.value[i]]))[0]]")
        (first, low), (second, high) = readings[-3:-1]
        self.assertEqual(f"{100 * (high - low) / (second - first):.1f}\u202f% of a CPU",
                         self.js(f"periscope.made.counters[{track}].value({(first + second) / 2})"))
        labels = self.js("periscope.made.counters.map(t=>t.label)")
        for label in ("resident memory", "heap since the start", "time in the allocator"):
            self.assertIn(label, labels)

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


class Tables(Page):
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

    def test_sort_and_filter(self):
        self.open("v=requests")
        self.assertEqual(len(self.rows("q")), 50)
        latencies = self.js("periscope.t.requests.map(q=>q.latency).sort((a,b)=>b-a)")
        shown = "[...document.querySelectorAll('#table-q tbody th a')].map(a=>+a.href.match(/sel=q(\\d+)/)[1])"
        of = f"{shown}.map(i=>periscope.t.requests[i].latency)"
        self.assertEqual(self.js(of), latencies[:50])
        self.js("document.querySelector('.table:last-child > button').click()")
        self.assertEqual(self.js(of), latencies[:len(self.js(of))])
        self.assertGreater(len(self.js(of)), 50)
        for _ in range(2):  # the largest first, then the least
            self.js("[...document.querySelectorAll('#table-q thead button')]"
                    ".find(b=>b.innerText.startsWith('latency')).click()")
        self.assertEqual(self.js(of), latencies[::-1][:50])
        self.js("(i=>{i.value='BOOK';i.dispatchEvent(new Event('change'))})"
                "(document.querySelector('.table:last-child input'))")
        count = self.known["routes"]["POST /bookings"]["count"]
        self.assertIn(f"{count:,} of", self.js("[...document.querySelectorAll('.count')].pop().innerText"))

    def test_rows_lead_to_their_places(self):
        self.open("v=threads")
        self.js("document.querySelectorAll('#table-t tbody a')[0].click()")
        self.browser.painted()
        self.assertEqual([self.state("v"), self.state("group")], ["picture", "threads"])
        self.open("v=requests")
        p99 = self.js("periscope.routes[0].p99")
        self.js("document.querySelectorAll('#table-r tbody tr:first-child td a')[3].click()")
        self.browser.painted()
        self.assertEqual(self.js("periscope.item.request.latency"), p99)


class Lossy(Page):
    lose = 997

    def test_losses_are_shown_in_place(self):
        self.open()
        note = self.text(".loss")
        self.assertIn(f"{self.known['lost']:,} events are missing", note)
        torn = self.js("periscope.t.requests.filter(q=>q.lost).length")
        self.assertGreater(torn, 0)
        self.assertIn(f"{torn:,} request", note)
        left = sum(int(row[c].replace(",", "")) for row in self.rows("r") for c in ("partial", "lost"))
        self.assertEqual(left, self.js("periscope.t.requests.filter(q=>q.lost||q.partial).length"))
        self.js("periscope.go({v:'picture',sel:'l0',a:periscope.t.lost[0].start-50000-periscope.t.start,"
                "b:periscope.t.lost[0].end+50000-periscope.t.start})")
        self.browser.painted()
        self.assertIn("events are missing", self.text(".details"))
        x, _ = self.place("kf", "periscope.t.lost[0].start")
        top = self.js("periscope.ui.canvas.getBoundingClientRect().top")
        self.assertEqual(self.pixel(x + 1, top + 21), [0xB3, 0x26, 0x1E])


    def test_what_is_not_known_is_hatched(self):
        """In red, where a thread's state is not known, and below requests that lack events."""
        self.open("v=picture")
        red = ("(()=>{const p=periscope.picture,r=p.ratio,[x,y,w,h]=%s;const d=p.ctx.getImageData(x*r,y*r,"
               "w*r,h*r).data;let n=0;for(let i=0;i<d.length;i+=4)n+=d[i]>d[i+1]+60&&d[i]>d[i+2]+60;"
               "return n})()")
        thread, start, end = self.js(
            "(()=>{let best=null;for(const th of periscope.t.threads)for(let i=0;i<th.states.n;i++)"
            "if(!th.states.state[i]&&(!best||th.states.end[i]-th.states.start[i]>best[2]-best[1]))"
            "best=[th.number,th.states.start[i],th.states.end[i]];return best})()")
        self.js(f"periscope.go({{group:'threads',a:{start}-periscope.t.start,b:{end}-periscope.t.start}})")
        self.browser.painted()
        top = self.js(f"periscope.trackOf('t{thread}').at_y")
        self.assertGreater(self.js(red % f"[20,{top + 2},300,12]"), 100)
        track, start, end = self.js(
            "(()=>{for(const t of periscope.made.requests)for(const q of t.lane.list)if(q.lost||q.partial)"
            "return [t.id,q.start,q.end]})()")
        self.js(f"periscope.go({{group:'requests',a:{start}-periscope.t.start,b:{end}-periscope.t.start}})")
        self.browser.painted()
        top = self.js(f"periscope.trackOf({json.dumps(track)}).at_y")
        self.assertGreater(self.js(red % f"[20,{top + 17},300,6]"), 50)


class Hostile(Page):
    events, hostile = 3000, HOSTILE

    def test_names_are_text(self):
        for view in ("summary", "requests", "threads", "picture"):
            self.open(f"v={view}&q=onerror")
            self.assertEqual(self.js("document.querySelectorAll('img').length"), 0)
        self.assertGreater(self.js("periscope.hits.list.length"), 2)
        # Its own span, by name and argument, but none of its neighbours.
        self.assertEqual(self.js("periscope.hits.list.filter(h=>h.row).length"), 1)
        name = "<img src=x onerror=alert(1)></script>\ufffd[31m\ufffd\ufffd]]>&amp;"
        self.assertEqual(self.js("periscope.t.threads.find(t=>t.tid===666).name"), name)
        self.browser.press("n")
        self.assertIn("<img", self.text(".details"))
        # Why a flight recorder kept it: said, and a line on top of the picture that can be clicked.
        self.open()
        self.assertIn(name, self.text(".marks"))
        self.js("document.querySelector('.marks a').click()")
        self.browser.painted()
        x, _ = self.place("t0", "periscope.t.marks[0].time")
        top = self.js("periscope.ui.canvas.getBoundingClientRect().top")
        self.assertEqual(self.pixel(int(x) + 1, top + 200), [0x6A, 0x1B, 0x9A])
        self.js("periscope.go({sel:''})")
        self.browser.click(x, top + 5)
        self.assertIn("trigger", self.text(".details"))
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
    main()
