# SPDX-License-Identifier: MIT
"""Processes and files of the benchmark: whatever is started here is stopped here, by its PID.

A Workbench is a context. It stops what was started in it, last first, and removes its temporary
directories, on success, failure and Ctrl-C alike. Should it be killed outright, the kernel sends
its children SIGTERM.
"""

import collections
import contextlib
import ctypes
import os
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)

Finished = collections.namedtuple("Finished", "status stdout stderr peak_kb seconds")


class CannotMeasure(Exception):
    """Something that a measurement needs is missing or failed; the text is for the user."""


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


class Workbench:
    def __init__(self):
        self._running = []  # (Popen, signal, whole process group)
        self._dirs = []

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        previous = [(n, signal.signal(n, signal.SIG_IGN)) for n in (signal.SIGINT, signal.SIGTERM)]
        for process, _, _ in self._running[::-1]:
            self.stop(process)
        for path in self._dirs:
            shutil.rmtree(path, ignore_errors=True)
        for number, handler in previous:
            signal.signal(number, handler)

    def directory(self, owner=None):
        """A fresh directory; others may pass through it, for servers that run as somebody else."""
        path = tempfile.mkdtemp(prefix="periscope-bench-")
        self._dirs.append(path)
        os.chmod(path, 0o755)
        if owner:
            shutil.chown(path, owner)
        return path

    def spawn(self, command, stop=signal.SIGTERM, group=False, cpus=None, **options):
        """Starts a process. `stop`: the signal that ends it; `group`: together with its children."""
        def prepare():
            _die_with_parent()
            if cpus is not None:
                os.sched_setaffinity(0, cpus)

        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.DEVNULL)
        options.setdefault("stderr", subprocess.DEVNULL)
        try:
            # Only this thread runs, and prepare() calls nothing that could be locked.
            # pylint: disable-next=subprocess-popen-preexec-fn
            process = subprocess.Popen(
                command, preexec_fn=prepare, start_new_session=group, **options
            )
        except OSError as error:
            raise CannotMeasure(f"cannot run {command[0]}: {error.strerror}") from error
        self._running.append((process, stop, group))
        return process

    def stop(self, process, seconds=20):
        """Ends a process that spawn() started, if it still runs, and waits for it."""
        entry = next(entry for entry in self._running if entry[0] is process)
        for number in (entry[1], signal.SIGKILL):
            # A process that was not waited for keeps its PID, and its group.
            if process.poll() is None:
                send = os.killpg if entry[2] else os.kill
                with contextlib.suppress(ProcessLookupError):
                    send(process.pid, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(seconds)
        self._running.remove(entry)
        return process.returncode

    def run(self, command, seconds=600, **options):
        """Runs a command to its end; returns what it said, how long it took, its peak memory."""
        out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        with out, err:
            began = time.monotonic()
            options = {"stdout": out, "stderr": err, **options}
            process = self.spawn(command, **options)
            peak = _watch(process, began + seconds)
            if process.poll() is None:
                self.stop(process)
                raise CannotMeasure(f"{command[0]} did not end within {seconds} s")
            took = time.monotonic() - began
            self.stop(process)
            out.seek(0)
            err.seek(0)
            return Finished(process.returncode, out.read(), err.read(), peak, took)


def _watch(process, deadline):
    """Waits for a process; returns its peak resident set in KB.

    ru_maxrss survives exec, so of a child that this interpreter has forked it is never less than
    the interpreter's own. Well above that it is exact; else what the kernel's high-water mark of
    the new program said when last looked at, some 5 ms before its end, must do.
    """
    peak = 0
    own = own_peak_kb() * 1.2
    while time.monotonic() < deadline:
        peak = max(peak, high_water(process.pid))
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return max(peak, usage.ru_maxrss) if usage.ru_maxrss > own else peak
        time.sleep(0.005)
    return peak


@contextlib.contextmanager
def placed():
    """Keeps this process, and what it starts, off the server's CPU; gives (server's, others)."""
    allowed = os.sched_getaffinity(0)
    if len(allowed) < 2:
        yield None, None
        return
    first = {min(allowed)}
    os.sched_setaffinity(0, allowed - first)
    try:
        yield first, allowed - first
    finally:
        os.sched_setaffinity(0, allowed)


def own_peak_kb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def high_water(pid):
    """VmHWM in KB; 0 of a process that has no memory any more."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0


def wait_for(condition, seconds, what, process=None):
    """Asks again every few milliseconds until the condition is true; returns what it said."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        if process and process.poll() is not None:
            break
        time.sleep(0.01)
    raise CannotMeasure(f"waited in vain for {what}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def family(pid):
    """The process and all that descend from it."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):
            for tid in os.listdir(f"/proc/{parent}/task"):
                with open(f"/proc/{parent}/task/{tid}/children", encoding="ascii") as children:
                    found += [int(word) for word in children.read().split()]
    return found


def cpu_ns(pid):
    """CPU time that all threads of a process have used, to the nanosecond and to this moment."""
    clock = ctypes.c_int()
    if _libc.clock_getcpuclockid(pid, ctypes.byref(clock)):
        raise CannotMeasure(f"process {pid} is gone")
    try:
        return time.clock_gettime_ns(clock.value)
    except OSError as error:
        raise CannotMeasure(f"process {pid} is gone") from error


def find_program(name):
    """Where a program is, also when it is one for administrators."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        raise CannotMeasure(f"{name} is not installed: scripts/setup bench installs it")
    return path
