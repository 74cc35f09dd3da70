# SPDX-License-Identifier: MIT
"""periscope heap --verdicts: where blocks are freed, on a program that knows."""

import glob
import json
import os
import re
import subprocess

import harness
import heap
import servers

REQUEST = [
    "--request", "request_begin(arg1)", "request_end(arg1)",
    "--run", "request_run(arg1)", "--pause", "request_pause(arg1)",
]  # fmt: skip
VERDICTS = ("own_frame", "up", "request", "other_thread", "resized", "kept", "unknown")
ROUNDS = 3


def has_breakpoint(pid, exe, function):
    """Is there one in the function's first instructions?"""
    symbols = subprocess.run(
        ["readelf", "--syms", "-W", exe], capture_output=True, text=True, check=True
    ).stdout
    offset = int(re.search(rf"(?m)([0-9a-f]+) .* {function}$", symbols)[1], 16)
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps:
        base = min(int(line.split("-")[0], 16) for line in maps if exe in line)
    with open(f"/proc/{pid}/mem", "rb") as memory, open(exe, "rb") as file:
        memory.seek(base + offset)
        file.seek(offset)
        now, before = memory.read(24), file.read(24)
    return any(a == 0xCC and b != 0xCC for a, b in zip(now, before))


class VerdictsTest(heap.HeapTest):
    def setUp(self):
        self.dir = self.temp_dir()
        self.json = os.path.join(self.dir, "heap.json")

    def sites(self):
        """The counts of each verdict, by function; guessed and with_request beside."""
        with open(self.json, encoding="utf-8") as file:
            section = json.load(file)["sections"]["verdicts"]
        tables = {table["key"]: table["rows"] for table in section["tables"]}
        sums = {}
        for row in tables["sites"]:
            site = sums.setdefault(row["caller"].split()[0], {})
            for key in (*VERDICTS, "blocks", "guessed", "with_request"):
                site[key] = site.get(key, 0) + row[key]
        for name, site in sums.items():
            self.assertEqual(sum(site[v] for v in VERDICTS), site["blocks"], name)
        return sums, tables


