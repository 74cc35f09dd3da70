# SPDX-License-Identifier: MIT
"""scripts/load: that it loads, cleans up, and says so when something is wrong."""

import collections
import datetime
import http.server
import os
import re
import sqlite3
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import GREEN, RED, ROOT, YELLOW, Server, day  # noqa: E402

LOAD = os.path.join(ROOT, "scripts", "load")


def load(*args):
    return subprocess.run([LOAD, *args], capture_output=True, text=True, timeout=120)


class Loads(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.url = "http://127.0.0.1:%d" % cls.server.port

    @classmethod
    def tearDownClass(cls):
        status, log = cls.server.stop(), cls.server.stderr()
        cls.server.close()
        assert status == 0, (status, log)

    def check(self, mode, least):
        result = load(mode, "--seconds", "1", "--url", self.url)
        self.assertEqual((result.returncode, result.stderr), (0, ""), result.stdout)
        self.assertRegex(result.stdout, r"\A%s: \d+ requests in 1\.\d s, \d+ requests/s\n"
                         r"latency ms: p50 [\d.]+, p90 [\d.]+, p99 [\d.]+, p99\.9 [\d.]+, "
                         r"max [\d.]+\n"
                         r"unexpected statuses: 0, broken connections: 0\n\Z" % mode)
        self.assertGreater(int(re.search(r"(\d+) requests in", result.stdout).group(1)), least)

    def test_reads(self):
        self.check("reads", 500)

    def test_login(self):
        self.check("login", 5)

    def test_writes_leave_nothing_behind(self):
        token = self.server.login()
        kept = self.server.book(token, "2029-01-01").json["id"]
        # what a load that was killed would have left, on days that this one wants
        for n in range(5):
            self.assertEqual(self.server.book(token, day(n)).status, 201)
        for mode, least in (("writes", 200), ("mix", 200)):
            self.check(mode, least)
            self.assertEqual([b["id"] for b in self.server.all_bookings(token)], [kept])


    def hasher_and_total(self):
        return self.server.thread_ns("cw-hasher"), self.server.thread_ns()

    def test_mix_hashes_little(self):
        before = self.hasher_and_total()
        self.assertEqual(load("mix", "--seconds", "6", "--url", self.url).returncode, 0)
        after = self.hasher_and_total()
        self.assertGreater(after[0], before[0])
        # At most a tenth is meant. The logins before the load weigh the more the slower the machine
        # is, so that what is held here is that the mix is not one of logins: that would be most of it.
        self.assertLess((after[0] - before[0]) / (after[1] - before[1]), 0.3)


class Bookings(unittest.TestCase):
    def test_exactly_once(self):
        """The days and rooms are computed here once more, and compared with the database."""
        server = Server()
        url = "http://127.0.0.1:%d" % server.port
        count = int(os.environ.get("LOAD_BOOKINGS", "30000"))
        result = load("--bookings", str(count), "--url", url)
        self.assertEqual((result.returncode, result.stderr), (0, ""), result.stdout)
        self.assertIn("bookings: %d of %d made" % (count, count), result.stdout)
        with sqlite3.connect(server.db) as db:
            found = collections.Counter(db.execute("SELECT room_id, booked_on FROM bookings"))
        db.close()
        first = datetime.date(2025, 1, 9)
        self.assertEqual(found, collections.Counter(
            ((GREEN, RED, YELLOW)[n % 3], (first + datetime.timedelta(days=n // 3)).isoformat())
            for n in range(count)))
        # what is there already is not booked again
        result = load("--bookings", "1", "--url", url)
        self.assertEqual(result.returncode, 1)
        self.assertIn("start with a new database", result.stderr)
        self.assertEqual(server.close(), 0)

    def test_trace_without_a_tracer(self):
        server = Server()
        result = load("reads", "--seconds", "1", "--trace", "--url",
                      "http://127.0.0.1:%d" % server.port)
        self.assertEqual(result.returncode, 1)
        self.assertIn("nobody listens", result.stderr)
        self.assertEqual(server.close(), 0)


class Failures(unittest.TestCase):
    def test_no_server(self):
        result = load("reads", "--seconds", "1", "--url", "http://127.0.0.1:1")
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn("no server at http://127.0.0.1:1", result.stderr)

    def test_server_that_dies(self):
        server = Server()
        timer = threading.Timer(1, server.process.kill)
        timer.start()
        result = load("reads", "--seconds", "2", "--url", "http://127.0.0.1:%d" % server.port)
        timer.join()
        server.close()
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertNotIn("broken connections: 0", result.stdout)

    def test_unexpected_status(self):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, status, body):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                if self.path == "/rooms":
                    self.answer(200, b'[{"id":"%s"}]' % GREEN.encode())
                else:
                    self.answer(500, b"{}")

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.answer(200, b'{"token":"x"}')

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        result = load("reads", "--seconds", "1", "--connections", "2", "--url",
                      "http://127.0.0.1:%d" % server.server_port)
        server.shutdown()
        server.server_close()
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stdout, r"unexpected statuses: [1-9]")

    def test_loopback_only(self):
        for url in ("http://192.0.2.1:8080", "http://example.org", "http://127.0.0.1.example.org",
                    "http://localhost@example.org", "http://10.127.0.0.1", "https://127.0.0.1",
                    "http://127.0.0.1:8080/x", "http://[::2]:80", ""):
            begin = time.monotonic()
            result = load("reads", "--url", url)
            self.assertEqual((result.returncode, result.stdout), (2, ""), url)
            self.assertLess(time.monotonic() - begin, 2)

    def test_usage_errors(self):
        for args in (["--seconds", "0"], ["--seconds", "601"], ["--seconds", "1x"], ["--seconds"],
                     ["--connections", "0"], ["--connections", "-1"], ["reads", "writes"],
                     ["all"], ["--what"], ["--bookings", "0"], ["--bookings", "30001"],
                     ["--bookings"], ["--bookings", "5", "reads"],
                     ["--bookings", "5", "--seconds", "5"]):
            result = load(*args)
            self.assertEqual((result.returncode, result.stdout), (2, ""), args)
            self.assertRegex(result.stderr, r"\Aload: [^\n]+\n\Z")


if __name__ == "__main__":
    unittest.main()
