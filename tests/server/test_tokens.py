# SPDX-License-Identifier: MIT
"""Attacks on the tokens of coworkingd. Each is a valid token but for one thing."""

import base64
import hashlib
import hmac
import json
import os
import re
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import NOBODY_ID, ServerTest, base64url, binary  # noqa: E402


class Tokens(ServerTest):
    @property
    def good(self):
        return self.token

    def use(self, value):
        return self.server.request("GET", "/bookings", headers={"Authorization": value})

    def assert_refused(self, token):
        answer = self.use("Bearer " + token)
        self.assertEqual((answer.status, answer.code), (401, "the jwt token is not valid"))
        self.assertIn("invalid_token", answer.headers["WWW-Authenticate"])

    def assert_accepted(self, token):
        self.assertEqual(self.use("Bearer " + token).status, 200)

    def test_forged_with_the_secret(self):
        """The control: what the other tests change one thing of."""
        self.assert_accepted(self.server.forge())

    def test_own_claims(self):
        head, claims, _ = (base64.urlsafe_b64decode(part + "==") for part in
                           self.good.split("."))
        self.assertEqual(json.loads(head), {"alg": "HS256", "typ": "JWT"})
        claims = json.loads(claims)
        self.assertEqual(claims["exp"] - claims["iat"], 30 * 60)
        self.assertLess(abs(claims["iat"] - time.time()), 30)

    def test_other_secret(self):
        self.assert_refused(self.server.forge(secret=b"x" * 64))
        self.assert_refused(self.server.forge(secret=self.server.secret()[:-1]))

    def test_algorithms(self):
        for alg in ("none", "None", "NONE", "", "hs256", "HS384", "HS512", "RS256", "ES256", None,
                    256, ["HS256"]):
            with self.subTest(alg=alg):
                self.assert_refused(self.server.forge(header={"alg": alg, "typ": "JWT"}))
        self.assert_refused(self.server.forge(header={"typ": "JWT"}))

    def test_none_without_signature(self):
        head = base64url(b'{"alg":"none","typ":"JWT"}')
        claims = self.good.split(".")[1]
        for token in ("%s.%s." % (head, claims), "%s.%s" % (head, claims)):
            self.assert_refused(token)

    def test_hs512_signed_as_such(self):
        head = base64url(b'{"alg":"HS512","typ":"JWT"}')
        text = head + "." + self.good.split(".")[1]
        mac = hmac.new(self.server.secret(), text.encode(), hashlib.sha512).digest()
        self.assert_refused(text + "." + base64url(mac))

    def test_header(self):
        for header in ([], "HS256", {"alg": "HS256", "typ": "JOSE"},
                       {"alg": "HS256", "crit": ["exp"]}):
            self.assert_refused(self.server.forge(header=header))
        self.assert_accepted(self.server.forge(header={"alg": "HS256"}))

    def test_signature(self):
        text, _, mac = self.good.rpartition(".")
        raw = bytearray(base64.urlsafe_b64decode(mac + "="))
        for bit in [*range(0, 256, 9), 255]:  # in every byte
            changed = bytearray(raw)
            changed[bit // 8] ^= 1 << bit % 8
            self.assert_refused(text + "." + base64url(changed))
        self.assert_refused(text + "." + base64url(raw[:-1]))
        self.assert_refused(text + "." + base64url(raw + b"\0"))
        self.assert_refused(text + ".")

    def test_signature_that_is_too_short(self):
        """Whatever the last good one has left in memory."""
        text, _, mac = self.good.rpartition(".")
        raw = base64.urlsafe_b64decode(mac + "=")
        for length in range(32):
            self.assert_accepted(self.good)
            self.assert_refused(text + "." + base64url(raw[:length]))

    def test_constant_time(self):
        """Signatures are compared by libsodium, in a time that does not depend on them."""
        code = subprocess.run(["objdump", "-d", "--disassemble=jwt_verify", binary()],
                              capture_output=True, text=True, check=True).stdout
        called = set(re.findall(r"\bcall\s+\S+ <(\w+)", code))
        self.assertIn("sodium_memcmp", called)
        self.assertFalse(called & {"memcmp", "bcmp"}, called)

    def test_claims_changed(self):
        head, claims, mac = self.good.split(".")
        changed = json.loads(base64.urlsafe_b64decode(claims + "=="))
        changed["exp"] += 1
        self.assert_refused(".".join((head, base64url(json.dumps(changed).encode()), mac)))

    def test_truncated(self):
        for length in (0, 1, 10, len(self.good) // 2, len(self.good) - 1):
            with self.subTest(length=length):
                answer = self.use("Bearer " + self.good[:length])
                self.assertEqual(answer.status, 401)

    def test_encoding(self):
        head, claims, mac = self.good.split(".")
        # the last character of 32 bytes in base64 carries two bits that must be zero
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        stray = mac[:-1] + alphabet[alphabet.index(mac[-1]) + 1]
        for token in (self.good + "=", "%s.%s.%s" % (head + "=", claims, mac),
                      "%s.%s.%s" % (head, claims, stray), self.good + ".", "." + self.good,
                      self.good + ".x", self.good.replace(".", "..", 1), self.good + " x",
                      " ".join(self.good.split(".")), self.good + "\u00e9", "a.b.c", "..", "."):
            with self.subTest(token=token[-20:]):
                self.assert_refused(token)

    def test_times(self):
        now = int(time.time())
        for claims in ({"exp": now - 10}, {"exp": 0}, {"exp": -1}, {"exp": -2 ** 63},
                       {"exp": str(now + 600)}, {"exp": now + 600.5}, {"exp": None},
                       {"exp": True}, {"iat": now + 600}, {"nbf": now + 600}, {"nbf": "now"},
                       {"iat": "now"}):
            with self.subTest(claims=claims):
                self.assert_refused(self.server.forge(claims))
        self.assert_refused(self.server.forge(remove=["exp"]))
        for claims in ({"exp": now + 2}, {"exp": 2 ** 63 - 1}, {"nbf": now - 10}):
            self.assert_accepted(self.server.forge(claims))

    def test_subject(self):
        for sub in (NOBODY_ID, "demo", "demo@example.org", "", None, 1, ["x"], "' OR 1=1 --"):
            with self.subTest(sub=sub):
                self.assert_refused(self.server.forge({"sub": sub}))
        self.assert_refused(self.server.forge(remove=["sub"]))

    def test_issuer_and_audience(self):
        for claims in ({"iss": "other"}, {"aud": "other"}, {"aud": ["coworking"]}):
            self.assert_refused(self.server.forge(claims))
        self.assert_refused(self.server.forge(remove=["iss"]))
        self.assert_refused(self.server.forge(remove=["aud"]))

    def test_too_long(self):
        self.assert_refused(self.server.forge({"x": "x" * 1024}))
        self.assert_refused("x" * 8000)

    def test_scheme(self):
        for value in ("bearer " + self.good, "BEARER " + self.good, "Bearer  " + self.good):
            self.assertEqual(self.use(value).status, 200)
        for value in (self.good, "Basic ZGVtbzpkZW1v", "Bearer", "Bearer" + self.good, ""):
            answer = self.use(value)
            self.assertEqual((answer.status, answer.code), (401, "the jwt token is missing"))

    def test_two_headers(self):
        reply = self.server.raw(
            b"GET /bookings HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" +
            b"Authorization: Bearer %s\r\n" % self.good.encode() * 2 + b"\r\n")
        self.assertTrue(reply.startswith(b"HTTP/1.1 401 "), reply)


if __name__ == "__main__":
    unittest.main()
