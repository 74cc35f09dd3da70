# SPDX-License-Identifier: MIT
"""What is profiled: coworkingd, Redis, nginx and PostgreSQL, each under its load, and workloads.

Servers listen on loopback or a socket of their own directory, on free ports, with everything they
write in a temporary directory. Every load is bounded in time by itself.
"""

import collections
import glob
import json
import os
import pwd
import random
import re
import signal
import subprocess
import time
import urllib.request

from bench_run import CannotMeasure, answers, family, find_program, free_port, wait_for

SCRIPTS = os.path.dirname(os.path.abspath(__file__))

# pids: a function, because PostgreSQL starts a process for each connection.
Target = collections.namedtuple("Target", "load pids")


def _alone(process):
    return lambda: [process.pid]


# ---- coworkingd ----


def start_coworkingd(bench, build, *options, **spawn):
    """Returns (process, URL)."""
    home = bench.directory()
    log = os.path.join(home, "log")
    command = [os.path.join(build, "coworkingd"), "--listen", "127.0.0.1:0"]
    command += ["--db", os.path.join(home, "coworking.db"), *options]
    with open(log, "wb") as out:
        server = bench.spawn(command, stdout=out, stderr=out, **spawn)

    def address():
        with open(log, encoding="utf-8", errors="replace") as text:
            return re.search(r"127\.0\.0\.1:[1-9][0-9]*", text.read())

    return server, "http://" + wait_for(address, 15, "coworkingd to listen", server)[0]


def coworkingd(bench, build, seconds):
    server, url = start_coworkingd(bench, build)
    command = [os.path.join(SCRIPTS, "load"), "mix", "--url", url, "--seconds", str(seconds)]
    load = bench.spawn(command, group=True)
    time.sleep(2)  # it logs in first
    _must_run(load, "scripts/load")
    return Target("scripts/load mix", _alone(server))


def _ask(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=10) as reply:
        return json.load(reply)


class CountedLoad:
    """The mixed load without logins, on connections that stay, and how much of it was answered.

    A login costs milliseconds. Without them requests are alike, and CPU time for each of them can be
    compared between spans of two seconds.
    """

    def __init__(self, bench, url, seconds, connections=32, **spawn):
        token = _ask(url + "/auth/login", {"username": "demo", "password": "demo"})["token"]
        rooms = [room["id"] for room in _ask(url + "/rooms")]
        self._path = os.path.join(bench.directory(), "count")
        environment = dict(
            os.environ,
            LOAD_MODE="steady",
            LOAD_SECONDS=str(seconds),
            LOAD_CONNECTIONS=str(connections),
            LOAD_TOKEN=token,
            LOAD_ROOMS=" ".join(rooms),
            LOAD_THREADS="1",
            BENCH_LOAD=os.path.join(SCRIPTS, "load.lua"),
            BENCH_COUNT=self._path,
        )
        command = [find_program("wrk"), "--threads", "1", "--connections", str(connections)]
        command += ["--duration", f"{seconds}s", "--timeout", "10s"]
        command += ["--script", os.path.join(SCRIPTS, "bench_count.lua"), url]
        self._process = bench.spawn(command, env=environment, **spawn)
        wait_for(self._counts, 10, "the load's first answers", self._process)

    def _counts(self):
        return os.path.exists(self._path) and os.path.getsize(self._path) >= 16

    def count(self):
        if self._process.poll() is not None:
            raise CannotMeasure("the load generator has ended")
        with open(self._path, "rb") as file:
            return int(file.read(16))


# ---- programs that nobody prepared ----


def _must_run(process, name):
    if process.poll() is not None:
        raise CannotMeasure(f"{name} has ended with status {process.returncode}")


def redis(bench, _build, seconds):
    home, port = bench.directory(), free_port()
    exe = find_program("redis-server")
    server = bench.spawn([exe, "--port", str(port), "--bind", "127.0.0.1", "--dir", home, "--save", ""])
    wait_for(lambda: answers(port), 10, "Redis to listen", server)
    # -l repeats the four commands, each for a part of a second, until the time is over.
    command = ["timeout", str(seconds), find_program("redis-benchmark"), "-p", str(port), "-l", "-q"]
    load = bench.spawn(command + ["-t", "set,get,lpush,zadd", "-n", "20000", "-r", "10000"])
    time.sleep(1)
    _must_run(load, "redis-benchmark")
    return Target("redis-benchmark set,get,lpush,zadd", _alone(server))


