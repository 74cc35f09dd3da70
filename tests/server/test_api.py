# SPDX-License-Identifier: MIT
"""The API of coworkingd: every route, every status."""

import datetime
import os
import re
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import GREEN, NOBODY_ID, RED, YELLOW, Answer, ServerTest, day  # noqa: E402


class Rooms(ServerTest):
    def test_health(self):
        answer = self.get("/healthz")
        self.assertEqual((answer.status, answer.json), (200, {"status": "ok"}))

    def test_list(self):
        answer = self.get("/rooms?day_to_book=" + day(9999))
        self.assertEqual(answer.status, 200)
        rooms = answer.json
        self.assertEqual([(r["id"], r["name"], r["category"], r["number_of_seats"])
                          for r in rooms],
                         [(GREEN, "Green", "open space", 4), (RED, "Red", "conference hall", 50),
                          (YELLOW, "Yellow", "shared desk", 1)])
        self.assertEqual([len(r["photos"]) for r in rooms], [2, 1, 3])
        for room in rooms:
            self.assertEqual(set(room), {"id", "name", "cost", "number_of_seats", "category",
                                         "main_photo", "is_available", "photos"})
            self.assertEqual(room["photos"][0], room["main_photo"])
            self.assertIs(room["is_available"], True)

    def test_availability(self):
        booked = day(5000)
        self.assertEqual(self.server.book(self.token, booked, RED).status, 201)

        def free(path):
            return {r["name"]: r["is_available"] for r in self.get(path).json}

        self.assertEqual(free("/rooms?day_to_book=" + booked),
                         {"Green": True, "Red": False, "Yellow": True})
        self.assertEqual(free("/rooms?x=1&day_to_book=" + booked.replace("-", "%2D"))["Red"],
                         False)
        self.assertEqual(free("/rooms?day_to_book=" + day(5001))["Red"], True)
        self.assertIs(self.get("/rooms/%s?day_to_book=%s" % (RED, booked)).json["is_available"],
                      False)
        self.assertIs(self.get("/rooms/%s?day_to_book=%s" % (GREEN, booked)).json["is_available"],
                      True)

    def test_availability_today(self):
        today = datetime.datetime.now(datetime.timezone.utc).date()
        # around midnight, either day may be the server's
        for date in (today, today + datetime.timedelta(days=1)):
            self.server.book(self.token, date.isoformat(), YELLOW)
        self.assertIs(self.get("/rooms/" + YELLOW).json["is_available"], False)
        self.assertIs(self.get("/rooms/" + GREEN).json["is_available"], True)

    def test_bad_days(self):
        for text in ("", "2025-02-29", "2025-13-01", "2025-00-10", "2025-01-00", "2025-04-31",
                     "1900-02-29", "0000-01-01", "2025-1-1", "2025-01-01x", "2025/01/01",
                     "today", "2025-01-0%00", "2025-01-01%00", "%zz", "2025-01-0%1", "+025-01-01"):
            for path in ("/rooms", "/rooms/" + GREEN):
                with self.subTest(text=text, path=path):
                    self.assert_error(self.get(path + "?day_to_book=" + text), 400,
                                      "date has a wrong format. Expected YYYY-mm-DD")

    def test_leap_days(self):
        for text in ("2024-02-29", "2000-02-29", "0001-01-01", "9999-12-31"):
            self.assertEqual(self.get("/rooms?day_to_book=" + text).status, 200, text)

    def test_one_room(self):
        answer = self.get("/rooms/" + RED)
        self.assertEqual(answer.status, 200)
        self.assertIn(answer.json, self.get("/rooms").json)

    def test_unknown_room(self):
        for path in ("/rooms/" + NOBODY_ID, "/rooms/%s/photos" % NOBODY_ID):
            self.assert_error(self.get(path), 404,
                              "the object with the requested id is not found")

    def test_bad_room_id(self):
        for text in ("1", GREEN.upper(), GREEN + "0", GREEN[:-1] + "g", "%27", "x" * 5000):
            for path in ("/rooms/" + text, "/rooms/%s/photos" % text):
                self.assert_error(self.get(path), 400, "body validation")

    def test_photos(self):
        answer = self.get("/rooms/%s/photos" % YELLOW)
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.json, {"id": YELLOW, "photos": [
            "/imgs/yellow_%d.png" % n for n in (1, 2, 3)]})

    def test_head(self):
        connection = self.server.connection()
        full = self.get("/rooms", connection=connection)
        head = self.server.request("HEAD", "/rooms", connection=connection)
        again = self.get("/rooms", connection=connection)
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertEqual(head.headers["Content-Length"], full.headers["Content-Length"])
        self.assertEqual(again.body, full.body)
        connection.close()
        reply = self.server.raw(b"HEAD /rooms HTTP/1.0\r\n\r\n")
        self.assertTrue(reply.endswith(b"\r\n\r\n"), reply)


