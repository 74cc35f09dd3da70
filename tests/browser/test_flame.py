# SPDX-License-Identifier: MIT
"""The flame graph's script in a real browser: every control, against sums made here from the folded
stacks that went in.

All tests of this directory:  python3 tests/browser/test_flame.py [BUILD_DIR]
"""

import base64
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from urllib.parse import quote

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from chromium import Chromium  # noqa: E402

BUILD = os.path.abspath("build")

# Threads, recursion, a function in several places, names of every bad kind, frames of 0.01 %.
STACKS = {
    "web;main;parse;malloc": 300,
    "web;main;parse;copy": 100,
    "web;main;serve;parse;malloc": 150,
    "web;main;serve;walk;walk;walk;malloc": 50,
    "web;main;serve;read;sys_read_[k]": 200,
    "web;main;serve": 25,
    "web;main;inner_[i]": 75,
    "db;start;query;walk;sys_read_[k]": 60,
    "db;start;query;]]>": 10,
    "db;start;query;<b>\"&'": 10,
    "db;start;query;פונקציה": 15,
    "db;start;query;operator<< (std::ostream&, int)": 5,
    "db;start;query;" + "N" * 10000: 10,
    **{f"db;start;tiny;{name}{i:03}": 1 for i in range(40) for name in ("grain", "dust")},
    **{"deep;" + ";".join(f"d{i}" for i in range(n)): 5 for n in (1000,)},
}
TOTAL = sum(STACKS.values())


def frames_of(stack):
    """The names that a picture shows, without the marks of folded stacks."""
    return [re.sub(r"_\[[ki]\]$", "", name) for name in stack.split(";")]


def text_of(stacks):
    return "".join(f"{stack} {count}\n" for stack, count in stacks.items())


def having(match, stacks=None):
    """The sum of all stacks with a frame for which match is true."""
    return sum(n for stack, n in (stacks or STACKS).items() if any(map(match, frames_of(stack))))


class Page(unittest.TestCase):
    """A browser with the picture of STACKS, and ways to look at it and to touch it."""

    @classmethod
    def setUpClass(cls):
        if not shutil.which("chromium"):
            raise unittest.SkipTest("chromium is not installed")
        cls.folder = tempfile.TemporaryDirectory(prefix="periscope-flame.")
        cls.url = cls.make("known", text_of(STACKS))
        cls.browser = Chromium(1200, 800)

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        cls.folder.cleanup()

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder.name, name)

    @classmethod
    def make(cls, name, text):
        with open(cls.path(name + ".folded"), "w", encoding="utf-8") as file:
            file.write(text)
        subprocess.run([BUILD + "/periscope", "flame", cls.path(name + ".folded"),
                        "-o", cls.path(name + ".svg")], check=True)
        return "file://" + cls.path(name + ".svg")

    def setUp(self):
        self.browser.errors.clear()
        self.browser.resize(1200, 800)
        self.browser.open(self.url)

    def tearDown(self):
        self.assertEqual(self.browser.errors, [])

    def js(self, expression):
        return self.browser.run(expression)

    def boxes(self, everything=False):
        """What is on the screen: [name, x, y, width, classes] of each element; or what is laid out."""
        if everything:
            return self.js("periscope.view.boxes.filter(b => b.node).map(b =>"
                           "[periscope.nameOf(b.node), b.x, b.y, b.width, b.panel.id])")
        return self.js(
            "[...document.querySelectorAll('.frame')].filter(e => e.style.display !== 'none' &&"
            "e.box.node).map(e => { const r = e.getBoundingClientRect(); return"
            "[periscope.nameOf(e.box.node), r.x, r.y, r.width, e.className] })")

    def box(self, name, nth=0):
        found = [b for b in self.boxes() if b[0] == name]
        self.assertGreater(len(found), nth, f"{name} is not drawn")
        return found[nth]

    def click(self, name, nth=0):
        box = self.box(name, nth)
        self.browser.click(box[1] + box[3] / 2, box[2] + 8)

    def press(self, *keys):
        for key in keys:
            self.browser.press(key)

    def choose(self, label, value):
        self.js(f"(s => {{ s.value = {value!r}; s.dispatchEvent(new Event('change')) }})"
                f"(document.querySelector('select[aria-label={label}]'))")

    def button(self, text):
        self.js(f"[...document.querySelectorAll('button')].find(b => b.textContent === {text!r})"
                ".click()")

    def widths(self, name, everything=True):
        """Shares of the whole width that all boxes of a name have, in samples."""
        boxes = self.boxes(everything)
        full = max(b[3] for b in boxes)
        return sorted(round(b[3] * TOTAL / full, 1) for b in boxes if b[0] == name)


