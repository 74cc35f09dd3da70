# SPDX-License-Identifier: MIT
"""Accounts: signing up, and the limit on failed logins."""

import os
import sqlite3
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Server, ServerTest  # noqa: E402

TAKEN = "this email has been already registered"


class Signup(ServerTest):
    def post(self, body):
        return self.server.request("POST", "/auth/signup", body)

    def signup(self, name, **more):
        return self.post({"email": name + "@example.org", "username": name, "password": "p" + name,
                          **more})

    def users(self, where, *args):
        with sqlite3.connect(self.server.db, timeout=20) as db:
            rows = db.execute("SELECT id, email, username, password_hash FROM users WHERE " + where,
                              args).fetchall()
        db.close()
        return rows

    def test_new_user_logs_in_and_books(self):
        answer = self.signup("one")
        self.assertEqual((answer.status, list(answer.json)), (201, ["id"]))
        (user_id, email, name, text), = self.users("username = 'one'")
        self.assertEqual((user_id, email, name), (answer.json["id"], "one@example.org", "one"))
        self.assertRegex(text, r"^\$argon2id\$v=19\$m=19456,t=2,p=1\$")
        token = self.server.login("one", "pone")
        self.assertEqual(self.server.book(token, "2040-01-01").status, 201)
        self.assertEqual(len(self.server.all_bookings(token)), 1)
        answer = self.server.request("POST", "/auth/login",
                                     {"username": "one", "password": "pone "})
        self.assertEqual(answer.status, 401)

    def test_taken(self):
        self.assertEqual(self.signup("two").status, 201)
        for more in ({}, {"username": "other2"}, {"email": "other2@example.org"},
                     {"username": "other2", "email": "TWO@Example.ORG"}):
            answer = self.signup("two", **more)
            self.assertEqual((answer.status, answer.code), (409, TAKEN), more)
        self.assertEqual(len(self.users("email LIKE '%two%' OR username = 'other2'")), 1)
        # the demo user is one like others
        self.assertEqual(self.signup("demo").status, 409)

    def test_email_is_kept_in_lower_case(self):
        self.assertEqual(self.signup("cap", email="Cap.Ital@Example.ORG").status, 201)
        self.assertEqual(len(self.users("email = 'cap.ital@example.org'")), 1)

    def test_names_beyond_ascii(self):
        self.assertEqual(self.signup("jos\u00e9 \u732b", email="x@\u4f8b.example").status, 201)
        self.server.login("jos\u00e9 \u732b", "pjos\u00e9 \u732b")

    def test_bad_bodies(self):
        good = {"email": "bad@example.org", "username": "bad", "password": "x"}
        bodies = [None, "", "{", "[]", {}, '{"email":"a@b","email":"a@b"}']
        for key in good:
            bodies.append({k: v for k, v in good.items() if k != key})
            bodies += [{**good, key: value} for value in ("", 1, None, ["x"], "x" * 70 * 16)]
        bodies += [{**good, "email": text} for text in
                   ("bad", "@example.org", "bad@", "a@b@c", "a b@c", "a@b\n", "a\t@b", "a@\x7f",
                    "x" * 243 + "@example.org")]
        bodies += [{**good, "username": text} for text in ("a\nb", "\x01", "x" * 257)]
        for body in bodies:
            with self.subTest(body=str(body)[:60]):
                answer = self.post(body)
                self.assertEqual((answer.status, answer.code), (400, "body validation"))
        self.assertEqual(self.users("username LIKE 'bad%'"), [])

    def test_one_winner(self):
        """The check before hashing lets all of them through; the database does not."""
        start, answers = threading.Barrier(8), []

        def race(n):
            start.wait()
            answers.append(self.signup("race", **({"username": "race%d" % n} if n % 2 else {})))

        racers = [threading.Thread(target=race, args=(n,)) for n in range(8)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
        self.assertEqual(sorted(a.status for a in answers), [201] + [409] * 7)
        self.assertEqual(len(self.users("email = 'race@example.org'")), 1)


class LoginLimit(unittest.TestCase):
    def try_login(self, server, username, password="wrong"):
        return server.request("POST", "/auth/login", {"username": username, "password": password})

    def test_failed_logins_of_a_name(self):
        server = Server()
        for _ in range(10):
            self.assertEqual(self.try_login(server, "demo").status, 401)
        answer = self.try_login(server, "demo")
        self.assertEqual((answer.status, answer.code), (429, "too many failed logins"))
        self.assertTrue(1 <= int(answer.headers["Retry-After"]) <= 6, answer.headers)
        # the right password does not get through either, or guessing would go on
        self.assertEqual(self.try_login(server, "demo", "demo").status, 429)
        # nobody else is locked out, and who is in stays in
        self.assertEqual(self.try_login(server, "someone").status, 401)
        self.assertEqual(server.close(), 0)

    def test_failed_logins_of_an_address(self):
        server = Server()
        statuses = [self.try_login(server, "name%d" % n).status for n in range(60)]
        self.assertEqual(statuses[:50], [401] * 50)
        self.assertIn(429, statuses[50:])
        self.assertEqual(server.close(), 0)

    def test_good_logins_are_not_counted(self):
        server = Server()
        for _ in range(60):
            server.login()
        self.assertEqual(server.close(), 0)


if __name__ == "__main__":
    unittest.main()