class Login(ServerTest):
    def post(self, body):
        return self.server.request("POST", "/auth/login", body)

    def test_token_works(self):
        answer = self.post({"username": "demo", "password": "demo"})
        self.assertEqual((answer.status, list(answer.json)), (200, ["token"]))
        self.assertEqual(self.get("/bookings", token=answer.json["token"]).status, 200)

    def test_wrong_password_and_unknown_user_look_alike(self):
        wrong = self.post({"username": "demo", "password": "demo2"})
        unknown = self.post({"username": "omed", "password": "demo"})
        self.assert_error(wrong, 401, "user not registered or bad credentials")
        self.assertEqual((unknown.status, unknown.body), (wrong.status, wrong.body))
        self.assertEqual(unknown.headers.keys(), wrong.headers.keys())

    def test_unknown_user_is_hashed_as_long(self):
        """By the CPU time of the hashing thread, which does nothing else: other load is no matter."""
        def hashing(username):
            before = self.server.thread_ns("cw-hasher")
            for _ in range(5):
                self.assertEqual(self.post({"username": username, "password": "x"}).status, 401)
            return self.server.thread_ns("cw-hasher") - before

        # a hash takes 20 ms, everything else less than one
        self.assertGreater(hashing("nobody"), hashing("demo") / 2)

    def test_case_matters(self):
        self.assertEqual(self.post({"username": "Demo", "password": "demo"}).status, 401)

    def test_bad_bodies(self):
        for body in (None, "", "{", "[]", '"demo"', "null", {}, {"username": "demo"},
                     {"password": "demo"}, {"username": "demo", "password": 1},
                     {"username": ["demo"], "password": "demo"},
                     {"username": "", "password": "demo"}, {"username": "demo", "password": ""},
                     {"username": "demo", "password": "x" * 1025},
                     {"username": "x" * 257, "password": "demo"},
                     '{"username":"demo","password":"demo"} x',
                     '{"username":"demo","password":"a","password":"demo"}',
                     '{"username":"demo\\u0000","password":"demo"}',
                     b'{"username":"demo","password":"\xff"}'):
            with self.subTest(body=body):
                self.assert_error(self.post(body), 400, "body validation")

    def test_longest_password_is_checked(self):
        self.assertEqual(self.post({"username": "demo", "password": "x" * 1024}).status, 401)

    def test_overload(self):
        body = b'{"username":"demo","password":"demo"}'
        head = b"POST /auth/login HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(body)
        socks = [self.server.connect() for _ in range(120)]
        for sock in socks:
            sock.sendall(head + body)
        statuses = []
        for sock in socks:
            with sock, sock.makefile("rb") as file:
                top, _, text = file.read().partition(b"\r\n\r\n")
            status = int(top.split()[1])
            statuses.append(status)
            if status == 503:
                self.assertIn(b"\r\nretry-after: 1", top.lower())
                self.assertIn(b'"code":"overloaded"', text)
        self.assertEqual(set(statuses), {200, 503})
        self.assertGreaterEqual(statuses.count(200), 64)
        # and it gets over it
        self.server.login()