class Known(VerdictsTest):
    def rounds(self, *more):
        """After a first round, all that the tool wants to watch is watched in the others."""
        workload = heap.Known(name="heap_verdicts")
        self.addCleanup(workload.stop)
        exe = os.path.join(harness.WORKLOADS, "heap_verdicts")
        tool = self.capture(
            "--verdicts", "-i", "100ms", "-p", workload.pid, "-o", self.json, *more
        )
        workload.tell("go", "done")
        for function in ("in_frame", "in_frame_by_jump", "in_frame_by_callee", "of_last_call"):
            harness.wait_until(
                lambda f=function: has_breakpoint(workload.pid, exe, f), 30, f"a probe on {function}"
            )
        written = len(glob.glob(os.path.join(self.dir, "heap.*.json")))
        harness.wait_until(
            lambda: len(glob.glob(os.path.join(self.dir, "heap.*.json"))) > written + 1, 30, "files"
        )
        for _ in range(ROUNDS - 1):
            self.lines = workload.tell("go", "done")
        result = self.end(tool)
        self.assert_exact(result)
        self.assertNotIn("lost-fates", result.summary)
        return result

    def wanted(self):
        """What the program says of its rounds, the first of which was not watched."""
        wanted = {}
        for line in self.lines:
            words = line.split()
            if words[0] == "verdict":
                site = wanted.setdefault(words[1], dict.fromkeys(VERDICTS, 0))
                site[words[2]] += ROUNDS * int(words[3])
        # Before its entries were watched, its calls could not be told apart.
        site = wanted["of_last_call"]
        site["own_frame"] = site["up"] // ROUNDS
        site["up"] -= site["own_frame"]
        return wanted

    def test_every_verdict(self):
        result = self.rounds(*REQUEST)
        sites, tables = self.sites()
        wanted = self.wanted()
        got = {name: {v: sites[name][v] for v in VERDICTS} for name in wanted}
        self.assertEqual(got, wanted)
        # In the first round it was a guess, since then it is proved.
        for name in ("in_frame", "in_frame_by_jump", "in_frame_by_callee"):
            self.assertEqual(ROUNDS * sites[name]["guessed"], sites[name]["own_frame"], name)
        self.assertEqual(sites["of_last_call"]["guessed"], sites["of_last_call"]["own_frame"])
        self.assertEqual(sites["given_up"]["with_request"], 398 * ROUNDS)
        self.assertEqual(sites["outlives_request"]["with_request"], 0)
        up = {row["caller"].split()[0]: row for row in tables["caller"]}
        self.assertEqual((up["given_far_up"]["lives_in"], up["given_far_up"]["up"]),
                         ("takes_from_far", 3))
        self.assertEqual((up["mixed"]["lives_in"], up["mixed"]["up"]), ("takes_mixed", 1))
        self.assertAlmostEqual(up["mixed"]["share_percent"], 100 * 2 / 3, places=4)
        thread, = tables["other_thread"]
        self.assertEqual(thread["freed_by"], "takes_over")
        arena = {row["caller"].split()[0]: row for row in tables["request"]}
        self.assertEqual(arena["for_request"]["blocks_each"], 1)
        overview = {row["verdict"]: row["blocks"] for row in tables["verdicts"]}
        self.assertEqual(sum(overview.values()), result.summary["allocations"])

    def test_without_requests(self):
        """Then what dies with its request escapes to whoever calls both."""
        self.rounds()
        sites, tables = self.sites()
        wanted = self.wanted()
        for name in ("for_request", "for_request_tidied"):
            wanted[name]["up"] = wanted[name].pop("request")
            wanted[name]["request"] = 0
        self.assertEqual({name: {v: sites[name][v] for v in VERDICTS} for name in wanted}, wanted)
        self.assertNotIn("request", tables)
        self.assertNotIn("blocks_each", tables["caller"][0])

    def test_bad(self):
        workload = self.known(1)
        for more in (["--alloc-only"], ["--duty", "5%"]):
            result = harness.periscope("heap", "--verdicts", *more, "-p", workload.pid, 1)
            self.assert_refused(result, 2, "verdicts", "frees")


class Coworkingd(VerdictsTest):
    def verdicts(self, *args):
        server = servers.coworkingd(self, *args)
        text = os.path.join(self.dir, "heap.txt")
        tool = self.capture("--verdicts", "-p", server.process.pid, "-o", self.json, "-o", text)
        sent = servers.load(server, "reads", "--seconds", "1", "--connections", "4")
        result = self.end(tool)
        self.assertEqual(self.assert_ok(result).summary["lost"], 0)
        with open(text, encoding="utf-8") as file:
            lines = file.read().split("\n")
        self.assertLessEqual(max(map(len, lines)), 80)
        return sent, *self.sites()

    def test_leak(self):
        """What the fault forgets of each answer is named, and is kept to the last block."""
        sent, sites, tables = self.verdicts("--demo-fault", "leak")
        leak = sites["fault_leak"]
        self.assertEqual(leak["kept"], leak["blocks"])
        self.assertGreater(leak["blocks"], 0)
        kept = {row["caller"].split()[0]: row for row in tables["kept"]}
        self.assertEqual(kept["fault_leak"]["blocks"], leak["kept"])
        self.assertAlmostEqual(
            kept["fault_leak"]["blocks_each"], leak["kept"] / sum(sent.values()), places=9
        )

    def test_buffers_of_handlers(self):
        """What answers are made of is freed within their requests."""
        _, sites, tables = self.verdicts()
        made = {name: site for name, site in sites.items() if name.startswith("json_")}
        self.assertGreater(len(made), 2)
        for name, site in made.items():
            self.assertEqual(site["other_thread"] + site["unknown"], 0, name)
            self.assertEqual(site["with_request"] + site["resized"] + site["kept"], site["blocks"],
                             (name, site))
