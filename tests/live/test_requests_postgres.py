# SPDX-License-Identifier: MIT
"""periscope requests on PostgreSQL: each statement is counted once, however it was sent."""

import collections
import os
import re

import servers

from harness import LiveTest, children_of, wait_until
from pgwire import SYNC, bind, execute, extended, parse, query

BANK = [  # pgbench's own transaction
    "BEGIN;",
    "UPDATE pgbench_accounts SET abalance = abalance + ? WHERE aid = ?;",
    "SELECT abalance FROM pgbench_accounts WHERE aid = ?;",
    "UPDATE pgbench_tellers SET tbalance = tbalance + ? WHERE tid = ?;",
    "UPDATE pgbench_branches SET bbalance = bbalance + ? WHERE bid = ?;",
    "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) "
    "VALUES (?, ?, ?, ?, CURRENT_TIMESTAMP);",
    "END;",
]
NOT_EXECUTED = "(not executed) "
COLUMNS = ", ".join(f"1 AS a_column_with_a_long_name_{i}" for i in range(4))


class Statements(LiveTest):
    def setUp(self):
        super().setUp()
        self.postgres = servers.Postgres(self)

    def follow(self, work, *args):
        """The summary, and how many requests each row has."""
        result, report, _ = self.watch_while("requests", work, "-p", self.postgres.pid,
                                             "--children", *args)
        summary = result.summary
        self.assertEqual(summary["lost"], 0, result)
        self.assertFalse({"inconsistent", "reused-ids", "unreadable-arguments"} & set(summary),
                         result)
        counts = {row["route"]: row["requests"]
                  for row in self.rows(report, "requests", "routes")}
        self.assertEqual(sum(counts.values()), summary["requests"])
        self.assertEqual(sum(n for name, n in counts.items() if name.startswith(NOT_EXECUTED)),
                         summary.get("not-executed", 0))
        for row in self.rows(report, "requests", "states"):
            times = [ns for key, ns in row.items() if key.endswith("_ns") and key != "mean_ns"]
            self.assertAlmostEqual(sum(times), row["mean_ns"], delta=len(times), msg=row)
        return summary, counts


class Pgbench(Statements):
    """Three clients, 101 transactions each."""

    def bench(self, mode, *args, points=()):
        """How many statements of a text were executed, and how many were not; $1 counts as a value."""
        _, counts = self.follow(lambda: self.postgres.pgbench(
            "-n", "-M", mode, "-c", "3", "-t", "101", *args), *points)
        executed, prepared = collections.Counter(), collections.Counter()
        for name, n in counts.items():
            to = prepared if name.startswith(NOT_EXECUTED) else executed
            to[re.sub(r"\$\d+", "?", name.removeprefix(NOT_EXECUTED))] += n
        return executed, prepared

    def test_each_protocol(self):
        for mode in ("simple", "extended", "prepared"):
            with self.subTest(mode=mode):
                executed, prepared = self.bench(mode)
                self.assertEqual({text: executed[text] for text in BANK}, dict.fromkeys(BANK, 303))
                # Besides it asks for the sizes of its tables.
                self.assertLess(executed.total(), 7 * 303 + 10, executed)
                expected = dict.fromkeys(BANK, 3) if mode == "prepared" else {}
                self.assertEqual(prepared, expected)

    def test_pipelines_and_the_command_line(self):
        path = os.path.join(self.postgres.home, "script.sql")
        with open(path, "w", encoding="ascii") as file:
            file.write("\\startpipeline\nSELECT 1;\nSELECT 'two', 2;\nSELECT 1;\n\\endpipeline\n")
        executed, prepared = self.bench("extended", "-f", path)
        self.assertEqual((executed["SELECT ?;"], executed["SELECT ?, ?;"]), (606, 303), executed)
        self.assertFalse(prepared)
        # As of a server without probes.
        points = ["--request", "pgstat_report_activity(arg2:str)", "null", "--execute", "PortalRun"]
        executed, prepared = self.bench("prepared", points=points)
        self.assertEqual({text: executed[text] for text in BANK}, dict.fromkeys(BANK, 303))
        self.assertEqual(prepared, dict.fromkeys(BANK, 3))
        points = ["--request", "query__start(arg1)", "query__done"]
        _, counts = self.follow(lambda: self.postgres.pgbench("-n", "-S", "-t", "53"), *points)
        self.assertEqual(counts["SELECT abalance FROM pgbench_accounts WHERE aid = ?;"], 53)


