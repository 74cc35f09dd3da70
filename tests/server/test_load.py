# SPDX-License-Identifier: MIT
"""scripts/load: that it loads, cleans up, and says so when something is wrong."""

import collections
import datetime
import http.server
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import GREEN, RED, ROOT, YELLOW, Server, ServerTest, day  # noqa: E402

LOAD = os.path.join(ROOT, "scripts", "load")


def load(*args):
    return subprocess.run([LOAD, *args], capture_output=True, text=True, timeout=120)


class Loads(ServerTest):
    ARGS = ()

    @property
    def url(self):
        return "http://127.0.0.1:%d" % self.server.port

    def check(self, mode, least):
        """That it says what it must; how many requests of each route it has sent."""
        result = load(mode, "--seconds", "1", "--url", self.url)
        self.assertEqual((result.returncode, result.stderr), (0, ""), result.stdout)
        self.assertRegex(result.stdout, r"\A%s: \d+ requests in \d+\.\d s, \d+ requests/s\n"
                         r"latency ms: p50 [\d.]+, p90 [\d.]+, p99 [\d.]+, p99\.9 [\d.]+, "
                         r"max [\d.]+\n"
                         r"unexpected statuses: 0, broken connections: 0, unanswered: 0\n"
                         r"sent, with what is needed before and after:\n"
                         r"( +\d+ [A-Z]+ /\S+\n)+\Z" % mode)
        answered = int(re.search(r"(\d+) requests in", result.stdout).group(1))
        self.assertGreater(answered, least)
        sent = {route: int(n) for n, route in
                re.findall(r"^ +(\d+) (.*)$", result.stdout, re.M)}
        self.assertGreaterEqual(sum(sent.values()), answered)
        return sent

    def test_reads(self):
        self.assertEqual(set(self.check("reads", 500)), {
            "GET /rooms", "GET /rooms/:id", "GET /rooms/:id/photos", "POST /auth/login"})

    def test_login(self):
        self.check("login", 5)

    def test_writes_leave_nothing_behind(self):
        kept = self.server.book(self.token, "2029-01-01").json["id"]
        # what a load that was killed would have left, on days that this one wants
        for n in range(5):
            self.assertEqual(self.server.book(self.token, day(n)).status, 201)
        for mode, left in (("writes", 5), ("mix", 0)):
            sent = self.check(mode, 200)
            self.assertEqual(sent["DELETE /bookings/:id"], sent["POST /bookings"] + left)
            self.assertEqual([b["id"] for b in self.server.all_bookings(self.token)], [kept])

    def test_mix_hashes_little(self):
        """At most a tenth of the server's CPU time, were it not for the login before the load: that
        weighs the more the slower the machine is. So from what one of each costs here."""
        def used():
            return self.server.thread_ns("cw-hasher"), self.server.thread_ns()

        before = used()
        sent = self.check("mix", 200)
        hashing, total = (b - a for a, b in zip(before, used()))
        logins = sent.pop("POST /auth/login")
        others = sum(sent.values())
        login, other = hashing / logins, (total - hashing) / others
        self.assertGreater(login, 0)
        # one in ten thousand; the longer the load, the nearer it comes to that
        self.assertLessEqual(logins, 3 + others / 10000)
        self.assertLess(login / (login + 9999 * other), 0.1)


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

    def test_what_is_booked_already(self):
        """In the middle of what it wants, where it does not look beforehand."""
        server = Server()
        self.assertEqual(server.book(server.login(), "2025-01-20", RED).status, 201)
        result = load("--bookings", "300", "--url", "http://127.0.0.1:%d" % server.port)
        self.assertEqual(result.returncode, 1)
        self.assertIn("bookings: 299 of 300 made", result.stdout)
        self.assertIn("1 were booked already: start with a new database", result.stdout)
        self.assertIn("      300 POST /bookings\n", result.stdout)
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

    def test_server_that_hangs(self):
        server = Server()
        timer = threading.Timer(1, lambda: server.process.send_signal(signal.SIGSTOP))
        timer.start()
        result = load("reads", "--seconds", "2", "--connections", "5", "--url",
                      "http://127.0.0.1:%d" % server.port)
        timer.join()
        server.process.send_signal(signal.SIGCONT)
        self.assertEqual(server.close(), 0)
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertIn("unanswered: 5\n", result.stdout)

    def test_unexpected_status(self):
        class Quiet(http.server.ThreadingHTTPServer):
            def handle_error(self, request, client_address):
                """A connection that wrk breaks at its end."""

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

        server = Quiet(("127.0.0.1", 0), Handler)
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
