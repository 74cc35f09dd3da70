#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the tests of coworkingd: python3 tests/server/run.py BUILD_DIR [WORD ...]

Words choose tests whose name holds one of them; without words each file of tests is a process, a few
at a time, since they wait more than they work. Those that listen to probes need root and bpftrace;
without root they are skipped, as root nothing is. (Only what makes no sense in a sanitized build is
skipped there.) The last line is "server: N passed, N failed".
"""

import os
import sys
import unittest

AT_ONCE = 3
HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(HERE))
import side_by_side  # noqa: E402


def name_of(test):
    """Of a test, of a subtest that test, of what a class does before its tests that class."""
    return getattr(test, "test_case", test).id()


def main():
    if len(sys.argv) < 2 or not os.path.isdir(sys.argv[1]):
        sys.exit("usage: tests/server/run.py BUILD_DIR [WORD ...]")
    if len(sys.argv) == 2:
        return side_by_side.run(__file__, sys.argv[1], AT_ONCE)
    os.environ["BUILD_DIR"] = os.path.abspath(sys.argv[1])
    sys.path.insert(0, HERE)
    import harness  # pylint: disable=import-outside-toplevel

    words = sys.argv[2:]
    tests = [test for test in side_by_side.flatten(unittest.defaultTestLoader.discover(HERE))
             if not words or any(word in test.id() for word in words)]
    result = unittest.TextTestRunner(verbosity=2).run(unittest.TestSuite(tests))
    bad = result.failures + result.errors
    if os.geteuid() == 0 and not harness.sanitized():
        for test, reason in result.skipped:
            print("%s was skipped: %s" % (name_of(test), reason))
        bad += result.skipped
    # a test with subtests may fail several times and is still one
    failed = len({name_of(test) for test, _ in bad})
    passed = max(result.testsRun - len(result.skipped) - failed, 0)
    print("server: %d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
