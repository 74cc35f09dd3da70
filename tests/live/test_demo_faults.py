# SPDX-License-Identifier: MIT
"""coworkingd's demo faults, each found as README says: by what a command counts, with and without it."""

import os
import signal
import threading

import servers
from harness import LiveTest, Tool, parse_folded

BOOKINGS = 37


class Fault(LiveTest):
    fault = None

    def serve(self, *args, fault=True):
        """A server, with the fault or without, and a user who has logged in."""
        server = servers.coworkingd(self, *args, *(["--demo-fault", self.fault] if fault else []))
        return server, server.login()

    def book(self, server, token, n):
        connection = server.connection()
        for day in map(servers.server_harness().day, range(n)):
            self.assertEqual(server.book(token, day, connection=connection).status, 201)
        self.end(server, connection)

    def get(self, server, path, n, token=None):
        connection = server.connection()
        for _ in range(n):
            answer = server.request("GET", path, token=token, connection=connection)
            self.assertEqual(answer.status, 200)
        self.end(server, connection)

    def end(self, server, connection):
        """An answer may be here before its request is over; but not when the next one is, too."""
        server.request("GET", "/healthz", connection=connection)
        connection.close()

    def follow(self, server, work, *args):
        """Tables of periscope requests while work() lasts."""
        result, report, _ = self.watch_while("requests", work, "-p", server.process.pid, *args)
        self.assertEqual(result.summary["lost"], 0, result)
        return report

    def row(self, report, section, key, route):
        return next(row for row in self.rows(report, section, key) if row["route"] == route)

    def stacks(self, command, server, work, *args):
        """Folded stacks of a command while work() lasts."""
        folded = os.path.join(self.temp_dir(), "stacks.folded")
        self.watch_while(command, work, "-p", server.process.pid, *args, "-o", folded)
        with open(folded, encoding="utf-8") as file:
            return parse_folded(file.read())

    def statements(self, report, words, route):
        """Calls, rows and VM steps of a route's statements with these words in their text."""
        rows = [row for row in self.rows(report, "sql", "statements")
                if row["route"] == route and words in row["statement"]]
        return tuple(sum(row[key] for row in rows) for key in ("calls", "rows", "steps"))


class AllBookings(Fault):
    fault = "all-bookings"

    def test_rows_grow_with_every_booking(self):
        for fault, each in ((True, BOOKINGS), (False, 0)):
            server, token = self.serve(fault=fault)
            self.book(server, token, BOOKINGS)
            report = self.follow(server, lambda: self.get(server, "/rooms", 23))
            _, rows, _ = self.statements(report, "created_at FROM bookings", "GET /rooms")
            self.assertEqual(rows, 23 * each)


class EmailLookup(Fault):
    fault = "email-lookup"

    def test_a_statement_that_finds_nothing_and_takes_long(self):
        for fault, calls in ((True, 29), (False, 0)):
            server, token = self.serve(fault=fault)
            report = self.follow(server, lambda: self.get(server, "/bookings", 29, token))
            seen, rows, steps = self.statements(report, "FROM temp.emails", "GET /bookings")
            self.assertEqual((seen, rows), (calls, 0))
            self.assertGreaterEqual(steps, 15000 * calls)


class JwtSplit(Fault):
    fault = "jwt-split"

    def allocations(self, fault):
        """Of each GET /bookings; length of the token."""
        server, token = self.serve("--threads", "1", fault=fault)
        self.get(server, "/bookings", 3, token)  # what the thread allocates once
        report = self.follow(server, lambda: self.get(server, "/bookings", 31, token), "--alloc")
        row = self.row(report, "use", "use", "GET /bookings")
        self.assertEqual(row["requests"], 31)
        return row["allocations"] / 31, len(token)

    def test_an_allocation_for_each_character_of_the_token(self):
        bare, _ = self.allocations(False)
        with_it, length = self.allocations(True)
        self.assertAlmostEqual(with_it - bare, length + 1, delta=1)


class BlockingWrites(Fault):
    fault = "blocking-writes"

    def test_neither_queue_nor_commit(self):
        for fault in (True, False):
            server, token = self.serve(fault=fault)
            report = self.follow(server, lambda: self.book(server, token, 11))
            row = self.row(report, "requests", "states", "POST /bookings")
            self.assertEqual(row["requests"], 11)
            for state in ("writer_queue_ns", "commit_ns"):
                self.assertEqual(row.get(state, 0) == 0, fault, row)

    def test_loops_wait_where_they_write(self):
        for fault in (True, False):
            server, token = self.serve(fault=fault)
            stacks = self.stacks("offcpu", server, lambda: self.book(server, token, 11), "--no-idle",
                                 "--per-thread")
            found = [(comm, user) for comm, user, _ in stacks if "db_writer_block" in user]
            self.assertEqual(bool(found), fault)
            for comm, user in found:
                self.assertTrue(any("cw-loop-" in name for name in (comm, *user)), (comm, user))


class JsonLock(Fault):
    fault = "json-lock"

    def load(self, server, token):
        """Eight clients at once, until it was enough for two loops to meet."""
        clients = [threading.Thread(target=self.get,
                                    args=(server, "/bookings?limit=1000", 40, token))
                   for _ in range(8)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()

    def test_waits_for_the_lock(self):
        server, token = self.serve("--threads", "2")
        self.book(server, token, 500)
        # On a busy machine the loops may come to their CPUs by turns, and never meet: once more.
        for _ in range(10):
            stacks = self.stacks("offcpu", server, lambda: self.load(server, token),
                                 "--reason", "futex", "--value", "waits")
            waits = sum(n for (_, user, _), n in stacks.items() if "fault_json_lock" in user)
            if waits:
                break
        self.assertGreater(waits, 0, stacks)
        server, token = self.serve("--threads", "2", fault=False)
        stacks = self.stacks("offcpu", server, lambda: self.load(server, token),
                             "--reason", "futex", "--value", "waits")
        self.assertFalse([user for _, user, _ in stacks if "json" in " ".join(user)])


class Memory(Fault):
    def held(self, server, work, value):
        """What is held at the end, by user stack: objects or bytes."""
        folded = os.path.join(self.temp_dir(), "held.folded")
        with Tool("heap", "-p", server.process.pid, "-v", "--force", "--sample-index", value, "-o",
                  folded) as tool:
            tool.wait_capturing()
            work()
            tool.popen.send_signal(signal.SIGINT)
            self.assert_ok(tool.finish())
        with open(folded, encoding="utf-8") as file:
            return parse_folded(file.read())

    def sum_below(self, stacks, function):
        return sum(n for (_, user, _), n in stacks.items() if function in user)

    def test_leak(self):
        self.fault = "leak"
        server, _ = self.serve()
        stacks = self.held(server, lambda: self.get(server, "/rooms", 41), "inuse_space")
        self.assertEqual(self.sum_below(stacks, "fault_leak"), 42 * 256)

    def test_growing_cache(self):
        self.fault = "growing-cache"
        server, _ = self.serve()
        stacks = self.held(server, lambda: self.get(server, "/rooms", 41), "inuse_objects")
        # an entry, its key and its text, of 41 and the last
        self.assertEqual(self.sum_below(stacks, "fault_remember"), 3 * 42)
