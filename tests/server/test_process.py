# SPDX-License-Identifier: MIT
"""coworkingd as a process: starting, stopping, dying, and what it keeps."""

import http.client
import os
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import GREEN, RED, YELLOW, Server, binary, day, sanitized, send_until_stuck  # noqa: E402


def run(*args):
    return subprocess.run([binary(), *args], capture_output=True, text=True, timeout=30)


class Writers:
    """Clients that book one day after the other until the server is gone."""

    def __init__(self, server, count=8):
        self.server, self.token = server, server.login()
        self.acknowledged, self.sent = {}, 0
        self.lock, self.odd = threading.Lock(), []
        self.threads = [threading.Thread(target=self._run, args=(n, count), daemon=True)
                        for n in range(count)]
        for thread in self.threads:
            thread.start()

    def _run(self, number, count):
        connection = self.server.connection()
        for turn in range(100000):
            room, booked_on = (GREEN, RED, YELLOW)[turn % 3], day(turn // 3 * count + number)
            try:
                self.sent += 1
                answer = self.server.book(self.token, booked_on, room, connection)
            except (OSError, http.client.HTTPException):
                return
            with self.lock:
                if answer.status == 201:
                    self.acknowledged[answer.json["id"]] = (room, booked_on)
                else:
                    self.odd.append((answer.status, answer.body))

    def wait_for(self, count):
        deadline = time.monotonic() + 30
        while len(self.acknowledged) < count and time.monotonic() < deadline:
            time.sleep(0.01)

    def join(self):
        for thread in self.threads:
            thread.join()


class Stopping(unittest.TestCase):
    def check_bookings(self, directory, writers):
        """Every acknowledged booking is there, once, and nothing that was never sent."""
        self.assertEqual(writers.odd, [])
        server = Server(directory=directory)
        try:
            found = server.all_bookings(writers.token)
        finally:
            self.assertEqual(server.stop(), 0)
        kept = {b["id"]: (b["room_id"], b["booked_on"][:10]) for b in found}
        self.assertEqual(len(kept), len(found))
        self.assertEqual(len(set(kept.values())), len(found))
        lost = {i: b for i, b in writers.acknowledged.items() if kept.get(i) != b}
        self.assertEqual(lost, {})
        self.assertLessEqual(len(found), writers.sent)
        with sqlite3.connect(os.path.join(directory, "test.db")) as db:
            self.assertEqual(db.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
            self.assertEqual(db.execute("PRAGMA foreign_key_check").fetchall(), [])
        db.close()

    def test_killed_under_writes(self):
        with tempfile.TemporaryDirectory() as directory:
            server = Server(directory=directory)
            writers = Writers(server)
            writers.wait_for(500)
            self.assertEqual(server.stop(signal.SIGKILL), -signal.SIGKILL)
            writers.join()
            self.assertGreaterEqual(len(writers.acknowledged), 500)
            self.check_bookings(directory, writers)

    def test_terminated_under_writes(self):
        for signum in (signal.SIGTERM, signal.SIGINT):
            with tempfile.TemporaryDirectory() as directory:
                server = Server(directory=directory)
                writers = Writers(server)
                writers.wait_for(500)
                begin = time.monotonic()
                self.assertEqual(server.stop(signum), 0)
                self.assertLess(time.monotonic() - begin, 4)
                writers.join()
                self.check_bookings(directory, writers)
                # a clean end leaves no WAL behind
                self.assertEqual(sorted(os.listdir(directory)),
                                 ["stderr", "test.db", "test.db.secret"])

    def test_request_under_way_is_answered(self):
        server = Server()
        body = b'{"username":"demo","password":"demo"}'
        with server.connect() as sock:
            sock.sendall(b"POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" %
                         (len(body), body))
            time.sleep(0.005)
            server.process.send_signal(signal.SIGTERM)
            with sock.makefile("rb") as file:
                reply = file.read()
        self.assertTrue(reply.startswith(b"HTTP/1.1 200 "), reply)
        self.assertIn(b'"token"', reply)
        self.assertEqual(server.close(), 0)

    def test_idle_connections_do_not_hold_it_up(self):
        server = Server()
        connections = [server.connection() for _ in range(20)]
        for connection in connections:
            server.request("GET", "/healthz", connection=connection)
        silent = server.connect()
        begin = time.monotonic()
        self.assertEqual(server.stop(), 0)
        self.assertLess(time.monotonic() - begin, 2)
        for connection in connections:
            connection.close()
        silent.close()
        server.close()

    def test_client_that_does_not_read(self):
        server = Server("--threads", "1")
        with server.connect() as sock:
            send_until_stuck(sock, b"GET /rooms HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)
            self.assertEqual(server.request("GET", "/healthz").status, 200)
            begin = time.monotonic()
            self.assertEqual(server.stop(), 0)
            self.assertLess(time.monotonic() - begin, 9)
        server.close()

    def test_clients_that_vanish(self):
        server = Server()
        token = server.login()
        login = b'{"username":"demo","password":"demo"}'
        for n in range(300):
            sock = server.connect()
            if n % 6 == 0:
                sock.sendall(b"POST /auth/login HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" %
                             (len(login), login))
            else:
                body = b'{"room_id":"%s","booked_on":"%s"}' % (GREEN.encode(), day(n).encode())
                sock.sendall(b"POST /bookings HTTP/1.1\r\nAuthorization: Bearer %s\r\n"
                             b"Content-Length: %d\r\n\r\n%s" % (token.encode(), len(body), body))
            # reset instead of close
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        self.assertEqual(server.request("GET", "/healthz").status, 200)
        self.assertEqual(server.stop(), 0)
        self.assertEqual(server.stderr().count("\n"), 1, server.stderr())
        server.close()


class Limits(unittest.TestCase):
    def test_connections(self):
        server = Server("--threads", "1", "--connections", "2")
        held = [server.connection() for _ in range(2)]
        for connection in held:
            self.assertEqual(server.request("GET", "/healthz", connection=connection).status, 200)
        with server.connect() as third:
            third.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            third.settimeout(1)
            before = server.cpu_seconds()
            with self.assertRaises(socket.timeout):
                third.recv(1)
            # it waits for a free place instead of trying all the time
            self.assertLess(server.cpu_seconds() - before, 0.3)
            # those that are open go on
            self.assertEqual(server.request("GET", "/healthz", connection=held[0]).status, 200)
            held[1].close()
            third.settimeout(10)
            self.assertTrue(third.recv(100).startswith(b"HTTP/1.1 200 "))
        held[0].close()
        self.assertEqual(server.close(), 0)

    def test_idle_connections_end(self):
        server = Server()
        with server.connect() as idle, server.connect() as slow:
            idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertTrue(idle.recv(1000).startswith(b"HTTP/1.1 200 "))
            slow.sendall(b"POST /auth/login HTTP/1.1\r\nContent-Length: 10\r\n\r\n{")
            begin = time.monotonic()
            self.assertEqual(slow.recv(1), b"")
            self.assertEqual(idle.recv(1), b"")
            self.assertTrue(5 < time.monotonic() - begin < 15)
        self.assertEqual(server.close(), 0)


class Starting(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.directory = self.temporary.name
        self.db = os.path.join(self.directory, "test.db")

    def tearDown(self):
        self.temporary.cleanup()

    def assert_fails(self, status, words, *args):
        result = run(*args)
        self.assertEqual(result.returncode, status, result.stderr)
        self.assertEqual(result.stdout, "")
        self.assertRegex(result.stderr, r"\Acoworkingd: [^\n]+\n\Z")
        self.assertIn(words, result.stderr)

    def start_fails(self, words, *args, db=None):
        self.assert_fails(1, words, "--listen", "127.0.0.1:0", "--db", db or self.db, *args)

    def test_busy_port(self):
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            sock.listen()
            self.assert_fails(1, "Address already in use", "--db", self.db, "--listen",
                              "127.0.0.1:%d" % sock.getsockname()[1])
        self.assertFalse(os.path.exists(self.db))

    def test_address_of_another_machine(self):
        self.assert_fails(1, "192.0.2.1", "--db", self.db, "--listen", "192.0.2.1:8080")

    def test_unwritable_database(self):
        self.start_fails("/nowhere/", db=os.path.join(self.directory, "nowhere", "x.db"))
        self.start_fails(self.directory, db=self.directory)
        self.start_fails("/proc/version", db="/proc/version")

    def test_file_that_is_no_database(self):
        with open(self.db, "w", encoding="utf-8") as file:
            file.write("my diary\n" * 1000)
        self.start_fails("not a database")
        with open(self.db, encoding="utf-8") as file:
            self.assertEqual(file.read(), "my diary\n" * 1000)

    def test_database_of_another_program(self):
        with sqlite3.connect(self.db) as db:
            db.execute("CREATE TABLE users (name TEXT)")
        db.close()
        self.start_fails("another program")
        with sqlite3.connect(self.db) as db:
            self.assertEqual([row[0] for row in db.execute("SELECT name FROM sqlite_schema")],
                             ["users"])
        db.close()

    def test_database_of_another_version(self):
        Server(directory=self.directory).stop()
        with sqlite3.connect(self.db) as db:
            db.execute("PRAGMA user_version = 99")
        db.close()
        self.start_fails("another version")

    def test_secret(self):
        path = self.db + ".secret"
        Server(directory=self.directory).stop()
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        os.chmod(path, 0o640)
        self.start_fails("chmod 600")
        for text, words in (("x" * 31, "shorter"), ("x" * 31 + "\n", "shorter"),
                            ("x" * 1025, "longer")):
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(path, 0o600)
            self.start_fails(words)
        self.start_fails("nowhere", "--secret-file", "/nowhere/secret")
        self.start_fails("regular", "--secret-file", "/dev/zero")

    def test_secrets_differ(self):
        other = os.path.join(self.directory, "other")
        Server(directory=self.directory).stop()
        Server("--secret-file", other, directory=self.directory).stop()
        with open(self.db + ".secret", "rb") as one, open(other, "rb") as two:
            self.assertNotEqual(one.read(), two.read())

    def test_token_outlives_restart(self):
        server = Server(directory=self.directory)
        token = server.login()
        self.assertEqual(server.book(token, day(1)).status, 201)
        self.assertEqual(server.stop(), 0)
        server = Server(directory=self.directory)
        self.assertEqual(len(server.all_bookings(token)), 1)
        self.assertEqual(server.stop(), 0)

    def test_demo_data_only_into_an_empty_database(self):
        Server(directory=self.directory).stop()
        with sqlite3.connect(self.db) as db:
            db.execute("DELETE FROM rooms WHERE name != 'Red'")
            db.execute("UPDATE users SET username = 'me'")
        db.close()
        server = Server(directory=self.directory)
        self.assertEqual([r["name"] for r in server.request("GET", "/rooms").json], ["Red"])
        server.login("me")
        self.assertEqual(server.stop(), 0)

    def test_passwords_are_hashed(self):
        Server(directory=self.directory).stop()
        with sqlite3.connect(self.db) as db:
            (text,), = db.execute("SELECT password_hash FROM users")
        db.close()
        self.assertRegex(text, r"^\$argon2id\$v=19\$m=19456,t=2,p=1\$")

    def test_announcement(self):
        server = Server("--threads", "3", directory=self.directory)
        self.assertEqual(server.stderr(), "coworkingd: listening on 127.0.0.1:%d, 3 threads, "
                         "database %s\n" % (server.port, self.db))
        tasks = os.listdir("/proc/%d/task" % server.process.pid)
        names = []
        for task in tasks:
            with open("/proc/%d/task/%s/comm" % (server.process.pid, task),
                      encoding="utf-8") as file:
                names.append(file.read().strip())
        if sanitized() == "thread":
            names.remove("coworkingd")  # that sanitizer has a thread of its own
        self.assertEqual(sorted(names), ["coworkingd", "cw-hasher", "cw-loop-0", "cw-loop-1",
                                         "cw-loop-2", "cw-writer"])
        self.assertEqual(server.stop(), 0)

    def test_usage_errors(self):
        for args in (["--threads", "0"], ["--threads", "65"], ["--threads", "2x"],
                     ["--threads", " 2"], ["--threads", "-1"], ["--threads", ""], ["--threads"],
                     ["--connections", "0"], ["--connections", "1e3"],
                     ["--connections", "99999999999999999999"],
                     ["--threads", "4", "--connections", "3"], ["--listen", "8080"],
                     ["--listen", ":8080"], ["--listen", "127.0.0.1:"],
                     ["--listen", "127.0.0.1:65536"], ["--listen", "127.0.0.1:-1"],
                     ["--listen", "::1:8080"], ["--db", ""], ["--db", "x" * 5000],
                     ["--secret-file", ""], ["--what"], ["-x"], ["extra"]):
            with self.subTest(args=args[:3]):
                result = run(*args)
                self.assertEqual(result.returncode, 2, result)
                self.assertRegex(result.stderr, r"\Acoworkingd: [^\n]+\n\Z")
                self.assertEqual(result.stdout, "")

    def test_help_and_version(self):
        for option, words in (("--help", "Usage: coworkingd"), ("--version", "coworkingd ")):
            result = run(option)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertTrue(result.stdout.startswith(words))


if __name__ == "__main__":
    unittest.main()
