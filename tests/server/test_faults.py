# SPDX-License-Identifier: MIT
"""The faults that coworkingd can be given: each is there, is seen, and changes no answer."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import (DEMO_ID, GREEN, RED, SANITIZER_FAILED, Server, binary, day,  # noqa: E402
                     sanitized)
from tracer import Counter, usdt  # noqa: E402

FAULTS = ("all-bookings", "email-lookup", "jwt-split", "blocking-writes", "json-lock", "leak",
          "growing-cache")
PERISCOPE = os.path.join(os.path.dirname(binary()), "periscope")


def pipelined(server, request, seconds=None, count=None, status=b"200 OK"):
    """Sends the same request over and over on one connection; how many were answered."""
    done, deadline = 0, time.monotonic() + (seconds or 60)
    with server.connect() as sock:
        while time.monotonic() < deadline and (count is None or done < count):
            sock.sendall(request * 50)
            reply = b""
            while reply.count(b"HTTP/1.1 " + status) < 50:
                part = sock.recv(1 << 20)
                assert part, reply[-300:]
                reply += part
            done += 50
    return done


class Faults(unittest.TestCase):
    def leak_status(self, fault):
        """How a server ends that leaks on purpose: LeakSanitizer finds it, if it is there."""
        return SANITIZER_FAILED if sanitized() == "address" and fault == "leak" else 0

    def test_answers_stay_the_same(self):
        for fault in FAULTS:
            with self.subTest(fault=fault):
                server = Server("--demo-fault", fault)
                self.assertIn("with the demo fault %s\n" % fault, server.stderr())
                token = server.login()
                answer = server.book(token, day(1))
                self.assertEqual(answer.status, 201)
                self.assertEqual(server.book(token, day(1)).status, 409)
                rooms = server.request("GET", "/rooms?day_to_book=" + day(1)).json
                self.assertEqual([r["is_available"] for r in rooms], [False, True, True])
                self.assertEqual(len(server.all_bookings(token)), 1)
                self.assertEqual(server.request("GET", "/bookings", token=token + "x").status, 401)
                self.assertEqual(server.request("DELETE", "/bookings/" + answer.json["id"],
                                                token=token).status, 204)
                self.assertEqual(server.close(), self.leak_status(fault))

    def test_all_at_once_and_none(self):
        server = Server("--demo-fault", ",".join(FAULTS))
        self.assertEqual(server.book(server.login(), day(1)).status, 201)
        self.assertEqual(server.close(), self.leak_status("leak"))
        # as with every setting, a later word replaces an earlier one
        for args, environment in (([], {"COWORKING_DEMO_FAULT": ""}),
                                  (["--demo-fault", ""], {"COWORKING_DEMO_FAULT": "leak"})):
            server = Server(*args, environment=environment)
            self.assertNotIn("fault", server.stderr())
            self.assertEqual(server.close(), 0)
        for text in ("x", "leak,", ",leak", "leak,x", "Leak"):
            result = subprocess.run([binary(), "--demo-fault", text], capture_output=True,
                                    text=True, timeout=20)
            self.assertEqual(result.returncode, 2, text)

    def test_help_names_all(self):
        text = subprocess.run([binary(), "--help"], capture_output=True, text=True,
                              check=True).stdout
        for fault in FAULTS:
            self.assertIn(fault, text)

    def rss_growth(self, *args):
        """Bytes of memory of its own for each of 20,000 requests, after as many others."""
        server = Server("--threads", "1", *args)
        request = b"GET /rooms HTTP/1.1\r\nHost: x\r\n\r\n"

        def rss():
            with open("/proc/%d/status" % server.process.pid, encoding="ascii") as file:
                return 1024 * int(re.search(r"RssAnon:\s+(\d+)", file.read()).group(1))

        pipelined(server, request, count=2000)
        before = rss()
        done = pipelined(server, request, count=20000)
        growth = (rss() - before) / done
        self.assertEqual(server.close(), 0)
        return growth

    def test_memory(self):
        if sanitized():
            self.skipTest("a sanitizer's allocator keeps what is freed")
        self.assertLess(self.rss_growth(), 30)
        self.assertTrue(256 <= self.rss_growth("--demo-fault", "leak") < 400)
        self.assertGreater(self.rss_growth("--demo-fault", "growing-cache"), 600)

    def test_blocking_writes(self):
        """While another process has the lock, a write holds up every read of its loop."""
        for args, blocked in (((), False), (("--demo-fault", "blocking-writes"), True)):
            server = Server("--threads", "1", *args)
            token = server.login()
            other = sqlite3.connect(server.db, timeout=20, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            writer = threading.Thread(target=server.book, args=(token, day(1)))
            writer.start()
            time.sleep(0.2)
            timer = threading.Timer(0.8, other.interrupt)
            timer.start()
            reader = threading.Thread(target=server.request, args=("GET", "/rooms"))
            begin = time.monotonic()
            reader.start()
            reader.join(0.6)
            self.assertEqual(reader.is_alive(), blocked)
            timer.join()
            other.execute("ROLLBACK")
            other.close()
            reader.join()
            writer.join()
            self.assertLess(time.monotonic() - begin, 10)
            self.assertEqual(server.close(), 0)


@unittest.skipUnless(os.geteuid() == 0 and shutil.which("bpftrace"), "needs root and bpftrace")
class JsonLock(unittest.TestCase):
    SCRIPT = """
        uprobe:{0}:fault_json_lock {{ @locking[tid] = 1; @calls = count(); }}
        uretprobe:{0}:fault_json_lock {{ delete(@locking[tid]); }}
        tracepoint:syscalls:sys_enter_futex /pid == {1} && @locking[tid]/ {{ @waits[comm] = count(); }}
        {2} {{ @dumps = count(); }}
    """

    def test_loops_wait_for_each_other(self):
        """Each answer holds the lock for a millisecond: two loops that are busy all the time meet."""
        server = Server("--threads", "2", "--demo-fault", "json-lock")
        token = server.login()
        connection = server.connection()
        for n in range(1000):
            server.book(token, day(n), connection=connection)
        connection.close()
        counter = Counter(server, self.SCRIPT.format(binary(), server.process.pid,
                                                     usdt("json__dump__done")),
                          ["json__dump__done"])

        def client():
            mine = server.connection()
            for _ in range(50):
                server.request("GET", "/bookings?limit=1000", token=token, connection=mine)
            mine.close()

        clients = [threading.Thread(target=client) for _ in range(8)]
        for one in clients:
            one.start()
        for one in clients:
            one.join()
        self.assertEqual(server.stop(), 0)
        maps = counter.stop()
        server.close()
        # for each token two objects are read, and one answer is made
        self.assertEqual(maps["dumps"], {("",): 400})
        self.assertEqual(maps["calls"], {("",): 3 * 400})
        self.assertGreater(sum(maps["waits"].values()), 20, maps)
        self.assertLessEqual(set(maps["waits"]), {("cw-loop-0",), ("cw-loop-1",)})


@unittest.skipUnless(os.geteuid() == 0 and os.path.exists(PERISCOPE), "needs root and periscope")
class Found(unittest.TestCase):
    """What periscope cpu says of those faults that cost CPU time."""

    def share(self, function, request, *args, fill=0, status=b"200 OK"):
        """The part of the loop's samples with function on the stack."""
        server = Server("--threads", "1", *args)
        token = server.login()
        if fill:
            with sqlite3.connect(server.db, timeout=20) as db:
                db.executemany("INSERT INTO bookings VALUES (?, ?, ?, ?, '2025-01-01T00:00:00Z')", [
                    ("%08x-0000-4000-8000-000000000000" % n, (GREEN, RED)[n % 2], DEMO_ID,
                     day(n // 2) if n else "2025-01-01") for n in range(fill)])
            db.close()
        load = threading.Thread(target=pipelined, args=(server, request % token.encode(), 4),
                                kwargs={"status": status})
        load.start()
        time.sleep(0.5)
        result = subprocess.run([PERISCOPE, "cpu", "-p", str(server.process.pid), "-F", "499", "-f",
                                 "2"], capture_output=True, text=True, timeout=60)
        load.join()
        self.assertEqual(server.close(), 0)
        self.assertEqual(result.returncode, 0, result.stderr)
        total = hits = 0
        for line in result.stdout.splitlines():
            stack, _, count = line.rpartition(" ")
            if not stack.startswith("cw-loop-0;"):
                continue
            total += int(count)
            hits += int(count) if ";" + function in stack else 0
        self.assertGreater(total, 40)
        return hits / total

    def test_cpu(self):
        rooms = b"GET /rooms HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n"
        bookings = b"GET /bookings?limit=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n"
        body = b'{"room_id":"%s","booked_on":"2025-01-01"}' % GREEN.encode()
        book = (b"POST /bookings HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %%s\r\n"
                b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        for fault, function, request, least, fill, status in (
                ("all-bookings", "model_rooms_load_all", rooms, 0.8, 2000, b"200 OK"),
                ("email-lookup", "model_user_by_email_scan", bookings, 0.5, 0, b"200 OK"),
                ("jwt-split", "fault_split_token", bookings, 0.1, 0, b"200 OK"),
                # the day is taken already: no disk, only the path there
                ("blocking-writes", "db_writer_block", book, 0.1, 2, b"409 Conflict")):
            with self.subTest(fault=fault):
                self.assertGreater(self.share(function, request, "--demo-fault", fault, fill=fill,
                                              status=status), least)
                self.assertEqual(self.share(function, request, fill=fill, status=status), 0)


if __name__ == "__main__":
    unittest.main()