class Messages(Statements):
    """What no driver sends, or what pgbench has no way to."""

    def setUp(self):
        super().setUp()
        self.connections = []

    def tearDown(self):
        for connection in self.connections:
            connection.socket.close()
        super().tearDown()

    def connect(self):
        self.connections.append(self.postgres.connect())
        return self.connections[-1]

    def test_counts(self):
        same = "x" * 30
        first, second = (f"SELECT '{same}', {COLUMNS}, now() AS {name}" for name in ("a", "b"))
        fails = "SELECT abalance / (aid - aid) FROM pgbench_accounts"  # once it has a row
        c = self.connect()

        def work():
            for _ in range(3):
                c.run(query("SELECT now()"))
                c.run(query("SELECT now(), a FROM no_such_table"))
                c.run(query("SELEC a_mistake"))
            for _ in range(5):
                self.assertIn(b"E", c.run(query(fails)))
                self.assertIn(b"E", c.run(extended(fails), SYNC))
                self.assertIn(b"E", c.run(extended("SELEC by_message"), SYNC))
            for _ in range(7):
                for sql in ("BEGIN", "SELECT aid FROM pgbench_accounts WHERE aid = 7", "COMMIT"):
                    c.run(extended(sql), SYNC)
            for _ in range(2):
                c.run(query("BEGIN WORK"))
                c.run(extended(fails), SYNC)
                c.run(extended("SELECT in_vain"), SYNC)
                c.run(query("ROLLBACK"))
            for _ in range(11):
                c.run(extended("SELECT current_user"), extended("SELECT current_date"),
                      extended("SELECT current_user"), SYNC)
            # The third fails, so that the fourth is left out.
            c.run(extended("SELECT 'b'::text"), extended("SELECT 'b'::text"), extended(fails),
                  extended("SELECT 'b'::text"), SYNC)
            # The last that is told before an execution need not be the last that was prepared.
            c.run(parse(first, b"first"), parse(second, b"second"), SYNC)
            for _ in range(13):
                c.run(bind(b"first"), execute(), bind(b"second"), execute(), SYNC)
            c.run(bind(b"second"), execute(), SYNC)
            # In parts of two rows, from a portal; and a portal that nobody uses.
            c.run(parse("SELECT generate_series(1, 5)"), bind(), execute(rows=2), execute(rows=2),
                  execute(rows=2), SYNC)
            c.run(parse("SELECT session_user"), bind(), SYNC)
            c.run(SYNC)
            new = self.connect()
            new.run(query("SELECT pg_backend_pid(); SELECT 1"))
            new.close()

        summary, counts = self.follow(work)
        text = f"SELECT ?, {COLUMNS.replace('1 AS', '? AS')}, now() AS "
        expected = {
            "SELECT now()": 3, "SELECT now(), a FROM no_such_table": 3, "SELEC a_mistake": 3,
            fails: 5 + 5 + 2 + 1, NOT_EXECUTED + "SELEC by_message": 5,
            "BEGIN": 7, "SELECT aid FROM pgbench_accounts WHERE aid = ?": 7, "COMMIT": 7,
            "BEGIN WORK": 2, NOT_EXECUTED + "SELECT in_vain": 2, "ROLLBACK": 2,
            "SELECT current_user": 22, "SELECT current_date": 11, "SELECT ?::text": 2,
            NOT_EXECUTED + text + "a": 1, NOT_EXECUTED + text + "b": 1,
            text + "a": 13, text + "b": 14,
            "SELECT generate_series(?, ?)": 3, NOT_EXECUTED + "SELECT session_user": 1,
            "SELECT pg_backend_pid(); SELECT ?": 1,
        }
        self.assertEqual(counts, expected)
        self.assertEqual((summary["no-start"], summary["open"]), (0, 0), summary)

    def test_before_and_after_the_capture(self):
        lock, simple, before, after = (self.connect() for _ in range(4))

        def wait_for(number):
            wait_until(lambda: re.search(rf"^ +{number}$", self.postgres.psql(
                "SELECT count(*) FROM pg_locks WHERE NOT granted").stdout.decode(), re.MULTILINE),
                30, f"{number} to wait")

        lock.run(query("SELECT pg_advisory_lock(1), pg_advisory_lock(2)"))
        before.send(extended("SELECT pg_advisory_lock_shared(1)"), SYNC)
        simple.send(query("SELECT pg_advisory_lock_shared(1)"))
        wait_for(2)

        def work():
            lock.run(query("SELECT pg_advisory_unlock(1)"))
            before.wait()
            simple.wait()
            after.send(extended("SELECT pg_advisory_lock_shared(2)"), SYNC)
            wait_for(1)

        summary, counts = self.follow(work)
        self.assertEqual((summary["no-start"], summary["open"]), (2, 1), summary)
        self.assertFalse([name for name in counts if "shared" in name], counts)

    def test_parallel_workers_are_no_requests(self):
        c = self.connect()
        c.run(query("SET parallel_setup_cost = 0; SET min_parallel_table_scan_size = 0; "
                    "SET parallel_tuple_cost = 0; SET max_parallel_workers_per_gather = 2; "
                    "SET parallel_leader_participation = off"))
        others = set(children_of(self.postgres.pid))

        def work():
            c.run(extended("SELECT count(*) FROM pgbench_accounts"), SYNC)
            wait_until(lambda: set(children_of(self.postgres.pid)) <= others, 30, "workers to exit")

        summary, counts = self.follow(work)
        self.assertEqual(counts, {"SELECT count(*) FROM pgbench_accounts": 1})
        self.assertIn(summary["helpers"], (1, 2))
        self.assertFalse(set(summary) & {"thread-exited", "not-executed"}, summary)
