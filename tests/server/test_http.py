# SPDX-License-Identifier: MIT
"""What the API does beyond rooms and bookings: one booking, pictures, CORS, /trace, limits, TLS."""

import http.client
import os
import resource
import socket
import sqlite3
import ssl
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import GREEN, NOBODY_ID, RED, Server, ServerTest, binary, day, send_until_stuck  # noqa: E402

NOT_FOUND = "the object with the requested id is not found"


class Contract(ServerTest):
    def test_one_booking(self):
        booking_id = self.server.book(self.token, "2032-02-29", RED).json["id"]
        answer = self.get("/bookings/" + booking_id, token=self.token)
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.json, next(b for b in self.server.all_bookings(self.token)
                                           if b["id"] == booking_id))
        self.assertEqual((answer.json["id"], answer.json["room_id"], answer.json["booked_on"]),
                         (booking_id, RED, "2032-02-29T00:00:00Z"))
        self.server.add_other_user()
        self.assert_error(self.get("/bookings/" + booking_id, token=self.server.login("other")),
                          404, NOT_FOUND)
        self.assert_error(self.get("/bookings/" + booking_id), 401, "the jwt token is missing")
        for text in ("1", "%27", NOBODY_ID, booking_id.upper()):
            self.assert_error(self.get("/bookings/" + text, token=self.token), 404, NOT_FOUND)

    def test_pictures_of_all_rooms(self):
        seen = set()
        for room in self.get("/rooms").json:
            for path in room["photos"]:
                answer = self.get(path, content_type="image/png")
                self.assertEqual(answer.status, 200)
                self.assertIn("max-age=", answer.headers["Cache-Control"])
                self.check_png(answer.body)
                seen.add(answer.body)
                head = self.server.request("HEAD", path, content_type="image/png")
                self.assertEqual(head.headers["Content-Length"], str(len(answer.body)))
        self.assertEqual(len(seen), 6)

    def check_png(self, data):
        """Whole, by the checksums of its parts and the size that its head tells."""
        self.assertEqual(data[:8], b"\x89PNG\r\n\x1a\n")
        kinds, at, packed = [], 8, b""
        while at < len(data):
            length, kind = struct.unpack(">I4s", data[at:at + 8])
            body = data[at + 8:at + 8 + length]
            crc, = struct.unpack(">I", data[at + 8 + length:at + 12 + length])
            self.assertEqual(crc, zlib.crc32(kind + body))
            kinds.append(kind)
            packed += body if kind == b"IDAT" else b""
            if kind == b"IHDR":
                width, height, depth = struct.unpack(">IIB", body[:9])
            at += 12 + length
        self.assertEqual((kinds[0], kinds[-1]), (b"IHDR", b"IEND"))
        self.assertEqual(len(zlib.decompress(packed)), height * (1 + width * depth // 8))

    def test_no_other_files(self):
        for path in ("/imgs/green_9.png", "/imgs/green_1.jpg", "/imgs/GREEN_1.png", "/imgs/..."):
            self.assert_error(self.get(path), 404, NOT_FOUND)
        for path in ("/imgs", "/imgs/", "/imgs/../green_1.png", "/imgs/x/green_1.png",
                     "/imgs/..%2fhandlers.h", "/imgs/%2e%2e%2f%2e%2e%2fetc/passwd"):
            self.assert_error(self.get(path), 404, "no such route")
        self.assert_error(self.get("/imgs/green_1.png%00.jpg"), 400, "bad request")
        self.assertEqual(self.get("/x/../imgs/./green_1.png", content_type="image/png").status, 200)

    def test_trace_without_a_tracer(self):
        answer = self.get("/trace", token=self.token)
        self.assert_error(answer, 503, "no tracer")
        self.assert_error(self.get("/trace"), 401, "the jwt token is missing")

    def test_large_headers(self):
        self.assertEqual(self.get("/rooms", headers={"X-Pad": "x" * 15000}).status, 200)
        self.assert_error(self.get("/rooms", headers={"X-Pad": "x" * 17000}), 431,
                          "headers too large")
        self.assert_error(self.get("/rooms", headers={"X-%d" % n: "x" * 300 for n in range(60)}),
                          431, "headers too large")
        self.assert_error(self.get("/rooms?" + "x" * 17000), 431, "headers too large")
        # what the library itself does not take
        self.assertTrue(self.server.raw(b"GET /rooms HTTP/1.1\r\n" + b"X: y\r\n" * 101 + b"\r\n")
                        .startswith(b"HTTP/1.1 400 "))
        connection = self.server.connection()
        with self.assertRaises((OSError, http.client.HTTPException)):
            connection.request("GET", "/rooms", headers={"X-Pad": "x" * 500000})
            reply = connection.getresponse()
            self.assertEqual(reply.status, 400)
            raise http.client.HTTPException
        connection.close()
        self.assertEqual(self.get("/rooms").status, 200)

    def test_no_cors_unless_configured(self):
        answer = self.get("/rooms", headers={"Origin": "https://app.example.org"})
        self.assertEqual([h for h in answer.headers if h.lower().startswith("access-control")], [])
        answer = self.server.request("OPTIONS", "/nothing")
        self.assert_error(answer, 404, "no such route")


class Cors(unittest.TestCase):
    def setUp(self):
        self.origin = "https://app.example.org"

    def preflight(self, server, origin, path="/bookings"):
        return server.request("OPTIONS", path, headers={
            "Origin": origin, "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization"})

    def test_listed_origins(self):
        server = Server("--allowed-origins", self.origin + ",http://localhost:3000")
        for origin in (self.origin, "http://localhost:3000"):
            answer = self.preflight(server, origin)
            self.assertEqual(answer.status, 204)
            self.assertEqual(answer.headers["Access-Control-Allow-Origin"], origin)
            self.assertEqual(answer.headers["Access-Control-Allow-Methods"],
                             "GET, HEAD, POST, OPTIONS")
            self.assertIn("Authorization", answer.headers["Access-Control-Allow-Headers"])
            self.assertGreater(int(answer.headers["Access-Control-Max-Age"]), 0)
            # errors too, or the page could not read them
            for path, status in (("/rooms", 200), ("/bookings", 401), ("/x", 404)):
                answer = server.request("GET", path, headers={"Origin": origin})
                self.assertEqual((answer.status, answer.headers["Access-Control-Allow-Origin"]),
                                 (status, origin))
                self.assertIn("X-Request-Id", answer.headers["Access-Control-Expose-Headers"])
                self.assertEqual(answer.headers["Vary"], "Origin")
        for origin in ("https://app.example.org.evil.example", "https://app.example.or",
                       "http://app.example.org", "null", ""):
            answer = self.preflight(server, origin)
            self.assertEqual((answer.status, answer.headers["Access-Control-Allow-Origin"]),
                             (204, None), origin)
            self.assertIsNone(answer.headers["Access-Control-Allow-Methods"])
            self.assertEqual(answer.headers["Vary"], "Origin")
        reply = server.raw(b"POST /auth/login HTTP/1.1\r\nHost: x\r\nOrigin: %s\r\n"
                           b"Content-Length: 70000\r\n\r\n" % self.origin.encode())
        self.assertIn(b"access-control-allow-origin: " + self.origin.encode(), reply.lower())
        self.assertEqual(server.close(), 0)

    def test_any_origin(self):
        server = Server("--allowed-origins", "*")
        answer = self.preflight(server, "https://anything.example")
        self.assertEqual(answer.headers["Access-Control-Allow-Origin"], "*")
        self.assertIsNone(answer.headers["Vary"])
        self.assertEqual(server.close(), 0)


class WriterQueue(unittest.TestCase):
    def test_full(self):
        """While another process holds the database's lock, writes pile up; beyond 1024, 503."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
        server = Server("--threads", "1", "--connections", "2000")
        token, count, statuses = server.login(), 1300, []
        socks = [server.connect() for _ in range(count)]
        other = sqlite3.connect(server.db, timeout=20, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        for n, sock in enumerate(socks):
            body = b'{"room_id":"%s","booked_on":"%s"}' % (GREEN.encode(), day(n).encode())
            sock.sendall(b"POST /bookings HTTP/1.0\r\nAuthorization: Bearer %s\r\n"
                         b"Content-Length: %d\r\n\r\n%s" % (token.encode(), len(body), body))
        # reads go on meanwhile
        begin = time.monotonic()
        self.assertEqual(server.request("GET", "/rooms").status, 200)
        self.assertLess(time.monotonic() - begin, 1)
        other.execute("ROLLBACK")
        other.close()
        for sock in socks:
            with sock, sock.makefile("rb") as file:
                reply = file.read()
            statuses.append(int(reply.split()[1]))
            if statuses[-1] == 503:
                self.assertIn(b"\r\nretry-after: 1\r\n", reply.lower())
                self.assertIn(b'"code":"overloaded"', reply)
        self.assertEqual(set(statuses), {201, 503})
        self.assertGreaterEqual(statuses.count(201), 1024)
        self.assertGreaterEqual(statuses.count(503), 1300 - 1024 - 128)
        self.assertEqual(len(server.all_bookings(token)), statuses.count(201))
        self.assertEqual(server.close(), 0)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class SlowClients(unittest.TestCase):
    """Clients may not hold a connection by being slow: not by doing nothing, not by doing little."""

    def setUp(self):
        self.server = Server("--threads", "1")

    def tearDown(self):
        self.assertEqual(self.server.close(), 0)

    def wait_until_cut(self, least, most, meanwhile=lambda: None):
        begin = time.monotonic()
        while self.connections() == 0:  # it has yet to accept them
            time.sleep(0.01)
        while self.connections() > 0 and time.monotonic() - begin < most:
            meanwhile()
            time.sleep(0.2)
        self.assertTrue(least < time.monotonic() - begin < most)

    def connections(self):
        count = 0
        for fd in os.listdir("/proc/%d/fd" % self.server.process.pid):
            try:
                link = os.readlink("/proc/%d/fd/%s" % (self.server.process.pid, fd))
            except OSError:
                continue
            count += link.startswith("socket:")
        return count - 2  # main's listening socket, and the loop's copy

    def test_one_who_reads_nothing(self):
        """The library has no limit for answers: one who never reads them held on for ever."""
        with self.server.connect() as sock:
            send_until_stuck(sock, b"GET /rooms HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)
            self.wait_until_cut(10, 60)

    def test_one_who_reads_a_little(self):
        """To the kernel he makes progress, and an answer of 150 KB would take half an hour."""
        token = self.server.login()
        connection = self.server.connection()
        for n in range(1000):
            self.server.book(token, day(n), connection=connection)
        connection.close()
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            sock.connect(("127.0.0.1", self.server.port))
            send_until_stuck(sock, b"GET /bookings?limit=1000 HTTP/1.1\r\nHost: x\r\n"
                                  b"Authorization: Bearer %s\r\n\r\n" % token.encode() * 100)

            def read():
                try:
                    sock.recv(16)
                except BlockingIOError:
                    pass
                except ConnectionResetError:
                    time.sleep(1)

            self.wait_until_cut(10, 60, read)

    def test_one_who_writes_a_little(self):
        """A request must be there after ten seconds, and not only go on."""
        with self.server.connect() as head, self.server.connect() as body:
            body.sendall(b"POST /auth/login HTTP/1.1\r\nContent-Length: 10000\r\n\r\n")

            def write():
                for sock in (head, body):
                    try:
                        sock.send(b"G")
                    except (BrokenPipeError, ConnectionResetError):
                        pass

            self.wait_until_cut(5, 60, write)


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.directory = cls.temporary.name
        cls.key, cls.certificate = (os.path.join(cls.directory, n) for n in ("k.pem", "c.pem"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-keyout", cls.key, "-out",
                        cls.certificate, "-days", "2", "-subj", "/CN=localhost", "-addext",
                        "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def test_https(self):
        server = Server("--tls-certificate", self.certificate, "--tls-key", self.key)
        self.assertIn("listening on https://127.0.0.1:", server.stderr())
        context = ssl.create_default_context(cafile=self.certificate)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context.minimum_version = context.maximum_version = version
            connection = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=20,
                                                     context=context)
            answer = server.request("POST", "/auth/login",
                                    {"username": "demo", "password": "demo"},
                                    connection=connection)
            self.assertEqual(answer.status, 200)
            token = answer.json["token"]
            answer = server.request("POST", "/bookings", {
                "room_id": GREEN, "booked_on": day(version)}, token=token, connection=connection)
            self.assertEqual(answer.status, 201)
            connection.close()
        context.set_alpn_protocols(["h2", "http/1.1"])
        with context.wrap_socket(server.connect(), server_hostname="127.0.0.1") as sock:
            self.assertNotEqual(sock.selected_alpn_protocol(), "h2")
        # who does not even begin a handshake is let go
        with server.connect() as silent:
            silent.settimeout(60)
            self.assertEqual(silent.recv(1), b"")
        # plain HTTP there is refused, and a client that says nothing does not hold up the end
        self.assertNotIn(b"200", server.raw(b"GET /rooms HTTP/1.0\r\n\r\n"))
        with server.connect():
            begin = time.monotonic()
            self.assertEqual(server.stop(), 0)
            self.assertLess(time.monotonic() - begin, 9)
        server.close()

    def test_bad_files(self):
        other = os.path.join(self.directory, "other.pem")
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", other], check=True)
        encrypted = os.path.join(self.directory, "encrypted.pem")
        subprocess.run(["openssl", "pkey", "-in", self.key, "-aes128", "-passout", "pass:x", "-out",
                        encrypted], check=True)
        for certificate, key in (("/nowhere.pem", self.key), (self.certificate, "/nowhere.pem"),
                                 (self.certificate, other), (self.key, self.key),
                                 (self.certificate, encrypted)):
            result = subprocess.run(
                [binary(), "--db", os.path.join(self.directory, "t.db"), "--tls-certificate",
                 certificate, "--tls-key", key],
                capture_output=True, text=True, timeout=20, input="")
            self.assertEqual(result.returncode, 1, result)
            self.assertRegex(result.stderr, r"\Acoworkingd: cannot use TLS: [^\n]+\n\Z")


if __name__ == "__main__":
    unittest.main()
