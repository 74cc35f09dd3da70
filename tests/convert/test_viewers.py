# SPDX-License-Identifier: MIT
"""Chrome's trace events as a viewer takes them: Catapult (chrome://tracing as it was), which Debian has
in Go's sources (golang-1.19-src), in a headless Chromium. No network but this machine's own.

python3 tests/convert/test_viewers.py BUILD_DIR
"""

import collections
import functools
import glob
import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(HERE, "..", "browser"))
from chromium import Chromium  # noqa: E402

BUILD = os.path.abspath("build")
STATIC = "/usr/share/go-*/src/cmd/trace/static"

PAGE = """<!DOCTYPE html><script src="webcomponents.min.js"></script>
<link rel="import" href="trace_viewer_full.html"><body></body>"""

# What the importer made of a file, and what it had to say about it.
IMPORT = """(async () => {
    const text = await (await fetch("t.json")).text();
    const model = new tr.Model();
    const options = new tr.importer.ImportOptions();
    options.shiftWorldToZero = false;
    await new tr.importer.Import(model, options).importTracesWithProgressDialog([text]);
    const found = { threads: {}, flows: model.flowEvents.length, counters: {}, asyncs: 0,
        warnings: model.importWarnings.map(w => w.type + ": " + w.message) };
    for (const process of model.getAllProcesses()) {
        for (const thread of Object.values(process.threads)) {
            const slices = thread.sliceGroup.slices, sums = {};
            for (const s of slices)
                if (s.category === "state") sums[s.title] = (sums[s.title] || 0) + s.duration;
            found.threads[process.pid + "/" + thread.tid] = { name: thread.name, sums,
                slices: slices.length };
            for (const s of thread.asyncSliceGroup.slices) found.asyncs++;
        }
        for (const c of Object.values(process.counters)) found.counters[c.name] = c.numSamples;
    }
    return JSON.stringify(found);
})()"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Catapult(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        (cls.static,) = glob.glob(STATIC)
        cls.folder = tempfile.mkdtemp(prefix="periscope-viewers.")
        for name in ("trace_viewer_full.html", "webcomponents.min.js"):
            shutil.copy(os.path.join(cls.static, name), cls.folder)
        with open(os.path.join(cls.folder, "index.html"), "w", encoding="ascii") as file:
            file.write(PAGE)
        handler = functools.partial(Quiet, directory=cls.folder)
        cls.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()

    @classmethod
    def tearDownClass(cls):
        cls.server.shutdown()
        cls.server.server_close()
        shutil.rmtree(cls.folder)

    def imported(self, *options):
        """What is known of a trace, the events of its file, and what Catapult made of these."""
        path = os.path.join(self.folder, "t.periscope")
        truth = json.loads(subprocess.run([BUILD + "/make_trace", "20000", path, *options],
                                          check=True, stdout=subprocess.PIPE).stdout)
        out = os.path.join(self.folder, "t.json")
        subprocess.run([BUILD + "/periscope", "convert", path, "-o", out], check=True)
        with open(out, encoding="utf-8") as file:
            events = json.load(file)["traceEvents"]
        with Chromium() as browser:
            browser.open(f"http://127.0.0.1:{self.server.server_address[1]}/index.html")
            browser.run("""new Promise(done => { const look = () =>
                window.tr && tr.importer && tr.importer.Import ? done() : setTimeout(look, 50);
                look(); })""")
            return truth, events, json.loads(browser.run(IMPORT))

    def test_nothing_to_warn_about(self):
        truth, events, found = self.imported()
        self.assertEqual(found["warnings"], [])
        for thread in truth["threads"]:
            mine = found["threads"][f"1000/{thread['tid']}"]
            self.assertEqual(mine["name"], thread["name"])
            for name, ms in mine["sums"].items():
                self.assertAlmostEqual(ms, thread["states"][name] / 1e6, places=5)
        kinds = collections.Counter(e["ph"] for e in events)
        self.assertEqual(sum(t["slices"] for t in found["threads"].values()), kinds["X"])
        self.assertEqual(found["flows"], kinds["f"])
        self.assertIn("resident memory", found["counters"])
        self.assertGreaterEqual(found["asyncs"], truth["requests"])

    def test_with_losses_too(self):
        _, events, found = self.imported("--lose", "997")
        self.assertEqual(found["warnings"], [])
        slices = sum(e["ph"] == "X" for e in events)
        self.assertEqual(sum(t["slices"] for t in found["threads"].values()), slices)


if __name__ == "__main__":
    if len(sys.argv) > 1 and os.path.isdir(sys.argv[1]):
        BUILD = os.path.abspath(sys.argv.pop(1))
    unittest.main()
