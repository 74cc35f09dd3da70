# SPDX-License-Identifier: MIT
"""Servers to try periscope on: coworkingd and its load, PostgreSQL and pgbench, nginx. Each ends with its test."""

import glob
import http.client
import importlib.util
import os
import pwd
import re
import socket
import subprocess

import pgwire

from harness import BUILD, REPO, Process, children_of, wait_until


def server_harness():
    """tests/server/harness.py, whose name is taken here."""
    path = os.path.join(REPO, "tests", "server", "harness.py")
    spec = importlib.util.spec_from_file_location("server_harness", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def coworkingd(test, *args):
    """A running coworkingd, as tests/server/harness.py has it."""
    os.environ["BUILD_DIR"] = BUILD
    server = server_harness().Server(*args)
    test.addCleanup(server.close)
    return server


def load(server, *args):
    """Runs scripts/load on a coworkingd; what it sent, by route: "GET /rooms/*" -> number."""
    script = os.path.join(REPO, "scripts", "load")
    command = [script, *args, "--url", f"http://127.0.0.1:{server.port}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    if done.returncode:
        raise AssertionError(f"{done.args}: {done.stdout}{done.stderr}")
    sent = re.findall(r"^ +(\d+) ([A-Z]+ /\S*)$", done.stdout, re.MULTILINE)
    return {re.sub(":[a-z]+", "*", route): int(n) for n, route in sent}


class Postgres:
    """A PostgreSQL with pgbench's tables; its data lie below the test's directory."""

    def __init__(self, test):
        self.test = test
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"))
        test.assertTrue(found, "PostgreSQL is not installed: scripts/setup test installs it")
        self.bin = os.path.dirname(found[-1])
        self.home = test.temp_dir()
        user = pwd.getpwnam("postgres")
        os.chown(self.home, user.pw_uid, user.pw_gid)
        # The server refuses to run as root.
        self.as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [],
                        "cwd": self.home}
        data = os.path.join(self.home, "data")
        self.run("initdb", "-D", data, "-U", "bench", "-A", "trust", "--no-sync")
        self.process = Process(
            [f"{self.bin}/postgres", "-D", data, "-k", self.home, "-c", "listen_addresses=",
             "-c", "fsync=off", "-c", "autovacuum=off"], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, **self.as_user)
        test.addCleanup(self.process.stop, 2)
        self.pid = self.process.pid
        wait_until(lambda: os.path.exists(os.path.join(self.home, ".s.PGSQL.5432")), 30, "PostgreSQL")
        wait_until(lambda: self.psql("SELECT 1").returncode == 0, 30, "PostgreSQL to answer")
        self.pgbench("-i", "-q")

    def run(self, program, *args):
        done = subprocess.run([f"{self.bin}/{program}", *args], capture_output=True, text=True,
                              timeout=100, check=False, **self.as_user)
        self.test.assertEqual(done.returncode, 0, done)
        return done.stdout

    def psql(self, sql):
        return subprocess.run([f"{self.bin}/psql", "-h", self.home, "-U", "bench", "-c", sql,
                               "postgres"], capture_output=True, timeout=30, check=False,
                              **self.as_user)

    def connect(self):
        return pgwire.Connection(self.home, "bench", "postgres")

    def pgbench(self, *args):
        return self.run("pgbench", "-h", self.home, "-U", "bench", *args, "postgres")


class Nginx:
    """An nginx with two workers that serves one small file, /a.txt."""

    def __init__(self, test):
        home = test.temp_dir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        temporary = "".join(f"{kind}_temp_path {home}/{kind};" for kind in
                            ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        with open(f"{home}/conf", "w", encoding="ascii") as file:
            file.write(f"worker_processes 2; daemon off; pid {home}/pid; error_log {home}/log;"
                       f"events {{}} http {{ access_log off; {temporary}"
                       f"server {{ listen 127.0.0.1:{self.port}; root {home}; }} }}")
        with open(f"{home}/a.txt", "w", encoding="ascii") as file:
            file.write("hello\n")
        self.process = Process(["nginx", "-c", f"{home}/conf"], stderr=subprocess.DEVNULL)
        test.addCleanup(self.process.stop)
        self.pid = self.process.pid
        wait_until(lambda: len(children_of(self.pid)) == 2, 20, "nginx' workers")
        wait_until(lambda: self.get("/a.txt") == 200, 20, "nginx to answer")

    def get(self, *paths):
        """Asks for the paths on one connection; the last status, None without a server."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        status = None
        try:
            for path in paths:
                connection.request("GET", path)
                answer = connection.getresponse()
                answer.read()
                status = answer.status
        except ConnectionRefusedError:
            pass
        finally:
            connection.close()
        return status