class Flame(Page):
    # ------------------------------------------------------------ drawing ----

    def test_static_gives_way(self):
        self.assertEqual(self.js("getComputedStyle(document.getElementById('periscope-static'))"
                                 ".display"), "none")

    def test_widths(self):
        self.assertEqual(self.widths("all"), [TOTAL])
        self.assertEqual(self.widths("parse"), [150, 400])
        self.assertEqual(self.widths("malloc"), [50, 150, 300])
        self.assertEqual(self.widths("sys_read"), [60, 200])
        self.assertEqual(self.widths("main"), [900])

    def test_every_frame_in_its_parent(self):
        for box in self.js("periscope.view.boxes.filter(b => b.node && b.node.parent).map(b => { const"
                           " p = periscope.view.boxes.find(q => q.node === b.node.parent); return"
                           " [b.x, b.width, p.x, p.width, b.y - p.y] })"):
            self.assertGreaterEqual(box[0], box[2] - 0.01)
            self.assertLessEqual(box[0] + box[1], box[2] + box[3] + 0.01)
            self.assertEqual(box[4], 18)

    def test_names(self):
        names = {box[0] for box in self.boxes()}
        for name in ("]]>", "<b>\"&'", "פונקציה", "operator<< (std::ostream&, int)", "N" * 10000):
            self.assertIn(name, names)

    def test_only_what_is_in_sight(self):
        self.assertGreater(len(self.boxes(True)), 1000)  # the deep stack
        self.assertLess(self.js("document.querySelectorAll('.frame').length"), 300)
        self.js("periscope.view.scroller.scrollTop = 10000")
        self.browser.painted()
        self.assertIn("d555", {box[0] for box in self.boxes()})

    def test_narrow_frames_are_gaps(self):
        stacks = {"a;b;big": 10**6, **{f"a;b;x{i}": 1 for i in range(2000)}}
        self.browser.open(self.make("narrow", text_of(stacks)))
        self.assertEqual(self.js("periscope.view.boxes.filter(b => b.gap).map(b => [b.gap, b.total])"),
                         [[2000, 2000]])
        self.js("periscope.search('^x1')")
        expected = sum(n for s, n in stacks.items() if ";x1" in s)
        self.assertEqual(self.js("periscope.found.total"), expected)

    # ------------------------------------------------------------ zoom ----

    def test_zoom_by_click_and_back(self):
        before = self.box("serve")
        self.click("serve")
        after = self.box("serve")
        self.assertGreater(after[3], before[3] * 1.5)
        self.assertGreater(self.box("serve")[3], 1100)
        self.assertIn("above", self.box("main")[4])
        self.assertNotIn("copy", {b[0] for b in self.boxes()})
        self.press("Escape", "Escape", "Escape")
        self.assertAlmostEqual(self.box("serve")[3], before[3], delta=1)

    def test_reset(self):
        self.click("query")
        self.assertTrue(self.js("periscope.zoomed()"))
        self.button("Reset zoom")
        self.assertFalse(self.js("periscope.zoomed()"))
        self.click("query")
        self.press("0")
        self.assertFalse(self.js("periscope.zoomed()"))
        self.assertEqual(self.widths("parse"), [150, 400])

    def test_keyboard(self):
        self.js("periscope.view.frames.focus()")
        current = "periscope.nameOf(periscope.view.current.node)"
        self.assertEqual(self.js(current), "all")
        self.press("ArrowDown")
        self.assertEqual(self.js(current), "web")  # the widest
        self.press("ArrowLeft")
        self.assertEqual(self.js(current), "deep")
        self.press("ArrowRight", "ArrowDown", "ArrowDown", "Enter")
        self.assertEqual(self.js(current), "serve")
        self.assertGreater(self.box("serve")[3], 1100)
        self.press("ArrowUp")
        self.assertEqual(self.js(current), "main")
        self.press("f", "ArrowUp")  # flames go up: so does the child
        self.assertEqual(self.js(current), "serve")

    # ------------------------------------------------------------ search ----

    def test_search_share(self):
        for text, match in (("malloc", lambda n: "malloc" in n),
                            ("^walk$", lambda n: n == "walk"),
                            ("grain|dust", lambda n: "grain" in n or "dust" in n),
                            ("PARSE", lambda n: False),
                            ("d[0-9]", lambda n: re.search("d[0-9]", n)),
                            ("operator<<", lambda n: "operator<<" in n),
                            (".", lambda n: True)):
            self.js("periscope.query.value = ''")
            self.js("periscope.query.focus()")
            self.browser.call("Input.insertText", text=text)
            self.press("Enter")
            share = 100 * having(match) / TOTAL
            shown = self.js("document.querySelector('.matched').textContent")
            wanted = f"{share:.2f}%" if share < 100 else "100%"
            self.assertTrue(shown.startswith(wanted + " matched"), (text, shown, wanted))
            self.press("Escape")

    def test_search_marks_and_steps(self):
        self.press("/")
        self.browser.call("Input.insertText", text="malloc")
        self.press("Enter")
        self.assertEqual({b[0] for b in self.boxes() if " hit" in b[4]}, {"malloc"})
        current = "periscope.view.current.node.total"
        seen = [self.js(current)]
        self.js("periscope.view.frames.focus()")
        for key in "nnnN":
            self.press(key)
            seen.append(self.js(current))
        self.assertEqual(sorted(seen[:3]), [50, 150, 300])
        self.assertEqual(seen[3], seen[0])  # around
        self.assertEqual(seen[4], seen[2])

    def test_search_that_is_no_expression(self):
        self.js("periscope.search('(')")
        self.assertEqual(self.js("document.querySelector('.matched').textContent"),
                         "not a regular expression")
        self.assertEqual([b for b in self.boxes() if " hit" in b[4]], [])

    def test_search_within_a_thread(self):
        self.choose("Thread", 0)
        stacks = {s: n for s, n in STACKS.items() if s.startswith("db;")}
        self.js("periscope.search('walk')")
        share = 100 * having(lambda n: n == "walk", stacks) / sum(stacks.values())
        self.assertIn(f"{share:.2f}% matched",
                      self.js("document.querySelector('.matched').textContent"))

    # ------------------------------------------------------------ views ----

    def test_flame_and_icicle(self):
        self.assertLess(self.box("all")[2], self.box("web")[2])
        self.choose("Direction", "flame")
        self.assertGreater(self.box("all")[2], self.box("web")[2])
        self.press("f")
        self.assertLess(self.box("all")[2], self.box("web")[2])

    def test_order(self):
        self.assertLess(self.box("deep")[1], self.box("web")[1])
        self.choose("Order", "heavy")
        row = sorted((b for b in self.boxes() if b[0] in ("web", "db", "deep")), key=lambda b: b[1])
        self.assertEqual([b[0] for b in row], ["web", "db", "deep"])
        self.press("o")
        row = sorted((b for b in self.boxes() if b[0] in ("web", "db", "deep")), key=lambda b: b[1])
        self.assertEqual([b[0] for b in row], ["db", "deep", "web"])

    def test_callers(self):
        self.choose("View", "callers")
        kids = self.js("periscope.view.panels[0].tree.root.kids.map(k =>"
                       "[periscope.nameOf(k), k.total])")
        own = {}
        for stack, count in STACKS.items():
            own[frames_of(stack)[-1]] = own.get(frames_of(stack)[-1], 0) + count
        self.assertEqual(dict(kids), own)
        # Below malloc its callers, and theirs: walk is its own.
        self.click("malloc")
        self.assertEqual(self.js(
            "(function g(n) { return n.kids ? n.kids.map(k => periscope.nameOf(k) + ' ' + k.total) : []"
            "})(periscope.view.panels[0].zoom)"), ["parse 450", "walk 50"])

    def test_one_thread(self):
        self.choose("Thread", 2)
        self.assertEqual({b[0] for b in self.boxes()} & {"web", "db", "deep"}, {"web"})
        self.assertEqual(self.js("periscope.whole()"), 900)
        self.choose("View", "callers")
        self.assertEqual(self.js("periscope.view.panels[0].tree.root.total"), 900)

    def test_sandwich(self):
        self.js("periscope.set({view: 'down'})")
        self.js("periscope.view.select(periscope.view.boxes.find(b => b.node &&"
                "periscope.nameOf(b.node) === 'walk'))")
        self.button("Sandwich")
        up, down = self.js("periscope.view.panels.map(p => { const t = p.tree; return [t.root.total,"
                           "t.root.kids.map(k => [periscope.nameOf(k), k.total])] })")
        walk = having(lambda n: n == "walk")
        self.assertEqual(up, [walk, [["query", 60], ["serve", 50]]])
        self.assertEqual(down, [walk, [["sys_read", 60], ["walk", 50]]])
        rows = {p: [b[2] for b in self.boxes(True) if b[4] == p and b[0] == "walk"] for p in "ub"}
        callers = [b[2] for b in self.boxes(True) if b[4] == "u" and b[0] in ("query", "serve")]
        self.assertTrue(all(y < rows["u"][0] for y in callers))
        self.assertLess(rows["u"][0], min(rows["b"]))

    # ------------------------------------------------------------ facts ----

    def test_tooltip(self):
        box = self.box("parse", 0)
        self.browser.move(box[1] + 5, box[2] + 8)
        text = self.js("document.querySelector('.tip').innerText").replace("\n", " ")
        count = 400 if box[3] > self.box("parse", 1)[3] else 150
        self.assertIn("parse", text)
        self.assertIn(f"total {count}, {100 * count / TOTAL:.2f}% of all", text)
        self.assertIn(f"{100 * count / (900 if count == 400 else 425):.2f}% of its parent", text)
        self.assertIn("self 0", text)
        self.browser.move(600, 5)
        self.assertTrue(self.js("document.querySelector('.tip').hasAttribute('hidden')"))

    def test_legend_and_colours(self):
        legend = self.js("[...document.querySelectorAll('.legend span')].map(e => e.textContent)")
        self.assertEqual(sorted(legend),
                         ["inlined", "kernel", "program", "thread, or not code"])
        for name, letter in (("sys_read", "k"), ("main", "p"), ("inner", "i"), ("web", "n")):
            self.assertRegex(self.box(name)[4], rf"frame {letter}\d")
        self.assertIn("inner (inlined)", self.js(
            "(periscope.describe(periscope.view.boxes.find(b => b.node && periscope.nameOf(b.node) ==="
            "'inner'), true), document.querySelector('.line').textContent)"))

    def test_light_and_dark(self):
        colours = []
        for dark in (False, True):
            self.browser.dark(dark)
            colours.append(self.js(
                "[getComputedStyle(document.querySelector('.app')).backgroundColor,"
                "getComputedStyle(document.querySelector('.frame')).backgroundColor]"))
        self.browser.dark(False)
        self.assertEqual(colours[0][0], "rgb(255, 255, 255)")
        self.assertNotEqual(colours[0][0], colours[1][0])
        self.assertNotEqual(colours[0][1], colours[1][1])

    def test_aria(self):
        self.js("periscope.view.frames.focus()")
        self.press("ArrowDown")
        label = self.js("document.getElementById(document.activeElement.getAttribute("
                        "'aria-activedescendant')).getAttribute('aria-label')")
        self.assertEqual(label, f"web, {100 * 900 / TOTAL:.2f}%")
        self.assertEqual(self.js("document.activeElement.getAttribute('role')"), "tree")
        self.assertEqual(self.js("[...document.querySelectorAll('input,select,button')].filter(e =>"
                                 "!e.getAttribute('aria-label') && !e.textContent).length"), 0)
        nodes = self.browser.call("Accessibility.getFullAXTree")["nodes"]
        roles = {n["role"]["value"] for n in nodes if not n["ignored"]}
        self.assertLessEqual({"tree", "treeitem", "searchbox", "combobox", "button"}, roles)

    def test_focus_ring(self):
        self.js("periscope.view.frames.focus()")
        self.press("ArrowDown")
        self.assertEqual(self.js("getComputedStyle(document.querySelector('.here')).outlineStyle"),
                         "solid")

    # ------------------------------------------------------------ state ----

    def test_address_leads_back(self):
        self.choose("Order", "heavy")
        self.choose("Direction", "flame")
        self.choose("Thread", 2)
        self.click("serve")
        self.js("periscope.search('mall|^read$')")
        self.js("periscope.saveState(false)")
        state = "[location.hash, JSON.stringify(periscope.state), periscope.nameOf(periscope.view" \
                ".panels[0].zoom), periscope.found.total]"
        before = self.js(state)
        self.assertIn("q=" + quote("mall|^read$", safe=""), before[0])
        self.browser.open(self.url + before[0])
        self.assertEqual(self.js(state), before)
        self.assertEqual(before[2], "serve")

    def test_back_button(self):
        self.click("serve")
        self.js("new Promise(done => { addEventListener('popstate', done, {once: true});"
                "history.back() })")
        self.assertFalse(self.js("periscope.zoomed()"))

    def test_address_of_nonsense(self):
        for fragment in ("#zd=zzz.1&t=99&v=sandwich&f=zzzzzz&q=(((&d=x&o=&n=7", "#%", "#zd=....."):
            self.browser.open(self.url + fragment)
            self.assertIn("main", {b[0] for b in self.boxes()})

    def test_copy(self):
        self.button("Copy folded")
        want = sorted(text_of(STACKS).replace("inner_[i]", "inner").splitlines())
        self.assertEqual(sorted(self.js("periscope.copied").splitlines()), want)
        self.click("query")
        self.press("y")
        self.assertEqual(sorted(self.js("periscope.copied").splitlines()),
                         [line for line in want if line.startswith("db;start;query")])
        self.choose("View", "callers")
        self.click("malloc")
        self.press("y")
        self.assertEqual(sorted(self.js("periscope.copied").splitlines()),
                         [line for line in want if ";malloc " in line])
        self.button("Copy link")
        self.assertEqual(self.js("periscope.copied"), self.js("location.href"))

    def test_help(self):
        self.js("periscope.view.frames.focus()")
        self.press("?")
        self.assertIn("sandwich", self.js("document.querySelector('[role=dialog]').innerText"))
        self.press("Escape")
        self.assertTrue(self.js("document.querySelector('[role=dialog]').hasAttribute('hidden')"))

    def test_window_of_another_size(self):
        self.browser.resize(500, 400)
        self.browser.painted()
        self.assertEqual(self.widths("parse"), [150, 400])
        self.assertLessEqual(self.js("document.querySelector('.app').scrollWidth"), 500)


