# SPDX-License-Identifier: MIT
"""The probes' counts, by bpftrace, equal those of scripts/load, which knows nothing of them."""

import collections
import os
import re
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import ROOT, Server  # noqa: E402
from tracer import DECLARED, Counter, usdt  # noqa: E402

HANDLERS = {
    "GET /rooms": "handle_rooms_list", "GET /rooms/:id": "handle_rooms_get",
    "GET /rooms/:id/photos": "handle_rooms_photos", "GET /bookings": "handle_bookings_list",
    "POST /bookings": "handle_bookings_add", "DELETE /bookings/:id": "handle_bookings_delete",
    "POST /auth/login": "handle_auth_login", "GET /trace": "handle_trace",
}
METHODS = {"GET": "0", "POST": "2", "DELETE": "3"}  # enum http_method
STATUSES = {"POST /bookings": "201", "DELETE /bookings/:id": "204", "GET /trace": "202"}
LOADS = (["reads", "--seconds", "1"], ["writes", "--seconds", "1"], ["mix", "--seconds", "2"],
         ["login", "--seconds", "1"], ["--bookings", "1500"], ["reads", "--seconds", "1", "--trace"])

# Every probe by its name; some by what tells routes apart, too.
KEYS = {"request__start": "arg2, (int32)arg4", "handler__entry": "(int32)arg1, str(arg2)",
        "request__done": "(int32)arg1, (int32)arg2"}


def script():
    for name in DECLARED:
        more = "@%s[%s] = count();" % (name, KEYS[name]) if name in KEYS else ""
        yield '%s { @all["%s"] = count(); %s }\n' % (usdt(name), name, more)


@unittest.skipUnless(os.geteuid() == 0 and shutil.which("bpftrace"), "needs root and bpftrace")
class Counts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """All loads one after the other, on a server that nobody else talks to."""
        server = Server("--threads", "2")
        url = "http://127.0.0.1:%d" % server.port
        counter = Counter(server, "".join(script()), DECLARED)
        cls.sent = collections.Counter()
        for args in LOADS:
            result = subprocess.run([os.path.join(ROOT, "scripts", "load"), *args, "--url", url],
                                    capture_output=True, text=True, timeout=120)
            assert result.returncode == 0, (args, result.stdout, result.stderr)
            for count, route in re.findall(r"^ +(\d+) ([A-Z]+ /\S+)$", result.stdout, re.M):
                cls.sent[route] += int(count)
        # all connections are closed before the probes go
        assert server.stop() == 0, server.stderr()
        cls.seen = counter.stop()
        server.close()
        cls.all = {name: n for (name,), n in cls.seen["all"].items()}

    def test_load_sends_every_route(self):
        self.assertEqual(set(self.sent), set(HANDLERS))
        for route, count in self.sent.items():
            self.assertGreater(count, 0 if route == "GET /trace" else len(LOADS), route)

    def test_route_by_route(self):
        ids = {name: route for route, name in self.seen["handler__entry"]}
        with open(os.path.join(ROOT, "server", "routes.c"), encoding="utf-8") as file:
            table = re.findall(r"HANDLER\((handle_\w+)\) }", file.read())
        self.assertEqual(ids, {name: str(table.index(name)) for name in HANDLERS.values()})
        self.assertEqual({name: n for (_, name), n in self.seen["handler__entry"].items()},
                         {HANDLERS[route]: n for route, n in self.sent.items()})
        self.assertEqual(self.seen["request__start"], {
            (METHODS[route.split()[0]], ids[HANDLERS[route]]): n
            for route, n in self.sent.items()})
        self.assertEqual(self.seen["request__done"], {
            (ids[HANDLERS[route]], STATUSES.get(route, "200")): n
            for route, n in self.sent.items()})

    def test_all_probes(self):
        """What each route does, and nothing else."""
        sent, count = self.sent, self.all
        total = sum(sent.values())
        rooms = sum(n for route, n in sent.items() if route.startswith("GET /rooms"))
        writes = sent["POST /bookings"] + sent["DELETE /bookings/:id"]
        logins = sent["POST /auth/login"]
        authorized = writes + sent["GET /bookings"] + sent["GET /trace"]
        jobs, commits = writes + logins, count["db__txn__commit"]
        self.assertTrue(0 < commits <= writes)
        expected = {
            "request__start": total, "response__start": total, "request__done": total,
            "handler__entry": total, "handler__return": total,
            "request__run": 2 * jobs, "request__pause": total + 2 * jobs,
            "request__leave": 2 * jobs, "request__account": total,
            "job__enqueue": jobs, "job__dequeue": jobs, "job__reply": jobs,
            "auth__start": authorized, "auth__done": authorized,
            "pwhash__start": logins, "pwhash__done": logins,
            # a token is two objects; bodies of POST
            "json__parse__start": 2 * authorized + sent["POST /bookings"] + logins,
            # each answer but that to DELETE; the claims of a new token
            "json__dump__start": total - sent["DELETE /bookings/:id"] + logins,
            # reads, users, changes; begin and commit
            "db__stmt__start": rooms + authorized + sent["GET /bookings"] + logins + writes +
                               2 * commits,
            "db__own__done": 2 * commits,
            "db__txn__begin": commits, "trace__request": 1,
        }
        for name in ("json__parse", "json__dump", "db__stmt"):
            expected[name + "__done"] = expected[name + "__start"]
        self.assertEqual({name: count.get(name) for name in expected}, expected)
        self.assertEqual(count["conn__open"], count["conn__close"])
        # those that count something else
        self.assertLessEqual(set(count) - set(expected),
                             {"db__txn__commit", "conn__open", "conn__close", "db__checkpoint",
                              "server__state"})


if __name__ == "__main__":
    unittest.main()
