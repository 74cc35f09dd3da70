# SPDX-License-Identifier: MIT
"""Stacks against gdb's, of the same stopped process: another unwinder, another reader of symbols."""

import os
import re
import signal
import subprocess

from harness import LiveTest, cases, is_alive, periscope, read_stat, start, wait_until

# Cases whose steady state has few distinct stacks, so that gdb's must be among those sampled.
COMPARED = [
    ("recursion", "plain"),
    ("recursion", "deep"),
    ("qsort_callback", "plain"),
    ("signal_handler", "plain"),
    ("signal_handler", "altstack"),
    ("signal_handler", "raise"),
    ("alloca_big", "alloca_70k"),
    ("alloca_big", "alloca_1m"),
    ("alloca_big", "array_1m"),
    ("tail_calls", "plain"),
    ("threads_first_last", "first"),
    ("threads_first_last", "last"),
    ("threads_first_last", "cleanup"),
    ("drap", "alloca"),
    ("drap", "nested"),
    ("dlopen_mid", "loaded"),
    ("static_bin", "plain"),
    ("vfork_child", "child"),
    ("many_threads", "plain"),
]

# Prints, for each thread, the names of its frames from the innermost on; one that is not on the
# stack is marked: ~ inlined, ^ left by a jump to the next, which gdb has worked out.
SCRIPT = """
for thread in gdb.selected_inferior().threads():
    thread.switch()
    frame, names = gdb.newest_frame(), []
    while frame is not None and frame.is_valid():
        kind = frame.type()
        name = '<signal>' if kind == gdb.SIGTRAMP_FRAME else frame.name() or '?'
        mark = {gdb.INLINE_FRAME: '~', gdb.TAILCALL_FRAME: '^'}.get(kind, '')
        names.append(mark + name)
        frame = frame.older()
    print('STACK ' + ';'.join(names))
"""


def gdb_stacks(pid, script_path):
    """The stacks of all threads, outermost first, once with inlined frames and once without."""
    with open(script_path, "w", encoding="ascii") as script:
        script.write(SCRIPT)
    gdb = subprocess.run(
        ["gdb", "-nx", "-batch", "-iex", "set debuginfod enabled off", "-iex",
         "set auto-load off", "-ex", "set backtrace past-main on", "-p", str(pid),
         "-x", script_path],
        capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    found = []
    for line in gdb.stdout.splitlines():
        if line.startswith("STACK "):
            names = line[6:].split(";")[::-1]
            names = [name for name in names if name[0] != "^"]
            whole = tuple(normal(name.lstrip("~")) for name in names)
            physical = tuple(normal(name) for name in names if name[0] != "~")
            found.append((whole, physical))
    if not found:
        raise AssertionError(f"gdb printed no stack:\n{gdb.stdout}\n{gdb.stderr}")
    return found


def normal(name):
    """One of libc's many names for one function: __GI___qsort_r, qsort_r; write, __write."""
    if name in ("<signal>", "__restore_rt"):
        return "<signal>"
    name = re.sub(r"_impl$", "", name)
    name = re.sub(r"\.(part|constprop|isra|cold)\.[0-9]+$", "", name)
    name = re.sub(r"(\.[0-9]+|@.*)$", "", name)
    return re.sub(r"^_*(GI_+|libc_(?!start))?_*", "", name)


class AgainstGdb(LiveTest):
    """Filled below with a test for each of COMPARED."""

    def check(self, case):
        script = os.path.join(self.temp_dir(), "stacks.py")
        with start(case) as workload:
            pid = workload.told_pid() if case.name == "child" else workload.pid
            result = periscope("cpu", "-p", pid, "-F", 499, "-f", "-U", 1)
            self.assert_whole(result)
            ours = {tuple(map(normal, user)) for user in result.user_stacks()}
            compared = 0
            for _ in range(2):
                os.kill(pid, signal.SIGSTOP)
                wait_until(lambda: read_stat(pid)[0] in "Tt", what="the workload to stop")
                for whole, physical in gdb_stacks(pid, script):
                    if self.is_idle(whole):
                        continue
                    compared += 1
                    self.assertTrue(
                        whole in ours or physical in ours,
                        f"gdb: {';'.join(whole)}\nperiscope:\n"
                        + "\n".join(";".join(user) for user in ours),
                    )
                os.kill(pid, signal.SIGCONT)
            self.assertGreater(compared, 0)
            self.assertTrue(is_alive(pid))

    @staticmethod
    def is_idle(names):
        """Threads that only wait have no samples to compare with."""
        return any(re.search("futex|pause|join|nanosleep", name) for name in names)


for _workload, _case in COMPARED:
    setattr(
        AgainstGdb,
        f"test_{_workload}_{_case}",
        lambda self, case=cases(_workload)[_case]: self.check(case),
    )
