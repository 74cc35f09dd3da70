#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the live tests: python3 tests/live/run.py BUILD_DIR [WORD ...]

As root, on the running kernel. Words choose tests whose name holds one of them; without words each
file of tests is a process, two at a time. A line a test, what failed at length at the end (of its
file), and a last line "live: N passed, N failed". No test is skipped: what a
test needs and this machine lacks is a failure.
"""

import os
import signal
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(HERE))
import side_by_side  # noqa: E402

TEST_SECONDS = 120
AT_ONCE = 2


class TestTimeout(Exception):
    pass


def on_alarm(*_):
    raise TestTimeout(f"the test took over {TEST_SECONDS} s")


class Results(unittest.TestResult):
    """Prints each test as it ends; a test with failing subtests counts once."""

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()
        self.bad = False
        signal.alarm(TEST_SECONDS)

    def stopTest(self, test):
        signal.alarm(0)
        super().stopTest(test)
        self.passed = getattr(self, "passed", 0) + (not self.bad)
        self.failed = getattr(self, "failed", 0) + self.bad
        verdict = "FAIL" if self.bad else "ok  "
        seconds = time.monotonic() - self.began
        print(f"  {verdict} {test.id()} ({seconds:.1f} s)", flush=True)

    def _note(self, store, test, err):
        store.append((test, self._exc_info_to_string(err, test)))
        self.bad = True

    def addFailure(self, test, err):
        self._note(self.failures, test, err)

    def addError(self, test, err):
        self._note(self.errors, test, err)

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self._note(self.failures, subtest, err)

    def addSkip(self, test, reason):
        self.failures.append((test, f"skipped: {reason}\n"))
        self.bad = True


def report(results):
    """Says what failed and how many; the exit status."""
    for test, trace in results.failures + results.errors:
        print(f"\n---- {test.id()}\n{trace}")
    passed, failed = getattr(results, "passed", 0), getattr(results, "failed", 0)
    print(f"live: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def main():
    if len(sys.argv) < 2 or not os.path.isdir(sys.argv[1]):
        print("usage: tests/live/run.py BUILD_DIR [WORD ...]", file=sys.stderr)
        return 2
    if os.geteuid() != 0:
        print("live tests: need root", file=sys.stderr)
        return 1
    if len(sys.argv) == 2:
        return side_by_side.run(__file__, sys.argv[1], AT_ONCE)
    os.environ["PERISCOPE_BUILD"] = sys.argv[1]
    sys.path.insert(0, HERE)
    signal.signal(signal.SIGALRM, on_alarm)

    tests = list(side_by_side.flatten(unittest.TestLoader().discover(HERE, "test_*.py", HERE)))
    words = sys.argv[2:]
    if words:
        tests = [test for test in tests if any(word in test.id() for word in words)]
    results = Results()
    for test in tests:
        test.run(results)
    return report(results)


if __name__ == "__main__":
    sys.exit(main())
