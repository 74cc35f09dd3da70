# SPDX-License-Identifier: MIT
"""Starts coworkingd on a free port with a database of its own, and talks to it.

Every answer that passes through Server.request() is checked for what all answers promise: a unique
X-Request-Id, JSON, and for errors a body of exactly "code" and "message".
"""

import atexit
import base64
import hashlib
import hmac
import http.client
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GREEN, RED, YELLOW = ("0d5c1f3a-8f0e-4b57-9c3d-6a1be2f4a00%d" % n for n in (1, 2, 3))
DEMO_ID = "5b0f7c7e-6d0a-4c43-9a3e-2f6a1d9c4e10"
OTHER_ID = "5b0f7c7e-6d0a-4c43-9a3e-2f6a1d9c4e11"
NOBODY_ID = "5b0f7c7e-6d0a-4c43-9a3e-2f6a1d9c4eff"


def binary():
    build = os.environ.get("BUILD_DIR", "build")
    return os.path.join(ROOT, build, "coworkingd")


def sanitized():
    """"address" or "thread" for a server that was built with that sanitizer, None for others."""
    with open(binary(), "rb") as file:
        found = re.search(rb"__([at])san_init\0", file.read())
    return {b"a": "address", b"t": "thread"}[found.group(1)] if found else None


SANITIZER_FAILED = 99  # the exit status of a server that a sanitizer complained about


def sanitizer_options():
    """For such a server: whatever is found is a failure, leaks included."""
    suppressions = os.path.join(ROOT, "tests", "server", "lsan.supp")
    code = "exitcode=%d:" % SANITIZER_FAILED
    return {"ASAN_OPTIONS": code + "detect_stack_use_after_return=1:strict_string_checks=1",
            "UBSAN_OPTIONS": code + "print_stacktrace=1",
            "LSAN_OPTIONS": code + "print_suppressions=0:suppressions=" + suppressions,
            "TSAN_OPTIONS": code.rstrip(":")}


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json["code"]


