# SPDX-License-Identifier: MIT
"""The writer: writes that wait share a commit, fail alone, and are on the disk when answered."""

import collections
import os
import shutil
import sqlite3
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import GREEN, RED, Server, day  # noqa: E402
from tracer import Counter, usdt  # noqa: E402

WRITES = 101


@unittest.skipUnless(os.geteuid() == 0 and shutil.which("bpftrace"), "needs root and bpftrace")
class Writer(unittest.TestCase):
    SCRIPT = """
        {begin} {{ @synced[tid] = 0; }}
        tracepoint:syscalls:sys_enter_fdatasync /pid == {pid}/ {{ @synced[tid] = 1; }}
        {commit} {{ @commits[arg1, (int32)arg3] = count(); @durable[@synced[tid]] = count(); }}
    """

    def setUp(self):
        self.server = Server("--threads", "1")
        self.token = self.server.login()
        self.counter = Counter(self.server, self.SCRIPT.format(
            begin=usdt("db__txn__begin"), commit=usdt("db__txn__commit"),
            pid=self.server.process.pid), ("db__txn__begin", "db__txn__commit"))

    def maps(self):
        self.assertEqual(self.server.stop(), 0)
        maps = self.counter.stop()
        self.server.close()
        return maps

    def send(self, room, booked_on):
        body = b'{"room_id":"%s","booked_on":"%s"}' % (room.encode(), booked_on.encode())
        sock = self.server.connect()
        sock.sendall(b"POST /bookings HTTP/1.0\r\nAuthorization: Bearer %s\r\n"
                     b"Content-Length: %d\r\n\r\n%s" % (self.token.encode(), len(body), body))
        return sock

    def test_shared_commit(self):
        """While another process has the lock, writes pile up. Every third one must fail."""
        other = sqlite3.connect(self.server.db, timeout=20, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        socks = [self.send(RED if n % 3 else GREEN, day(n if n % 3 else 0)) for n in range(WRITES)]
        # the loop has passed them all on when it answers this
        self.assertEqual(self.server.request("GET", "/healthz").status, 200)
        other.execute("ROLLBACK")
        other.close()
        statuses = []
        for sock in socks:
            with sock, sock.makefile("rb") as file:
                statuses.append(int(file.read().split()[1]))
        # one of those for the same day has won
        self.assertEqual(collections.Counter(statuses[::3]), {201: 1, 409: len(socks[::3]) - 1})
        del statuses[::3]
        self.assertEqual(set(statuses), {201})
        with sqlite3.connect(self.server.db) as db:
            self.assertEqual(db.execute("SELECT count(*), count(DISTINCT booked_on) FROM bookings")
                             .fetchone(), (len(statuses) + 1, len(statuses) + 1))
        db.close()
        commits = self.maps()["commits"]
        self.assertEqual(sum(int(items) * n for (items, _), n in commits.items()), WRITES)
        self.assertEqual({result for _, result in commits}, {"0"})
        # what was on its way to the loop apart, one or two would do
        self.assertLess(sum(commits.values()), 20, commits)

    def test_on_the_disk(self):
        """A commit is over when the file has been synced; a crash of the machine takes nothing."""
        for n in range(20):
            self.assertEqual(self.server.book(self.token, day(n)).status, 201)
        self.assertEqual(self.maps()["durable"], {("1",): 20})


if __name__ == "__main__":
    unittest.main()
