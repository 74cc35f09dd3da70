# SPDX-License-Identifier: MIT
"""The probes of coworkingd, as outsiders see them: readelf on the file, bpftrace on the process."""

import collections
import os
import re
import shutil
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
from harness import DEMO_ID, ROOT, Server, binary, day  # noqa: E402
from tracer import DECLARED, Tracer, notes  # noqa: E402

# The two sets of server/probes.h, as far as a read may pass them.
AS_IT_HAPPENS = {"request__start", "request__run", "request__pause", "request__done",
                 "db__stmt__start", "db__stmt__done"}
FEW_HITS = {"request__start", "request__run", "request__leave", "request__account", "db__own__done"}


class InTheFile(unittest.TestCase):
    def test_one_site_each(self):
        self.assertGreater(len(DECLARED), 20)
        self.assertEqual(sorted(name for name, *_ in notes()), sorted(DECLARED))

    def test_operands_are_plain(self):
        """Registers, constants or the stack: what every reader of probes understands."""
        for name, _, _, _, operands in notes():
            operands = operands.split()
            self.assertEqual(len(operands), len(DECLARED[name]), name)
            for operand, (kind, argument) in zip(operands, DECLARED[name]):
                with self.subTest(probe=name, argument=argument):
                    size = re.fullmatch(r"(-?[48])@(%\w+|\$-?\d+|-?\d*\(%r[sb]p\))",
                                        operand)
                    self.assertTrue(size, operand)
                    self.assertEqual(size.group(1), {"int": "-4", "unsigned int": "4"}.get(
                        kind, "8"))

    def test_readme_lists_all(self):
        with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
            rows = dict(re.findall(r"^\| `(\w+__\w+)` \| ([\w, ]+) \|", file.read(), re.M))
        self.assertEqual(rows, {name: ", ".join(argument for _, argument in arguments)
                                for name, arguments in DECLARED.items()})

    def test_semaphores(self):
        semaphores = [int(semaphore, 16) for _, _, _, semaphore, _ in notes()]
        self.assertNotIn(0, semaphores)
        self.assertEqual(len(set(semaphores)), len(semaphores))

    def test_nop_of_one_byte(self):
        """A nop of five bytes is rewritten by some kernels into a call that breaks callers."""
        text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", "-j", ".text", binary()],
                              capture_output=True, text=True, check=True).stdout
        code = dict(re.findall(r"^ *([0-9a-f]+):\t(.*)$", text, re.M))
        for name, address, _, _, _ in notes():
            self.assertEqual(code["%x" % int(address, 16)].strip(), "nop", name)

    def test_names_in_the_stripped_file(self):
        with tempfile.TemporaryDirectory() as directory:
            stripped = os.path.join(directory, "stripped")
            subprocess.run(["strip", "-o", stripped, binary()], check=True)
            text = subprocess.run(["nm", "-D", "--defined-only", stripped], capture_output=True,
                                  text=True, check=True).stdout
        names = set(re.findall(r" T (\w+)$", text, re.M))
        wanted = set()
        for header in ("handlers.h", "models.h", "auth.h", "json.h", "db.h", "password.h"):
            with open(os.path.join(ROOT, "server", header), encoding="utf-8") as file:
                wanted |= set(re.findall(r"^STEP [\w ]+[ *](\w+)\(", file.read(), re.M))
        self.assertGreater(len([n for n in wanted if n.startswith("handle_")]), 10)
        self.assertEqual(wanted - names, set())
        # and gcc made no clones of them
        self.assertFalse([n for n in names if "." in n])


