#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the tests of coworkingd: python3 tests/server/run.py BUILD_DIR [WORD ...]

Words choose tests whose name holds one of them; without words each file of tests is a process, a few
at a time, since they wait more than they work. Those that listen to probes need root and bpftrace;
without root they are skipped, as root nothing is. (Only what makes no sense in a sanitized build is
skipped there.) The last line is "server: N passed, N failed".
"""

import concurrent.futures
import glob
import os
import re
import subprocess
import sys
import unittest

AT_ONCE = 3
HERE = os.path.dirname(os.path.abspath(__file__))


def flatten(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flatten(item)
        else:
            yield item


def name_of(test):
    """Of a test, of a subtest that test, of what a class does before its tests that class."""
    return getattr(test, "test_case", test).id()


def all_files(build):
    """Every file of tests, each in a process; what it printed follows when it has ended."""
    passed = failed = 0

    def run(path):
        word = os.path.basename(path)[:-len("py")]  # with the dot: no other's name begins so
        return subprocess.run([sys.executable, __file__, build, word], text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        paths = sorted(glob.glob(os.path.join(HERE, "test_*.py")))
        for done in concurrent.futures.as_completed([pool.submit(run, path) for path in paths]):
            told = re.search(r"^server: (\d+) passed, (\d+) failed\n\Z", done.result().stdout, re.M)
            print(done.result().stdout[:told and told.start()], end="", flush=True)
            passed += int(told[1]) if told else 0
            failed += int(told[2]) if told else 1
            if told and done.result().returncode and told[2] == "0":
                failed += 1
    print("server: %d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0


def main():
    if len(sys.argv) < 2 or not os.path.isdir(sys.argv[1]):
        sys.exit("usage: tests/server/run.py BUILD_DIR [WORD ...]")
    if len(sys.argv) == 2:
        return all_files(sys.argv[1])
    os.environ["BUILD_DIR"] = os.path.abspath(sys.argv[1])
    sys.dont_write_bytecode = True
    sys.path.insert(0, HERE)
    import harness  # pylint: disable=import-outside-toplevel

    words = sys.argv[2:]
    tests = [test for test in flatten(unittest.defaultTestLoader.discover(HERE))
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