class Other(Page):
    """Files of other kinds."""

    def setUp(self):
        self.browser.errors.clear()

    def test_no_samples(self):
        self.browser.open(self.make("empty", "a;b 0\n"))
        self.assertIn("No samples.", self.js("document.querySelector('.app').innerText"))

    def test_one_sample(self):
        self.browser.open(self.make("one", "a;b 1\n"))
        self.assertEqual([b[0] for b in self.boxes()], ["all", "a", "b"])

    def test_names_that_are_no_text(self):
        with open(self.path("bytes.folded"), "wb") as file:
            file.write(b"a;\xff\xfe bad 1\na;esc\x1b[31m 1\na;cut\xe2\x82 1\n"
                       b"a;\xe2\x80\xaeoverride 1\na;\xef\xbf\xbe 1\n")
        subprocess.run([BUILD + "/periscope", "flame", self.path("bytes.folded"), "-o",
                        self.path("bytes.svg")], check=True)
        self.browser.open("file://" + self.path("bytes.svg"))
        names = {b[0] for b in self.boxes()} - {"all", "a"}
        self.assertEqual(names, {"\ufffd\ufffd bad", "esc\ufffd[31m", "cut\ufffd\ufffd",
                                 "\ufffdoverride", "\ufffd"})

    def test_huge_counts(self):
        self.browser.open(self.make("huge", f"a;b {2**60}\na;c {2**60}\n"))
        self.assertEqual(self.js("periscope.m.t.total[0]"), 2**61)
        self.assertIn("1,152,921,504,606,846,976", self.js(
            "(periscope.describe(periscope.view.boxes.find(b => periscope.nameOf(b.node) === 'b'), 1),"
            "document.querySelector('.line').textContent)"))

    def test_threads_of_one_name(self):
        """perf script tells threads' numbers: together they are one box, and each can be chosen."""
        events = (("pool", 11, "work", 5), ("pool", 12, "work", 3), ("pool", 12, "rest", 2),
                  ("main", 10, "work", 1))
        with open(self.path("threads.txt"), "w", encoding="ascii") as file:
            for comm, tid, name, count in events:
                event = f"{comm} 10/{tid} [000] 1.000000: cycles:\n\t7f0000001234 {name}+0x4 (/x)\n\n"
                file.write(event * count)
        subprocess.run([BUILD + "/periscope", "flame", self.path("threads.txt"), "-o",
                        self.path("threads.svg")], check=True)
        self.browser.open("file://" + self.path("threads.svg"))
        totals = "periscope.view.boxes.map(b => periscope.nameOf(b.node) + ' ' + b.node.total)"
        self.assertEqual(self.js(totals), ["all 11", "main 1", "work 1", "pool 10", "rest 2", "work 8"])
        options = self.js("[...document.querySelector('select[aria-label=Thread]').options]"
                          ".map(o => o.textContent.replace(/  .*/, ''))")
        self.assertEqual(options, ["All threads", "main 10", "pool 11", "pool 12"])
        self.choose("Thread", 2)
        self.assertEqual(self.js(totals), ["all 5", "pool 5", "rest 2", "work 3"])

    def test_without_script(self):
        """As an image, where scripts do not run: the picture is drawn, in its colours."""
        url = self.make("still", text_of({"a;left": 1, "a;right_[k]": 1}))
        with open(self.path("page.html"), "w", encoding="ascii") as file:
            file.write(f'<body style="margin:0"><img src="{url}">')
        self.browser.open("file://" + self.path("page.html"))
        width, height = self.js("[document.images[0].naturalWidth, document.images[0].naturalHeight]")
        self.assertEqual(width, 1200)
        self.assertGreater(height, 100)
        self.browser.screenshot(self.path("still.png"))
        # A page may not read the pixels of a file:// image: it gets the same picture as data.
        self.browser.open("about:blank")
        with open(self.path("still.png"), "rb") as file:
            data = base64.b64encode(file.read()).decode()
        colours = self.js("(async () => { const i = new Image(); i.src = 'data:image/png;base64," + data +
                          "'; await i.decode(); const c = document.createElement('canvas');"
                          "c.width = i.width; c.height = i.height; const g = c.getContext('2d');"
                          "g.drawImage(i, 0, 0); const d = g.getImageData(0, 0, i.width, i.height).data;"
                          "const n = {}; for (let k = 0; k < d.length; k += 4) {"
                          "const key = [d[k], d[k + 1], d[k + 2]].join(); n[key] = (n[key] || 0) + 1 }"
                          "return Object.values(n).filter(x => x > 5000).length })()")
        self.assertGreaterEqual(colours, 4)  # white, notes, program, kernel

    def test_difference(self):
        before = {"p;main;same": 100, "p;main;grew": 50, "p;main;shrank;x": 100, "p;gone;y": 50}
        after = {"p;main;same": 200, "p;main;grew": 300, "p;main;shrank;x": 50, "p;main;new": 50}
        for name, stacks in (("before", before), ("after", after)):
            self.make(name, text_of(stacks))
        for mode in ("--absolute", None):
            subprocess.run([BUILD + "/periscope", "diff", self.path("before.folded"),
                            self.path("after.folded"), "-o", self.path("diff.svg")] +
                           ([mode] if mode else []), check=True)
            self.browser.open("file://" + self.path("diff.svg"))
            nodes = dict((n, (t, b)) for n, t, b in self.js(
                "periscope.view.boxes.filter(b => b.panel.id === 'd').map(b =>"
                "[periscope.nameOf(b.node), b.node.total, b.node.total2])"))
            self.assertEqual(nodes["all"], (600, 300))
            self.assertEqual(nodes["grew"], (300, 50))
            self.assertEqual(nodes["shrank"], (50, 100))
            self.assertEqual(nodes["new"], (50, 0))
            self.assertNotIn("gone", nodes)
            lost = {b[0]: b[3] for b in self.boxes(True) if b[4] == "v"}
            self.assertEqual(set(lost), {"all", "p", "gone", "y"})
            step = {name: int(self.box(name)[4].split()[1][1:])
                    for name in ("same", "grew", "shrank", "new")}
            # Twice as much of everything: as much as before, if both sums count as one.
            self.assertEqual(step["same"] > 4, mode is not None)
            self.assertEqual(step["same"] == 4, mode is None)
            self.assertGreater(step["grew"], 4)
            self.assertLess(step["shrank"], 4)
            self.assertEqual(step["new"], 8)
        self.choose("Comparison", "absolute")
        self.assertGreater(int(self.box("same")[4].split()[1][1:]), 4)
        self.browser.open("file://" + self.path("diff.svg") + self.js("location.hash"))
        self.assertFalse(self.js("periscope.state.normalized"))


if __name__ == "__main__":
    if len(sys.argv) > 1 and os.path.isdir(sys.argv[1]):
        BUILD = os.path.abspath(sys.argv.pop(1))
    unittest.main()
