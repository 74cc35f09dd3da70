# SPDX-License-Identifier: MIT
"""A request is in exactly one state at every moment, and its probes say in which: the table at the
top of server/probes.h, held against what bpftrace sees under all kinds of requests at once."""

import collections
import os
import re
import shutil
import socket
import sqlite3
import struct
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import ROOT, Server, day  # noqa: E402
from tracer import DECLARED, Counter, Tracer, usdt  # noqa: E402

WITH_REQUEST = [name for name, args in DECLARED.items() if args[0][1] == "req_id"]
LOGIN = b'{"username":"demo","password":"demo"}'


class Broken(AssertionError):
    pass


class Machine:
    """Requests and threads by what the probes say; anything else than the table allows is Broken."""

    def __init__(self):
        self.state = {}  # request -> (name, thread)
        self.next = {}  # request -> the state after this piece
        self.loop = {}  # request -> the thread of its loop
        self.queue = {}
        self.answered = {}
        self.leaves = {}  # request -> whether this piece has told that others will follow
        self.working = collections.defaultdict(int)  # thread -> request, 0 for none
        self.done = collections.Counter()  # transitions

    def go(self, event):
        if event.name in ("db__txn__begin", "db__txn__commit"):
            getattr(self, event.name)(event)
        elif event.name not in WITH_REQUEST or (event.req_id == 0 and not self.working[event.tid]):
            return  # the connection's, the server's, the writer's between requests
        elif event.name == "request__start" or event.req_id in self.state:
            getattr(self, event.name, self.inside)(event)

    def move(self, event, request, to, *allowed):
        name, thread = self.state.get(request, ("new", None))
        if (name, thread) not in allowed:
            raise Broken("%r of request %x, which is %s on %s" % (event, request, name, thread))
        self.state[request] = to
        self.done[name, to[0]] += 1

    def inside(self, event):
        """Any probe of a request that is no transition."""
        if self.working[event.tid] != event.req_id:
            raise Broken("%r while the thread works for %x" % (event, self.working[event.tid]))

    def work(self, event, *allowed):
        if self.working[event.tid] != 0:
            raise Broken("%r while the thread works for %x" % (event, self.working[event.tid]))
        self.move(event, event.req_id, ("working", event.tid), *allowed)
        self.working[event.tid] = event.req_id
        self.next[event.req_id] = "sending"
        self.answered[event.req_id] = self.leaves[event.req_id] = False

    def request__start(self, event):
        self.loop[event.req_id] = event.tid
        self.work(event, ("new", None))

    def request__run(self, event):
        allowed = [("taken", event.tid)]
        if self.loop[event.req_id] == event.tid:
            allowed = [("behind the loop", None)]
        self.work(event, *allowed)

    def job__enqueue(self, event):
        self.inside(event)
        self.next[event.req_id], self.queue[event.req_id] = "queued", event.queue

    def response__start(self, event):
        self.inside(event)
        self.answered[event.req_id] = True

    def request__leave(self, event):
        self.inside(event)
        self.leaves[event.req_id] = True

    def request__pause(self, event):
        self.inside(event)
        last = self.next[event.req_id] == "sending" and event.tid == self.loop[event.req_id]
        if self.leaves[event.req_id] == last:
            raise Broken("%r, which is the last: %s" % (event, last))
        self.working[event.tid] = 0
        to = (self.next[event.req_id], None)
        if event.tid != self.loop[event.req_id]:
            to = ("commit" if self.queue[event.req_id] == 1 else "reply's turn", event.tid)
        self.move(event, event.req_id, to, ("working", event.tid))

    def job__dequeue(self, event):
        if self.queue[event.req_id] != event.queue:
            raise Broken(repr(event))
        self.move(event, event.req_id, ("taken", event.tid), ("queued", None))

    def job__reply(self, event):
        self.move(event, event.req_id, ("behind the loop", None), ("reply's turn", event.tid))

    def db__txn__begin(self, event):
        for request, (name, thread) in self.state.items():
            if thread == event.tid and name != "taken":
                raise Broken("%r while %x is %s" % (event, request, name))

    def db__txn__commit(self, event):
        shared = [request for request, (_, thread) in self.state.items() if thread == event.tid]
        if len(shared) != event.n_items:
            raise Broken("%r shared by %d" % (event, len(shared)))
        # a transaction that failed has not come to all of them
        allowed = [("commit", event.tid)] + [("taken", event.tid)] * (event.result != 0)
        for request in shared:
            self.move(event, request, ("reply's turn", event.tid), *allowed)

    def request__account(self, event):
        self.move(event, event.req_id, ("sending", None), ("sending", None))

    def request__done(self, event):
        if not self.answered[event.req_id] and not event.flags & 1:
            raise Broken("%r without an answer" % event)
        self.move(event, event.req_id, ("done", None), ("sending", None))


def client(server, token, number):
    connection = server.connection()
    for n in range(40):
        booking = server.book(token, day(number * 100 + n), connection=connection)
        server.book(token, day(number * 100 + n), connection=connection)  # 409
        server.request("GET", "/rooms", connection=connection)
        server.request("GET", "/bookings?limit=3", token=token, connection=connection)
        server.request("DELETE", "/bookings/" + booking.json["id"], token=token,
                       connection=connection)
        if n % 8 == 0:
            server.login()
            name = "u%d-%d" % (number, n)
            server.request("POST", "/auth/signup", {
                "email": name + "@example.org", "username": name, "password": "x"})
    connection.close()