class Bookings(ServerTest):
    def post(self, body):
        return self.server.request("POST", "/bookings", body, token=self.token)

    def delete(self, booking_id, token=None):
        return self.server.request("DELETE", "/bookings/" + booking_id,
                                   token=token or self.token)

    def test_life_of_a_booking(self):
        before = time.time()
        answer = self.server.book(self.token, "2031-05-06")
        self.assertEqual((answer.status, list(answer.json)), (201, ["id"]))
        booking_id = answer.json["id"]
        mine = {b["id"]: b for b in self.server.all_bookings(self.token)}
        booking = mine[booking_id]
        self.assertEqual(set(booking), {"id", "room_id", "booked_on", "created_at"})
        self.assertEqual((booking["room_id"], booking["booked_on"]),
                         (GREEN, "2031-05-06T00:00:00Z"))
        created = datetime.datetime.strptime(booking["created_at"], "%Y-%m-%dT%H:%M:%S%z")
        self.assertLess(abs(created.timestamp() - before), 30)
        self.assertEqual(self.delete(booking_id).status, 204)
        self.assert_error(self.delete(booking_id), 404,
                          "the object with the requested id is not found")
        self.assertNotIn(booking_id,
                         [b["id"] for b in self.server.all_bookings(self.token)])
        self.assertEqual(self.server.book(self.token, "2031-05-06").status, 201)

    def test_taken(self):
        self.assertEqual(self.server.book(self.token, "2031-06-01").status, 201)
        self.assert_error(self.server.book(self.token, "2031-06-01"), 409,
                          "the room is already booked")
        self.assertEqual(self.server.book(self.token, "2031-06-01", RED).status, 201)
        self.assertEqual(self.server.book(self.token, "2031-06-02").status, 201)

    def test_unknown_room(self):
        for room in (NOBODY_ID, "1", "", "' OR 1=1 --"):
            answer = self.server.book(self.token, "2031-07-01", room or "x")
            self.assert_error(answer, 404, "the object with the requested id is not found")

    def test_bad_bodies(self):
        for body in (None, "", "[", "[]", {}, {"room_id": GREEN}, {"booked_on": "2031-07-01"},
                     {"room_id": 1, "booked_on": "2031-07-01"},
                     {"room_id": GREEN, "booked_on": 20310701},
                     '{"room_id":"%s","booked_on":"2031-07-01","room_id":"x"}' % GREEN):
            with self.subTest(body=body):
                self.assert_error(self.post(body), 400, "body validation")
        for text in ("2031-02-29", "tomorrow", "2031-07-01T00:00:00Z"):
            self.assert_error(self.server.book(self.token, text), 400,
                              "date has a wrong format. Expected YYYY-mm-DD")

    def test_only_own(self):
        self.server.add_other_user()
        other = self.server.login("other")
        booking_id = self.server.book(self.token, "2031-08-01").json["id"]
        self.assertEqual(self.get("/bookings", token=other).json, [])
        self.assertEqual(self.delete(booking_id, other).status, 404)
        self.assertIn(booking_id, [b["id"] for b in self.server.all_bookings(self.token)])
        # the room is taken for everybody
        self.assertEqual(self.server.book(other, "2031-08-01").status, 409)
        self.assertEqual(self.delete(booking_id).status, 204)
        self.assertEqual(self.server.book(other, "2031-08-01").status, 201)
        self.assertEqual(len(self.get("/bookings", token=other).json), 1)

    def test_bad_id(self):
        for text in ("1", "%27", NOBODY_ID, NOBODY_ID.upper()):
            self.assert_error(self.delete(text), 404,
                              "the object with the requested id is not found")

    def test_pages(self):
        added = [self.server.book(self.token, day(n), YELLOW).json["id"] for n in range(130)]
        everything = [b["id"] for b in self.server.all_bookings(self.token)]
        self.assertEqual(everything[-130:], added)

        def ids(query):
            return [b["id"] for b in self.get("/bookings" + query, token=self.token).json]

        self.assertEqual(ids(""), everything[:100])
        self.assertEqual(ids("?limit=3"), everything[:3])
        self.assertEqual(ids("?limit=7&offset=20"), everything[20:27])
        self.assertEqual(ids("?offset=999999999"), [])
        for query in ("limit=0", "limit=1001", "limit=-1", "limit=", "limit=1x", "offset=-1",
                      "offset=1000000000", "limit=99999999999999999999", "limit=%31%00"):
            self.assert_error(self.get("/bookings?" + query, token=self.token), 400,
                              "body validation")

    def test_one_winner(self):
        """Forty clients want one room on one day at the same moment."""
        for turn in range(5):
            start, statuses = threading.Barrier(40), []

            def race():
                connection = self.server.connection()
                connection.connect()
                start.wait()
                answer = self.server.book(self.token, day(9000 + turn), connection=connection)
                statuses.append(answer.status)
                connection.close()

            racers = [threading.Thread(target=race) for _ in range(40)]
            for racer in racers:
                racer.start()
            for racer in racers:
                racer.join()
            self.assertEqual(sorted(statuses), [201] + [409] * 39)


