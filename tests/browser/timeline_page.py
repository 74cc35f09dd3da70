# SPDX-License-Identifier: MIT
"""What tests of the page that reads a timeline share: the page of a server that never was
(tests/synthetic), open in a browser, and ways to look at it and to touch it.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

import firefox
from chromium import Chromium

BUILD = os.path.abspath("build")
BROWSER, PROGRAM = Chromium, shutil.which("chromium")


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
        if not PROGRAM:
            raise unittest.SkipTest("there is no such browser here")
        cls.folder = tempfile.TemporaryDirectory(prefix="periscope-timeline.")
        cls.trace, cls.file, cls.known = make(cls.folder.name, "known", cls.events, cls.lose,
                                              hostile=cls.hostile)
        cls.browser = BROWSER(1280, 800)

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

    def report(self):
        """The tables of the text report, by their keys."""
        command = [f"{BUILD}/periscope", "convert", self.trace, "--format", "tables"]
        report = json.loads(subprocess.run(command, check=True, capture_output=True,
                                           timeout=60).stdout)
        return {table["key"]: table["rows"] for section in report["sections"].values()
                for table in section["tables"]}

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

    def drag(self, *arguments, **more):
        self.browser.drag(*arguments, **more)
        self.browser.painted()


def main():
    """Arguments: [BUILD_DIR [firefox]], then those of unittest."""
    global BUILD, BROWSER, PROGRAM  # pylint: disable=global-statement
    if len(sys.argv) > 1:
        BUILD = os.path.abspath(sys.argv.pop(1))
    if sys.argv[1:2] == ["firefox"]:
        BROWSER, PROGRAM = firefox.Firefox, firefox.find()
        del sys.argv[1]
    unittest.main()