@unittest.skipUnless(os.geteuid() == 0 and shutil.which("bpftrace"), "needs root and bpftrace")
class Live(unittest.TestCase):
    def trace(self, work, *args):
        """What the probes say while work(server, token) runs on a server of its own."""
        server = Server("--threads", "2", *args)
        token = server.login()
        tracer = Tracer(server)
        server.seen_ids.clear()
        work(server, token)
        # those that the tracer itself sends are not looked at
        seen = set(server.seen_ids)
        events = tracer.stop()
        self.assertEqual(server.close(), 0)
        server.seen_ids = seen
        ids = {int(i, 16) for i in seen}
        return server, [e for e in events if getattr(e, "req_id", None) in ids], events

    def test_simple_read(self):
        server, events, _ = self.trace(lambda server, token: server.request(
            "GET", "/rooms?day_to_book=2033-01-01"))
        self.assertEqual([e.name for e in events], [
            "request__start", "handler__entry", "db__stmt__start", "db__stmt__done",
            "json__dump__start", "json__dump__done", "response__start", "handler__return",
            "request__pause", "request__account", "request__done"])
        self.assertEqual(sum(e.name in AS_IT_HAPPENS for e in events), 5)
        self.assertEqual(sum(e.name in FEW_HITS for e in events), 2)
        start, entry, sql, sql_done, _, dump, response, back, _, account, done = events
        self.assertEqual({"%016x" % e.req_id for e in events}, server.seen_ids)
        self.assertEqual((start.method, start.path, start.body_len), (0, "/rooms", 0))
        self.assertEqual((entry.name, entry.args[2]), ("handler__entry", "handle_rooms_list"))
        self.assertEqual(sql.role, 0)
        self.assertIn("FROM rooms", sql.sql)
        self.assertIn("?1", sql.sql)
        self.assertEqual(sql.stmt_id, sql_done.stmt_id)
        self.assertEqual((sql_done.rc, sql_done.rows), (101, 6))  # a row a photo, SQLITE_DONE
        self.assertGreater(sql_done.vm_steps, 6)
        self.assertEqual((response.status, back.result, done.status), (200, 0, 200))
        self.assertEqual(done.bytes, dump.len)
        self.assertEqual(done.flags, 2)  # keep-alive
        self.assertEqual(start.route_id, done.route_id)
        self.assertEqual((account.route_id, account.status, account.flags),
                         (done.route_id, done.status, done.flags))
        self.assertTrue(0 < account.dur_ns <= done.dur_ns)
        for inner in (sql_done.dur_ns, dump.dur_ns):
            self.assertTrue(0 < inner < done.dur_ns)
        self.assertGreater(done.dur_ns, 0)

    def test_write(self):
        server, events, everything = self.trace(
            lambda server, token: server.book(token, "2033-02-01"))
        steps = [e for e in events if e.name.startswith(("request", "job"))]
        loop = steps[0].tid
        self.assertEqual([e.name for e in steps if e.tid == loop], [
            "request__start", "job__enqueue", "request__leave", "request__pause", "request__run",
            "request__pause", "request__account", "request__done"])
        self.assertEqual([e.name for e in steps if e.tid != loop], [
            "job__dequeue", "request__run", "request__leave", "request__pause", "job__reply"])
        by_name = {e.name: e for e in events}
        self.assertEqual(by_name["auth__done"].args[1:], [0, DEMO_ID])
        self.assertGreater(by_name["auth__start"].token_len, 100)
        self.assertEqual((by_name["json__parse__done"].result, by_name["json__parse__done"].len),
                         (0, by_name["request__start"].body_len))
        self.assertEqual((by_name["job__enqueue"].queue, by_name["job__enqueue"].depth), (1, 1))
        self.assertEqual((by_name["job__reply"].result, by_name["request__done"].status), (0, 201))
        insert, = [e for e in events if e.name == "db__stmt__start" and "INSERT" in e.sql]
        self.assertEqual(insert.role, 1)
        commit = [e for e in everything if e.name == "db__txn__commit"][-1]
        self.assertEqual((commit.n_items, commit.result), (1, 0))
        self.assertTrue(by_name["job__reply"].work_ns > commit.dur_ns > 0)
        runs = [e for e in events if e.name == "request__run"]
        self.assertEqual([r.tid for r in runs],
                         [commit.tid, by_name["request__start"].tid])

    def test_login(self):
        def work(server, token):
            server.login()
            server.request("POST", "/auth/login", {"username": "demo", "password": "no"})

        _, events, _ = self.trace(work)
        hashes = [e for e in events if e.name == "pwhash__done"]
        self.assertEqual([h.result for h in hashes], [0, -13])
        for h in hashes:
            self.assertGreater(h.dur_ns, 2e6)
        self.assertEqual({e.memlimit for e in events if e.name == "pwhash__start"}, {19 << 20})
        self.assertEqual({e.queue for e in events if e.name.startswith("job__")}, {2})

    def test_errors(self):
        def work(server, token):
            server.request("GET", "/nothing")
            server.request("POST", "/bookings", "{", token=token)
            server.request("GET", "/bookings", token="x")
            reply = server.raw(b"POST /rooms HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n")
            server.seen_ids.add(re.search(b"x-request-id: (\\w+)", reply).group(1).decode())

        _, events, _ = self.trace(work)
        done = {e.status: e for e in events if e.name == "request__done"}
        self.assertEqual(set(done), {404, 400, 401, 413})
        self.assertEqual((done[404].route_id, done[413].route_id), (-1, -1))
        auth, = [e for e in events if e.name == "auth__done" and e.result != 0]
        self.assertEqual((auth.req_id, auth.result, auth.user_id), (done[401].req_id, -13, ""))
        parse, = [e for e in events if e.name == "json__parse__done" and e.result != 0
                  and e.req_id == done[400].req_id]
        self.assertEqual((parse.result, parse.len), (-22, 1))

    def test_claims_of_a_forged_token_are_not_read(self):
        """Its header is JSON that is read, its claims only once the signature is right."""
        def work(server, token):
            for one in (server.forge(), server.forge(secret=b"x" * 32)):
                server.request("GET", "/bookings", token=one)

        _, events, _ = self.trace(work)
        statuses = {e.req_id: e.status for e in events if e.name == "request__done"}
        read = collections.Counter(statuses[e.req_id] for e in events
                                   if e.name == "json__parse__start")
        self.assertEqual(read, {200: 2, 401: 1})

    def test_client_that_leaves(self):
        def work(server, token):
            body = b'{"username":"demo","password":"demo"}'
            sock = server.connect()
            sock.sendall(b"POST /auth/login HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" %
                         (len(body), body))
            time.sleep(0.005)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
            time.sleep(1)

        _, _, events = self.trace(work)
        start = [e for e in events if e.name == "request__start" and e.path == "/auth/login"][-1]
        mine = [e.name for e in events if getattr(e, "req_id", None) == start.req_id]
        self.assertEqual((mine[0], mine[-3:]),
                         ("request__start", ["request__pause", "request__account", "request__done"]))
        done = [e for e in events if e.name == "request__done"]
        self.assertEqual([e.flags & 1 for e in done if e.req_id == start.req_id], [1])
        self.assertEqual([e for e in done if e.req_id != start.req_id and e.flags & 1], [])

    def test_every_probe_fires(self):
        """Under everything at once; and a thread works for one request at a time."""
        def client(server, token, number):
            connection = server.connection()
            for n in range(60):
                booking = server.book(token, day(number * 60 + n), connection=connection)
                server.request("GET", "/rooms", connection=connection)
                server.request("GET", "/bookings?limit=3", token=token, connection=connection)
                if n % 2:
                    server.request("DELETE", "/bookings/" + booking.json["id"], token=token,
                                   connection=connection)
                if n % 20 == 0:
                    server.login()
            connection.close()

        def work(server, token):
            threads = [threading.Thread(target=client, args=(server, token, n))
                       for n in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            other = sqlite3.connect(server.db, timeout=20, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            timer = threading.Timer(0.2, lambda: None)
            blocked = threading.Thread(target=server.book, args=(token, "2099-01-01"))
            blocked.start()
            timer.start()
            timer.join()
            other.execute("ROLLBACK")
            blocked.join()
            other.close()
            server.request("GET", "/trace", token=token)
            server.process.terminate()
            server.process.wait(30)

        server, events, everything = self.trace(work)
        self.assertEqual(set(DECLARED) - {e.name for e in everything}, set())
        self.check_counts(server, events)
        self.check_pieces(everything)
        self.check_connections(everything)
        self.check_times(everything)
        self.assertEqual([(e.state, e.connections) for e in everything
                          if e.name == "server__state"], [(2, 1024), (3, 0)])
        transactions = [e.txn_id for e in everything if e.name == "db__txn__begin"]
        first = transactions[0]
        self.assertEqual(transactions, list(range(first, first + len(transactions))))
        self.assertEqual(transactions, [e.txn_id for e in everything
                                        if e.name == "db__txn__commit"])
        busy = [e.tries for e in everything if e.name == "db__busy"]
        self.assertEqual(busy, list(range(len(busy))))
        self.assertGreaterEqual([e for e in everything if e.name == "db__checkpoint"][0].frames,
                                1000)
        trace = [e for e in events if e.name == "trace__request"]
        self.assertEqual([t.user_id for t in trace], [DEMO_ID])

    def check_counts(self, server, events):
        """As many as were sent: 4 * 60 of each kind, half as many deletes, and the rest."""
        ids = {int(i, 16) for i in server.seen_ids}
        count = collections.Counter(e.name for e in events)
        for name in ("request__start", "request__done", "request__account", "response__start"):
            self.assertEqual({e.req_id for e in events if e.name == name}, ids)
            self.assertEqual(count[name], len(ids))
        handlers = collections.Counter(e.args[2] for e in events if e.name == "handler__entry")
        self.assertEqual(handlers, {
            "handle_bookings_add": 241, "handle_rooms_list": 240, "handle_bookings_list": 240,
            "handle_bookings_delete": 120, "handle_auth_login": 12, "handle_trace": 1})
        self.assertEqual(count["request__start"] + count["request__run"], count["request__pause"])
        jobs = 241 + 120 + 12
        for name in ("job__enqueue", "job__dequeue", "job__reply"):
            self.assertEqual(count[name], jobs)
        self.assertEqual((count["request__run"], count["request__leave"]), (2 * jobs, 2 * jobs))
        self.assertEqual(count["pwhash__done"], 12)
        statuses = collections.Counter(e.status for e in events if e.name == "request__done")
        self.assertEqual(statuses, {200: 492, 201: 241, 204: 120, 202: 1})

    def check_connections(self, everything):
        """Each by the sums over its requests, as these tell them."""
        opened = {e.conn_id: e for e in everything if e.name == "conn__open"}
        start = {e.req_id: e for e in everything if e.name == "request__start"}
        done = {e.req_id: e for e in everything if e.name == "request__done"}
        sums = collections.defaultdict(lambda: [0, 0, 0])
        for request in start:
            conn_id = start[request].conn_id
            self.assertEqual(opened[conn_id].tid, start[request].tid)
            self.assertEqual(request >> 56, opened[conn_id].thread)
            counts = sums[conn_id]
            counts[0] += 1
            counts[1] += start[request].body_len
            counts[2] += done[request].bytes
        closed = {e.conn_id: e.args[1:] for e in everything if e.name == "conn__close"}
        self.assertEqual({c: sums[c] for c in closed}, closed)
        self.assertEqual({e.thread for e in opened.values()}, {0, 1})
        self.assertGreater(min(e.fd for e in opened.values()), 2)

    def check_times(self, everything):
        """What the probes say of times, against when they fired: never longer than that.

        The clock is read before a beginning's probe fires, and the thread may have to wait in between,
        but the clock is read after the probe before that.
        """
        begun, last = {}, collections.defaultdict(int)
        for e in everything:
            if e.name in ("request__pause", "job__dequeue"):
                begun[e.name, e.req_id] = last[e.tid]
            elif e.name in ("db__stmt__start", "db__txn__begin", "json__dump__start",
                            "pwhash__start"):
                begun[e.name, e.tid] = last[e.tid]
            last[e.tid] = e.time
            for name, before, key, argument in (
                    ("job__dequeue", "request__pause", "req_id", "wait_ns"),
                    ("job__reply", "job__dequeue", "req_id", "work_ns"),
                    ("db__stmt__done", "db__stmt__start", "tid", "dur_ns"),
                    ("db__txn__commit", "db__txn__begin", "tid", "dur_ns"),
                    ("json__dump__done", "json__dump__start", "tid", "dur_ns"),
                    ("pwhash__done", "pwhash__start", "tid", "dur_ns")):
                if e.name == name:
                    passed = e.time - begun[before, getattr(e, key)]
                    self.assertTrue(0 < getattr(e, argument) < passed, (e, passed))

    def check_pieces(self, everything):
        working = {}
        for e in everything:
            if e.name in ("request__start", "request__run"):
                self.assertIsNone(working.get(e.tid), e)
                working[e.tid] = e.req_id
            elif e.name == "request__pause":
                self.assertEqual(working.get(e.tid), e.req_id, e)
                working[e.tid] = None
            elif e.name.startswith(("db__stmt", "json", "handler", "auth", "pwhash")):
                # whose work it is agrees with what the probe itself says
                self.assertEqual(e.req_id, working.get(e.tid) or 0, e)


if __name__ == "__main__":
    unittest.main()