class Routing(ServerTest):
    def test_unknown_paths(self):
        for path in ("/", "/rooms/", "/roomsx", "/room", "/rooms//photos", "/Rooms",
                     "/rooms/%s/photos/1" % GREEN, "/bookings/%s/x" % GREEN, "/auth", "/debug/pprof/",
                     "/healthz/"):
            with self.subTest(path=path):
                self.assert_error(self.get(path), 404, "no such route")

    def test_other_spellings_of_a_path(self):
        for path in ("/%72ooms", "/x/../rooms", "/rooms?", "/./rooms", "/../rooms"):
            self.assertEqual(self.get(path).status, 200, path)

    def test_methods(self):
        allowed = {"/healthz": "GET, HEAD", "/auth/login": "POST", "/auth/signup": "POST",
                   "/rooms": "GET, HEAD", "/rooms/" + GREEN: "GET, HEAD",
                   "/rooms/%s/photos" % GREEN: "GET, HEAD", "/imgs/green_1.png": "GET, HEAD",
                   "/bookings": "GET, HEAD, POST", "/bookings/" + GREEN: "GET, HEAD, DELETE",
                   "/trace": "GET, HEAD"}
        for path, allow in allowed.items():
            for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE",
                           "get", "X"):
                if method in allow.split(", "):
                    continue
                if method == "OPTIONS":
                    answer = self.server.request(method, path)
                    self.assertEqual((answer.status, answer.headers["Allow"]),
                                     (204, allow + ", OPTIONS"))
                    continue
                with self.subTest(path=path, method=method):
                    answer = self.server.request(method, path)
                    self.assertEqual((answer.status, answer.headers["Allow"]),
                                     (405, allow + ", OPTIONS"))
                    if method != "HEAD":
                        self.assertEqual(answer.code, "method not allowed")

    def test_nul(self):
        for path in ("/rooms%00", "/rooms/%s%%00" % GREEN, "/%00", "/rooms/%00/photos"):
            self.assert_error(self.get(path), 400, "bad request")

    def test_needs_login(self):
        for method, path in (("GET", "/bookings"), ("POST", "/bookings"),
                             ("DELETE", "/bookings/" + GREEN), ("HEAD", "/bookings")):
            answer = self.server.request(method, path)
            self.assertEqual(answer.status, 401)
            if method != "HEAD":
                self.assertEqual(answer.code, "the jwt token is missing")


