# SPDX-License-Identifier: MIT
"""What tests of the flight recorder share: one that runs, and its dumps."""

import glob
import os
import re
import time

import tracefile

from harness import LiveTest, Tool, is_alive, periscope, wait_until


class FlightTest(LiveTest):
    def fly(self, pid, *options, limits="16MB,20s", folder=None):
        """A recorder of the process, ready; its .folder is where dumps go."""
        folder = folder or self.temp_dir()
        tool = Tool(
            "timeline", "-p", pid, "--flight", limits, "-o", folder, "-v", *options
        )
        self.addCleanup(tool.stop)
        tool.folder = folder
        tool.wait_capturing()
        self.assertTrue(is_alive(tool.pid), "the recorder did not start")
        return tool

    def dumps(self, tool):
        return sorted(glob.glob(os.path.join(tool.folder, "*.periscope")), key=os.path.getmtime)

    def wait_for_dumps(self, tool, number):
        """Until the recorder says that it has written so many, and a cool-down of 1 ms is over."""

        def said():
            with open(f"/proc/self/fd/{tool.files[1].fileno()}", encoding="utf-8") as file:
                return len(self.dumps_said(file.read())) >= number

        wait_until(said, 20, f"{number} dumps")
        time.sleep(0.02)
        return self.dumps(tool)

    def convert(self, path, ending):
        out = path + ending
        self.assert_ok(periscope("convert", path, "-o", out))
        return out

    def trace(self, path):
        """A dump, read by tracefile.py, and its triggers."""
        trace = tracefile.Trace(path)
        self.assertTrue(trace.header.end, f"{path} is not complete")
        return trace, [e for e in trace.events if e.kind == "trigger"]

    def names(self, trace):
        """Names of threads by TID."""
        return {e.tid: e.fields["name"] for e in trace.events if e.kind in ("thread", "name")}

    @staticmethod
    def dumps_said(text):
        return re.findall(r"^(.+?): /.*\.periscope \(", text, re.MULTILINE)

    def causes(self, result):
        """What the recorder said it dumped for, in order."""
        return self.dumps_said(result.err)
