# SPDX-License-Identifier: MIT
"""Files of tests, each in a process of its own, a few at a time: most of them wait for most of
their time. And what such a process begins with."""

import concurrent.futures
import glob
import os
import re
import subprocess
import sys
import unittest


def flatten(suite):
    """The tests of a suite of suites."""
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flatten(item)
        else:
            yield item


def run(script, build, at_once):
    """Runs `script BUILD_DIR test_NAME.` for each file test_NAME.py beside the script, the largest
    first. What one printed comes when it has ended; its last line, "KIND: N passed, N failed", is
    left out, and their sums are the last line of all. A process that dies is a failure more.
    Returns the exit status."""
    here = os.path.dirname(os.path.abspath(script))
    kind = os.path.basename(here)
    passed = failed = 0

    def one(path):
        word = os.path.basename(path)[: -len("py")]  # with the dot: no other's name begins so
        return subprocess.run(
            [sys.executable, script, build, word],
            text=True,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        paths = glob.glob(os.path.join(here, "test_*.py"))
        paths.sort(key=os.path.getsize, reverse=True)
        for future in concurrent.futures.as_completed([pool.submit(one, path) for path in paths]):
            done = future.result()
            told = re.search(rf"^{kind}: (\d+) passed, (\d+) failed\n\Z", done.stdout, re.M)
            print(done.stdout[: told and told.start()], end="", flush=True)
            passed += int(told[1]) if told else 0
            failed += int(told[2]) if told else 1
            if told and done.returncode and told[2] == "0":
                failed += 1
    print(f"{kind}: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0