class Wire(ServerTest):
    def parse(self, reply, method="POST"):
        head, _, body = reply.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(": ")
            headers["-".join(w.capitalize() for w in name.split("-"))] = value

        class Headers(dict):
            def __missing__(self, key):
                return None

        answer = Answer(int(lines[0].split()[1]), Headers(headers), body)
        self.server.check(answer, method)
        return answer

    def test_too_large_by_length(self):
        answer = self.parse(self.server.raw(
            b"POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n"))
        self.assert_error(answer, 413, "body too large")
        self.assertEqual(int(answer.headers["Content-Length"]), len(answer.body))

    def test_too_large_in_chunks(self):
        answer = self.parse(self.server.raw(
            b"POST /auth/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" +
            b"10000\r\n" + b"x" * 65536))
        self.assert_error(answer, 413, "body too large")

    def test_largest_body(self):
        body = '{"username":"demo","password":"demo"'.ljust(65535) + "}"
        self.assertEqual(self.server.request("POST", "/auth/login", body).status, 200)

    def test_chunked_body(self):
        reply = self.server.raw(
            b"POST /auth/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
            b"Connection: close\r\n\r\n"
            b"12\r\n" + b'{"username":"demo"' + b'\r\n13\r\n,"password":"demo" \r\n1\r\n}\r\n'
            b"0\r\n\r\n")
        self.assertEqual(self.parse(reply).status, 200)

    def test_broken_chunk(self):
        answer = self.parse(self.server.raw(
            b"POST /auth/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"))
        self.assert_error(answer, 400, "bad request")

    def test_ambiguous_framing(self):
        """What two programs in a row could take for different requests."""
        body = b'{"username":"demo","password":"demo"}'
        length = b"Content-Length: %d\r\n" % len(body)
        chunked = b"Transfer-Encoding: chunked\r\n"
        in_chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        smuggled = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
        for headers, content in ((length + b"content-LENGTH: 3\r\n", body), (length * 2, body),
                                 (length + chunked, in_chunks), (chunked + length, in_chunks),
                                 (b"X: y\r\n" + length + b"Content-Length:0\r\n", body)):
            for first in (b"", b"\r\n"):
                with self.subTest(headers=headers):
                    reply = self.server.raw(first + b"POST /auth/login HTTP/1.1\r\nHost: x\r\n" +
                                            headers + b"\r\n" + content + smuggled)
                    self.assertEqual(reply.count(b"HTTP/1.1 "), 1, reply)
                    self.assert_error(self.parse(reply), 400, "bad request")
        # one of them, and what looks like another one in the body
        evil = b'{"username":"demo",\r\nContent-Length: 1\r\n"password":"demo"}'
        reply = self.server.raw(b"POST /auth/login HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                                b"X-Content-Length: 7\r\nContent-Length: %d\r\n\r\n%s" %
                                (len(evil), evil))
        self.assert_error(self.parse(reply), 400, "body validation")

    def test_unknown_expectation(self):
        answer = self.parse(self.server.raw(
            b"POST /auth/login HTTP/1.1\r\nHost: x\r\nExpect: tea\r\nContent-Length: 1\r\n\r\n"))
        self.assert_error(answer, 417, "unknown expectation")

    def test_not_http(self):
        for data in (b"hello\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x00\xa5" * 20,
                     b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET /ro\x00oms HTTP/1.1\r\n\r\n",
                     b"GET /rooms HTTP/1.1\r\n" + b"X: y\r\n" * 101 + b"\r\n"):
            with self.subTest(data=data[:30]):
                answer = self.parse(self.server.raw(data))
                self.assert_error(answer, 400, "bad request")
                self.assertEqual(int(answer.headers["Content-Length"]), len(answer.body))
                self.assertEqual(answer.headers["Connection"], "close")

    def test_not_http_after_requests(self):
        reply = self.server.raw(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 2 + b"hello\r\n\r\n")
        good, _, rest = reply.rpartition(b"HTTP/1.1 ")
        self.assertEqual(good.count(b"HTTP/1.1 200 OK\r\n"), 2)
        self.assert_error(self.parse(b"HTTP/1.1 " + rest), 400, "bad request")

    def test_nothing_is_answered_nothing(self):
        self.assertEqual(self.server.raw(b"\r\n\r\n"), b"")

    def test_no_upgrade_to_http2(self):
        reply = self.server.raw(
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings, close\r\n"
            b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n")
        self.assertTrue(reply.startswith(b"HTTP/1.1 200 "), reply)

    def test_pipelining(self):
        reply = self.server.raw(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 50 +
                                b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        self.assertEqual(reply.count(b"HTTP/1.1 200 OK\r\n"), 51)
        self.assertEqual(len(set(re.findall(b"x-request-id: ([0-9a-f]+)", reply))), 51)

    def test_keep_alive(self):
        connection = self.server.connection()
        connection.connect()
        first = connection.sock
        for n in range(20):
            booking_id = self.server.book(self.token, day(20000 + n), connection=connection)
            answer = self.server.request("DELETE", "/bookings/" + booking_id.json["id"],
                                         token=self.token, connection=connection)
            self.assertEqual(answer.status, 204)
            self.assertEqual(self.get("/nothing", connection=connection).status, 404)
        self.assertIs(connection.sock, first)
        connection.close()


if __name__ == "__main__":
    unittest.main()
