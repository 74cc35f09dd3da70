# SPDX-License-Identifier: MIT
"""The settings of coworkingd: file, environment, command line, in this order."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import ROOT, Server, binary  # noqa: E402


class Config(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.file = os.path.join(self.temporary.name, "c.json")

    def tearDown(self):
        self.temporary.cleanup()

    def write(self, value):
        with open(self.file, "w", encoding="utf-8") as file:
            file.write(value if isinstance(value, str) else json.dumps(value))

    def threads(self, *args, **environment):
        server = Server(*args, environment=environment)
        try:
            return int(server.stderr().split(" threads")[0].split()[-1])
        finally:
            self.assertEqual(server.close(), 0)

    def test_order(self):
        self.write({"threads": 2})
        self.assertEqual(self.threads("--config", self.file), 2)
        self.assertEqual(self.threads(COWORKING_CONFIG=self.file), 2)
        self.assertEqual(self.threads("--config", self.file, COWORKING_THREADS="3"), 3)
        self.assertEqual(self.threads("--threads", "4", "--config", self.file,
                                      COWORKING_THREADS="3"), 4)
        self.assertEqual(self.threads("--config", self.file, COWORKING_CONFIG="/nowhere"), 2)

    def test_all_in_a_file(self):
        secret = os.path.join(self.temporary.name, "s")
        with open(secret, "w", encoding="utf-8") as file:
            file.write("k" * 40)
        os.chmod(secret, 0o600)
        self.write({"listen": "[::1]:1", "db": "/nowhere/x", "threads": "2", "connections": 7,
                    "secret_file": secret, "allowed_origins": ["https://a.example",
                                                               "https://b.example"]})
        server = Server("--config", self.file)  # which overrides listen and db
        answer = server.request("GET", "/rooms", headers={"Origin": "https://b.example"})
        self.assertEqual(answer.headers["Access-Control-Allow-Origin"], "https://b.example")
        self.assertEqual(server.request("GET", "/bookings",
                                        token=server.forge(secret=b"k" * 40)).status, 200)
        self.assertEqual(server.close(), 0)

    def test_the_one_we_ship(self):
        with open(os.path.join(ROOT, "server", "data", "coworkingd.json"),
                  encoding="utf-8") as file:
            self.assertIn("listen", json.load(file))
        server = Server("--config", os.path.join(ROOT, "server", "data", "coworkingd.json"))
        self.assertEqual(server.close(), 0)

    def fails(self, status, words, *args, **environment):
        result = subprocess.run([binary(), *args], capture_output=True, text=True, timeout=20,
                                env={**os.environ, **environment})
        self.assertEqual(result.returncode, status, result.stderr)
        self.assertRegex(result.stderr, r"\Acoworkingd: [^\n]+\n\Z")
        self.assertIn(words, result.stderr)

    def test_bad_files(self):
        for value, words in (("", "line"), ("{", "line 1"), ("{\n\"threads\": }", "line 2"),
                             ("[]", "no JSON object"), ("7", "line 1"), ({"what": 1}, '"what"'),
                             ('{"threads":1,"threads":2}', "duplicate"), ({"threads": 0}, '"threads"'),
                             ({"threads": 1.5}, '"threads"'), ({"threads": True}, '"threads"'),
                             ({"threads": None}, '"threads"'), ({"secret-file": "x"}, "unknown"),
                             ({"config": "x"}, "unknown"), ({"db": ""}, '"db"'),
                             ({"db": "x" * 5000}, '"db"'), ({"listen": 8080}, '"listen"'),
                             ({"allowed_origins": [1]}, '"allowed_origins"'),
                             ({"allowed_origins": [""]}, '"allowed_origins"'),
                             ({"allowed_origins": ["https://x.example"] * 17}, "allowed_origins"),
                             ({"allowed_origins": {}}, '"allowed_origins"')):
            with self.subTest(value=str(value)[:40]):
                self.write(value)
                self.fails(1, words, "--config", self.file)
        self.fails(1, "/nowhere", "--config", "/nowhere")
        self.fails(1, self.temporary.name, "--config", self.temporary.name)

    def test_bad_environment(self):
        self.fails(1, "COWORKING_THREADS", COWORKING_THREADS="0")
        self.fails(1, "COWORKING_LISTEN", COWORKING_LISTEN="")
        self.fails(1, "COWORKING_ALLOWED_ORIGINS", COWORKING_ALLOWED_ORIGINS="example.org")

    def test_bad_origins(self):
        for text in ("example.org", "https://", "://x", "https://x/", "https://x/y", "https://x,",
                     ",https://x", "https://a b", "https://x\r\nEvil: 1", "https://\u00e9",
                     "https://" + "x" * 200):
            with self.subTest(text=text):
                self.fails(2, "--allowed-origins", "--allowed-origins", text)

    def test_tls_needs_both(self):
        self.fails(2, "--tls-key", "--tls-certificate", "x")
        self.fails(2, "--tls-key", "--tls-key", "x")


if __name__ == "__main__":
    unittest.main()
