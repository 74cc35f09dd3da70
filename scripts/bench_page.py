# SPDX-License-Identifier: MIT
"""How fast the page opens that reads a timeline, how fast it answers, and how large it is."""

import json
import os
import shutil
import subprocess
import sys

from bench_report import verdict
from bench_run import CannotMeasure, Workbench
from bench_stats import median

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests/browser"))
from chromium import Chromium  # noqa: E402

ACTION_MS = 200
FRAME_MS = 1000 / 60
BYTES = 12
# Events; then ms that the page may take to open, and for a frame while panning.
SIZES = [(100_000, 1000, FRAME_MS), (1_000_000, 5000, ACTION_MS)]

# Each in a page that was just opened, in this order: what a view or a search has to prepare when it
# is used first is in its figure. Times are until the second frame after it.
ACTIONS = [
    ("requests view", "periscope.go({v:'requests'})"),
    ("sorted by latency", "periscope.go({oq:'latency'})"),
    ("rows filtered", "periscope.go({fq:'bookings'})"),
    ("threads view", "periscope.go({v:'threads',fq:'',oq:''})"),
    ("picture", "periscope.go({v:'picture'})"),
    ("zoom to a tenth", "periscope.zoom(.1)"),
    ("all of it", "periscope.go({a:null,b:null})"),
    ("search of arguments", "periscope.go({q:'select id'})"),
    ("next match", "periscope.step(1)"),
    ("search of calls", "periscope.go({q:'fsync'})"),
    ("filter by route", "periscope.go({q:'',route:'POST /bookings'})"),
    ("filter by latency", "periscope.go({route:'',slower:'1ms'})"),
    ("tracks sorted", "periscope.go({slower:'',sort:'busy'})"),
    ("arrows", "periscope.go({arrows:'1'})"),
    ("request selected", "periscope.go({arrows:'',sel:'q'+periscope.slowest[0].index})"),
    ("range of it all: tables", "periscope.go({a:null,b:null,sel:'',"
     "ra:periscope.t.start,rb:periscope.t.end})"),
    ("on-CPU flame graph", "periscope.go({flame:'cpu'})"),
    ("off-CPU flame graph", "periscope.go({flame:'offcpu'})"),
    ("summary", "periscope.go({v:'summary',ra:0,rb:0})"),
]

TIME = """(async () => {
    const frame = () => new Promise(done => requestAnimationFrame(done));
    await frame();
    const began = performance.now();
    %s;
    await frame();
    await frame();
    return performance.now() - began;
})()"""

# A second of panning, at each of some zooms: the time of each frame's drawing, and between frames.
PAN = """(async () => {
    const frame = () => new Promise(done => requestAnimationFrame(done)), app = periscope;
    const drawing = [], between = [];
    app.go({ v: "picture", ra: 0, rb: 0, q: "", sel: "" });
    for (const part of [1, .3, .03, .001]) {
        const span = (app.t.end - app.t.start) * part;
        let a = app.t.start + (app.t.end - app.t.start - span) / 2, last = 0;
        app.move(a, a + span);
        for (let i = 0; i < 5; i++)
            await frame();
        for (let i = 0; i < 60; i++) {
            app.move(a += span * .01, a + span);
            const began = performance.now();
            app.drawNow();
            drawing.push(performance.now() - began);
            const now = await frame();
            if (last)
                between.push(now - last);
            last = now;
        }
    }
    return [drawing.sort((a, b) => a - b), between.sort((a, b) => a - b)];
})()"""


def opened(browser, path, state="v=picture"):
    """Seconds until the page is there and has been painted."""
    seconds = browser.open(f"file://{path}#{state}")
    return seconds + browser.run(TIME % "while (!window.periscope) await frame()") / 1000


def _make(settings, folder, events):
    trace, page = os.path.join(folder, "t.periscope"), os.path.join(folder, "t.html")
    told = subprocess.run([settings.build + "/make_trace", str(events), trace, "--loops", "4"],
                          check=True, capture_output=True).stdout
    subprocess.run([settings.build + "/periscope", "convert", trace, "-o", page], check=True)
    return page, json.loads(told)["events"]


def _row(events, what, values, unit, limit):
    middle = median(values)
    return {"events": f"{events:,}", "what": what, "value": middle, "most": max(values),
            "target": f"<= {limit:.{0 if limit >= 100 else 1}f} {unit}", "unit": unit,
            "verdict": verdict(middle, limit)}


def _measure(page, events, limits, runs):
    opens, actions, drawing, between = [], {name: [] for name, _ in ACTIONS}, [], []
    for _ in range(runs):
        with Chromium(1280, 800) as browser:  # a new one: nothing is cached
            opens.append(opened(browser, page, "") * 1000)
            for name, action in ACTIONS:
                actions[name].append(browser.run(TIME % action))
            drawn, frames = browser.run(PAN)
            drawing.append(drawn)
            between.append(frames)
    yield _row(events, "opens", opens, "ms", limits[0])
    for name, _ in ACTIONS:
        yield _row(events, name, actions[name], "ms", ACTION_MS)
    yield _row(events, "drawing a frame, worst", [times[-1] for times in drawing], "ms", limits[1])
    # A frame that comes on time is a display's period after the one before.
    yield _row(events, "between frames, 95 of 100",
               [times[int(.95 * len(times))] for times in between], "ms", 1.05 * limits[1])
    yield _row(events, "bytes an event", [os.path.getsize(page) / events], "B", BYTES)


def page(settings):
    if not shutil.which("chromium"):
        raise CannotMeasure("chromium is missing; run scripts/setup bench")
    if not os.access(settings.build + "/make_trace", os.X_OK):
        raise CannotMeasure("build/make_trace is missing; run make build/make_trace first")
    rows, runs = [], 1 if settings.quick else 5
    with Workbench() as bench:
        folder = bench.directory()
        for size, *limits in SIZES[:1] if settings.quick else SIZES:
            settings.progress(f"page: {size:,} events, {runs} times")
            file, events = _make(settings, folder, size)
            rows += _measure(file, events, limits, runs)
    return {
        "title": "page: a timeline in a browser (headless Chromium, 1,280 x 800, no GPU)",
        "columns": [
            ("events", "events", ""),
            ("what", "what", ""),
            ("value", "median", "{:.1f}"),
            ("most", "worst", "{:.1f}"),
            ("unit", "", ""),
            ("target", "target", ""),
            ("verdict", "", ""),
        ],
        "rows": rows,
        "notes": [
            "Actions: from the call to the second frame after it, in a page that was just opened;",
            f"two frames alone are {2 * FRAME_MS:.0f} ms. A worst drawing is of 240 frames in each run.",
        ],
    }
