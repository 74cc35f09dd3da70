#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What tests/vm/run runs in a guest: python3 tests/vm/guest.py BUILD_DIR [WORD ...]

The tests of test_older.py; words choose those whose name holds one of them. Last line
"live: N passed, N failed", as of the live tests.
"""

import os
import signal
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    sys.dont_write_bytecode = True
    tests = os.path.dirname(HERE)
    sys.path[:0] = [HERE, tests, os.path.join(tests, "live")]
    os.environ["PERISCOPE_BUILD"] = os.path.abspath(sys.argv[1])
    import run
    import side_by_side
    import test_older

    run.TEST_SECONDS = 600
    signal.signal(signal.SIGALRM, run.on_alarm)
    # Looking symbols up takes long here. A sample in the midst of it has a stack that no workload
    # tells, cut short above the resolver, which keeps its CFA in a register that others save.
    os.environ["LD_BIND_NOW"] = "1"
    # The kernel lowers the highest rate when samples take long: they do here.
    with open("/proc/sys/kernel/perf_cpu_time_max_percent", "w", encoding="ascii") as file:
        file.write("0")
    results = run.Results()
    for cls in test_older.CLASSES:
        for test in side_by_side.flatten(unittest.TestLoader().loadTestsFromTestCase(cls)):
            if not sys.argv[2:] or any(word in test.id() for word in sys.argv[2:]):
                test.run(results)
    return run.report(results)


if __name__ == "__main__":
    sys.exit(main())