def day(n):
    """The nth day after 2100-01-01, at most 28 * 12 * 7899."""
    return "%04d-%02d-%02d" % (2100 + n // 336, n // 28 % 12 + 1, n % 28 + 1)


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


_started = []


@atexit.register
def _kill_what_failing_tests_left():
    for process in _started:
        if process.poll() is None:
            process.kill()
            process.wait()


class Server:
    """A running coworkingd. Give it the directory of another one to go on with its database."""

    def __init__(self, *args, directory=None, environment=None):
        self.temporary = None
        if directory is None:
            self.temporary = tempfile.TemporaryDirectory(prefix="coworkingd-test-")
            directory = self.temporary.name
        self.directory = directory
        self.db = os.path.join(directory, "test.db")
        self.log = os.path.join(directory, "stderr")
        self.seen_ids = set()
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [binary(), "--listen", "127.0.0.1:0", "--db", self.db, *args], stderr=log,
                env={**os.environ, **sanitizer_options(), **(environment or {})})
        _started.append(self.process)
        self.port = self._wait_for_port()

    def _wait_for_port(self):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            found = re.search(r"listening on (?:https://)?127\.0\.0\.1:(\d+), (\d+) threads, database (.*)\n",
                              self.stderr())
            if found:
                return int(found.group(1))
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        self.process.kill()
        raise AssertionError("coworkingd did not start: " + self.stderr())

    def stderr(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def thread_ns(self, name=None):
        """CPU time of the threads of that name, or of all, in ns."""
        total = 0
        tasks = "/proc/%d/task" % self.process.pid
        for task in os.listdir(tasks):
            with open(os.path.join(tasks, task, "comm"), encoding="ascii") as file:
                comm = file.read().strip()
            with open(os.path.join(tasks, task, "schedstat"), encoding="ascii") as file:
                used = int(file.read().split()[0])
            total += used if name in (None, comm) else 0
        return total

    def stop(self, signum=signal.SIGTERM, timeout=30):
        """Its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signum)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def close(self):
        status = self.stop()
        if self.temporary:
            self.temporary.cleanup()
        return status

    def connect(self):
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def connection(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def request(self, method, path, body=None, token=None, headers=None, connection=None,
                content_type="application/json"):
        headers = dict(headers or {})
        if token is not None:
            headers["Authorization"] = "Bearer " + token
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        own = connection is None
        connection = connection or self.connection()
        try:
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            answer = Answer(reply.status, reply.headers, reply.read())
        finally:
            if own:
                connection.close()
        self.check(answer, method, content_type)
        return answer

    def check(self, answer, method="GET", content_type="application/json"):
        request_id = answer.headers["X-Request-Id"]
        assert re.fullmatch("[0-9a-f]{16}", request_id or ""), request_id
        assert request_id not in self.seen_ids, "X-Request-Id came twice"
        self.seen_ids.add(request_id)
        if answer.status == 204:
            assert answer.body == b"" and answer.headers["Content-Length"] is None
            return
        assert answer.headers["Content-Type"] == content_type, answer.headers
        if method == "HEAD":
            assert answer.body == b""
            return
        if content_type != "application/json":
            return
        value = answer.json
        if answer.status >= 400:
            assert set(value) == {"code", "message"}, value
            for word in ("sqlite", "constraint", "select", "insert", "syntax"):
                assert word not in answer.body.decode().lower(), value
        if answer.status == 401:
            assert answer.headers["WWW-Authenticate"].startswith("Bearer "), answer.headers
        if answer.status == 503:
            assert int(answer.headers["Retry-After"]) >= 1

    def raw(self, data):
        """What comes back for these bytes until the server closes."""
        with self.connect() as sock:
            sock.sendall(data)
            reply = b""
            while True:
                try:
                    part = sock.recv(65536)
                except ConnectionResetError:
                    return reply
                if not part:
                    return reply
                reply += part

    def login(self, username="demo", password="demo"):
        answer = self.request("POST", "/auth/login",
                              {"username": username, "password": password})
        assert answer.status == 200, (answer.status, answer.body)
        return answer.json["token"]

    def book(self, token, booked_on, room=GREEN, connection=None):
        return self.request("POST", "/bookings", {"room_id": room, "booked_on": booked_on},
                            token=token, connection=connection)

    def all_bookings(self, token):
        found, offset = [], 0
        while True:
            page = self.request("GET", "/bookings?limit=1000&offset=%d" % offset,
                                token=token).json
            found += page
            offset += len(page)
            if len(page) < 1000:
                return found

    def add_other_user(self):
        """A second user, "other", with the password of demo."""
        with sqlite3.connect(self.db, timeout=20) as db:
            db.execute("INSERT OR IGNORE INTO users SELECT ?, 'other@example.org', 'other',"
                       " password_hash FROM users WHERE id = ?", (OTHER_ID, DEMO_ID))
        db.close()

    def cpu_seconds(self):
        with open("/proc/%d/stat" % self.process.pid, encoding="ascii") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def secret(self):
        with open(self.db + ".secret", "rb") as file:
            return file.read().removesuffix(b"\n")

    def forge(self, claims=None, header=None, secret=None, remove=()):
        """A token like the server's own, but for what is given."""
        now = int(time.time())
        full = {"iss": "coworkingd", "aud": "coworking", "sub": DEMO_ID, "iat": now,
                "exp": now + 600, **(claims or {})}
        for name in remove:
            del full[name]
        head = header if header is not None else {"alg": "HS256", "typ": "JWT"}
        text = ".".join(base64url(json.dumps(part).encode()) for part in (head, full))
        mac = hmac.new(secret or self.secret(), text.encode(), hashlib.sha256).digest()
        return text + "." + base64url(mac)


class ServerTest(unittest.TestCase):
    """Tests that share one server, which must end well after them."""

    ARGS = ("--threads", "2")

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.ARGS)
        cls.token = cls.server.login()

    @classmethod
    def tearDownClass(cls):
        status, log = cls.server.stop(), cls.server.stderr()
        cls.server.close()
        assert status == 0, (status, log)

    def get(self, path, **more):
        return self.server.request("GET", path, **more)

    def assert_error(self, answer, status, code):
        self.assertEqual((answer.status, answer.code), (status, code))


def send_until_stuck(sock, request):
    """Until neither side takes any more: the server waits to write, not to read."""
    sock.setblocking(False)
    stuck = 0
    while stuck < 10:
        try:
            sock.send(request)
            stuck = 0
        except BlockingIOError:
            stuck += 1
            time.sleep(0.05)