def oddities(server, token):
    """What is refused, what comes at once, and those that leave."""
    for n in range(15):
        server.raw(b"hello\r\n\r\n")
        server.raw(b"POST /rooms HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n")
        server.raw(b"GET /rooms HTTP/1.1\r\nHost: x\r\n\r\n" * 20 +
                   b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        sock = server.connect()
        sock.sendall(b"POST /auth/login HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" %
                     (len(LOGIN), LOGIN))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()


def everything(server, token):
    threads = [threading.Thread(target=client, args=(server, token, n)) for n in range(4)]
    threads.append(threading.Thread(target=oddities, args=(server, token)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@unittest.skipUnless(os.geteuid() == 0 and shutil.which("bpftrace"), "needs root and bpftrace")
class States(unittest.TestCase):
    def test_the_table_is_in_the_header(self):
        """The names of the states there are those of this test."""
        with open(os.path.join(ROOT, "server", "probes.h"), encoding="utf-8") as file:
            states = re.findall(r"^ \*   ([a-z][a-z' ]*?)  +\S", file.read(), re.M)
        self.assertEqual(states, ["working", "queued", "taken", "commit", "reply's turn",
                                  "behind the loop", "sending"])

    def trace(self, work, *args):
        server = Server("--threads", "2", *args)
        token = server.login()
        tracer = Tracer(server)
        work(server, token)
        self.assertEqual(server.stop(), 0)
        machine = Machine()
        for event in tracer.stop():
            machine.go(event)
        server.close()
        left = {state for state, _ in machine.state.values()}
        self.assertEqual(left, {"done"})
        self.assertEqual(set(machine.working.values()), {0})
        return machine

    def test_all_kinds_at_once(self):
        done = self.trace(everything).done
        writes, logins, signups = 4 * 40 * 3, 4 * 5 + 15, 4 * 5
        jobs = writes + logins + 2 * signups
        self.assertEqual(done["queued", "taken"], jobs)
        self.assertEqual(done["taken", "working"], jobs)
        self.assertEqual(done["working", "commit"], writes + signups)
        self.assertEqual(done["commit", "reply's turn"], writes + signups)
        self.assertEqual(done["working", "reply's turn"], logins + signups)
        self.assertEqual(done["reply's turn", "behind the loop"], jobs)
        self.assertEqual(done["behind the loop", "working"], jobs)
        requests = 4 * 40 * 5 + logins + signups + 15 * (2 + 21)
        self.assertEqual(done["new", "working"], requests)
        self.assertEqual(done["sending", "done"], requests)

    def test_transaction_that_fails(self):
        """Nobody can begin one while another process has the lock for longer than is waited."""
        def work(server, token):
            other = sqlite3.connect(server.db, timeout=20, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            self.assertEqual(server.book(token, day(1)).status, 503)
            other.execute("ROLLBACK")
            other.close()

        done = self.trace(work).done
        self.assertEqual((done["taken", "reply's turn"], done["taken", "working"]), (1, 0))

    def test_writes_in_the_loop(self):
        """The demo fault: then the loop itself is at work on them all the time."""
        done = self.trace(lambda server, token: client(server, token, 0), "--demo-fault",
                          "blocking-writes").done
        self.assertEqual(done["working", "commit"], 0)
        self.assertGreater(done["working", "sending"], 150)


# Where work is really done, without a word from the server's own probes.
WORK = {
    "json": "uprobe:libjansson:json_dumps", "parse": "uprobe:libjansson:json_loadb",
    "hash": "uprobe:libsodium:crypto_pwhash_str_verify", "sql": "uprobe:libsqlite3:sqlite3_step",
    "send": "tracepoint:syscalls:sys_enter_writev",
}


@unittest.skipUnless(os.geteuid() == 0 and shutil.which("bpftrace"), "needs root and bpftrace")
class Work(unittest.TestCase):
    """Between run and pause lies all that is done for a request."""

    LIBRARY = "/usr/lib/x86_64-linux-gnu/%s.so.%d"
    PATHS = {"libjansson": LIBRARY % ("libjansson", 4), "libsodium": LIBRARY % ("libsodium", 23),
             "libsqlite3": LIBRARY % ("libsqlite3", 0)}

    def script(self, pid):
        begin = "%s, %s { @in[tid] = arg0; }" % (usdt("request__start"), usdt("request__run"))
        yield begin
        yield "%s { delete(@in[tid]); }" % usdt("request__pause")
        yield "%s { @commits = count(); }" % usdt("db__txn__commit")
        for kind, where in WORK.items():
            for library, path in self.PATHS.items():
                where = where.replace(":" + library + ":", ":" + path + ":")
            yield ('%s /pid == %d/ { if (@in[tid]) { @inside["%s"] = count(); } else '
                   '{ @outside["%s", comm] = count(); } }' % (where, pid, kind, kind))

    def test_nothing_outside(self):
        server = Server("--threads", "2")
        token = server.login()
        counter = Counter(server, "\n".join(self.script(server.process.pid)),
                          ("request__start", "request__run", "request__pause",
                           "db__txn__commit"))
        client(server, token, 0)
        oddities(server, token)
        self.assertEqual(server.stop(), 0)
        maps = counter.stop()
        server.close()
        inside = {kind: n for (kind,), n in maps["inside"].items()}
        for kind in WORK:
            self.assertGreater(inside.get(kind, 0), 10, (kind, maps))
        # only the writer's begins and commits, for all at once
        self.assertEqual({key: n for key, n in maps["outside"].items() if key[1].startswith("cw-")},
                         {("sql", "cw-writer"): 2 * maps["commits"][("",)]}, maps)


if __name__ == "__main__":
    unittest.main()