NGINX_CONF = """
user nobody nogroup;
worker_processes 1;
daemon off;
pid {home}/pid;
error_log {home}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    default_type text/plain;
    gzip on;
    gzip_types text/plain;
    server {{ listen 127.0.0.1:{port}; root {home}/www; }}
}}
"""


def nginx(bench, _build, seconds):
    home, port = bench.directory(), free_port()
    os.mkdir(os.path.join(home, "www"))
    rng = random.Random(1)
    words = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(2, 9))) for _ in range(500)]
    with open(os.path.join(home, "www", "text"), "w", encoding="ascii") as text:
        text.write(" ".join(rng.choices(words, k=6000))[:20480])
    conf = os.path.join(home, "conf")
    with open(conf, "w", encoding="ascii") as file:
        file.write(NGINX_CONF.format(home=home, port=port))
    exe = find_program("nginx")
    server = bench.spawn([exe, "-e", os.path.join(home, "error.log"), "-c", conf])
    wait_for(lambda: answers(port), 10, "nginx to listen", server)
    url = f"http://127.0.0.1:{port}/text"
    command = [find_program("wrk"), "-t", "1", "-c", "16", "-d", f"{seconds}s"]
    load = bench.spawn(command + ["-H", "Accept-Encoding: gzip", url])
    time.sleep(1)
    _must_run(load, "wrk")
    return Target("wrk, gzip of 20 KB", lambda: family(server.pid))


def _postgres_program(name):
    found = glob.glob(f"/usr/lib/postgresql/*/bin/{name}")
    if not found:
        raise CannotMeasure(f"PostgreSQL's {name} is not installed: scripts/setup bench installs it")
    return max(found, key=lambda path: int(re.search(r"postgresql/(\d+)", path)[1]))


def postgres(bench, _build, seconds):
    users = {entry.pw_name: entry for entry in pwd.getpwall()}
    user = users.get("postgres") or users["nobody"]
    home = bench.directory(user.pw_name)
    data = os.path.join(home, "data")
    # The server refuses to run as root.
    other = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "cwd": home}

    def must(command):
        done = bench.run(command, **other)
        if done.status:
            raise CannotMeasure(f"{os.path.basename(command[0])}: {done.stderr.decode()[-300:]}")

    must([_postgres_program("initdb"), "-D", data, "-U", "bench", "-A", "trust", "--no-sync"])
    exe = _postgres_program("postgres")
    command = [exe, "-D", data, "-k", home, "-c", "listen_addresses=", "-c", "fsync=off"]
    # SIGINT: without waiting for the clients.
    server = bench.spawn(command, stop=signal.SIGINT, **other)
    wait_for(lambda: os.path.exists(os.path.join(home, ".s.PGSQL.5432")), 15, "PostgreSQL", server)
    pgbench = [_postgres_program("pgbench"), "-h", home, "-U", "bench"]
    wait_for(lambda: bench.run(pgbench + ["-i", "-q", "postgres"], **other).status == 0, 60, "pgbench -i")
    load = bench.spawn(pgbench + ["-n", "-c", "4", "-T", str(seconds), "postgres"], **other)
    time.sleep(1)
    _must_run(load, "pgbench")
    return Target("pgbench, 4 clients", lambda: family(server.pid))


SERVERS = {"coworkingd": coworkingd, "Redis": redis, "nginx": nginx, "PostgreSQL": postgres}


# ---- programs with known stacks ----


def workload(bench, build, name, *args):
    """Starts one of tests/workloads and waits until it is in its steady state."""
    exe = _workload_program(bench, build, name)
    process = bench.spawn([exe, "600", *args], stdout=subprocess.PIPE)
    with process.stdout:
        if process.stdout.readline() != b"ready\n":
            raise CannotMeasure(f"the workload {name} did not start")
    return process


def _workload_program(bench, build, name):
    """The build has it when the tests were built; else it is compiled as they are."""
    built = os.path.join(build, "workloads", name)
    if os.access(built, os.X_OK):
        return built
    exe = os.path.join(bench.directory(), name)
    source = os.path.join(os.path.dirname(SCRIPTS), "tests", "workloads", name + ".c")
    done = bench.run([find_program("gcc"), "-O2", "-g", "-D_GNU_SOURCE", source, "-o", exe, "-pthread"])
    if done.status:
        raise CannotMeasure(f"cannot compile {source}: {done.stderr.decode()[:300]}")
    return exe
