# SPDX-License-Identifier: MIT
"""periscope funcs: counts and times of calls, on a workload that knows both.

What could break the target (exceptions, coroutines) is tested by the target's own word that it came to
its end.
"""

import json
import os
import re
import signal
import subprocess
import time

import servers
from heap import malloc_byte
from harness import (WORKLOADS, LiveTest, Process, Tool, Workload, children_of, periscope, stack_regex,
                     stolen_ns, wait_until)

WORKLOAD = os.path.join(WORKLOADS, "funcs")
DEPTH = 64  # returns that the kernel follows in a thread

THROWS = r"""
#include <cstdio>
#include <stdexcept>
extern "C" __attribute__((noipa)) void thrower(int n) { if (n) throw std::runtime_error("thrown"); }
extern "C" __attribute__((noipa)) void passes(int n) { thrower(n); asm volatile(""); }
extern "C" __attribute__((noipa)) void catches(int n)
{
	try { passes(n); } catch (const std::exception &) { puts("caught"); }
}
int main() { for (int i = 0; i < 46; i++) catches(i % 2); puts("done"); }
"""

SWITCHES = r"""
#include <stdio.h>
#include <ucontext.h>
static ucontext_t back, there;
static char stack[65536];
static int sum;
__attribute__((noipa)) void yields(void) { swapcontext(&there, &back); asm volatile(""); }
__attribute__((noipa)) void resumes(void) { swapcontext(&back, &there); asm volatile(""); }
__attribute__((noipa)) int adds(int n) { return sum += n; }
static void coroutine(void) { for (;;) { adds(1); yields(); } }
int main(void)
{
	getcontext(&there);
	there.uc_stack.ss_sp = stack;
	there.uc_stack.ss_size = sizeof(stack);
	makecontext(&there, coroutine, 0);
	for (int i = 0; i < 23; i++)
		resumes();
	printf("done %d\n", sum);
	return 0;
}
"""

LOOPS = r"""
#include <stdio.h>
int loops(int n);
__asm__(".globl loops\n.type loops, @function\nloops: .cfi_startproc\n"
	"decl %edi\njnz loops\nxorl %eax, %eax\nret\n.cfi_endproc\n.size loops, . - loops\n");
int main(void)
{
	for (int i = 0; i < 23; i++)
		loops(7);
	puts("done");
	return 0;
}
"""


LIBRARY = r"""
#include <stdio.h>
__attribute__((noipa)) void in_library(void) { asm volatile(""); }
__attribute__((constructor)) static void early(void) { for (int i = 0; i < 7; i++) in_library(); }
"""

USES = r"""
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>
extern void in_library(void);
int main(int argc, char **argv)
{
	void *plugin = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
	void (*f)(void) = plugin ? (void (*)(void))dlsym(plugin, "in_library") : in_library;
	for (int i = 0; i < 23; i++)
		f();
	puts("done");
	return 0;
}
"""


CHILD = r"""
#include <unistd.h>
static volatile long sum;
__attribute__((noipa)) void tick(void) { sum++; }
int main(void)
{
	alarm(60);
	if (fork())
		for (;;)
			pause();
	alarm(60);
	for (;;) {
		for (int i = 0; i < 3000000; i++)
			sum += i;
		tick();
	}
}
"""


class Funcs(LiveTest):
    ns_for_probes = 15000  # of a call, where an instruction is single-stepped

    def capture(self, *args, command, timeout=60):
        """Runs periscope on a command; result, and its report."""
        report = os.path.join(self.temp_dir(), "report.json")
        result = periscope("funcs", *args, "-o", report, "--", *command, timeout=timeout)
        self.assert_ok(result)
        with open(report, encoding="utf-8") as file:
            return result, json.load(file)

    def workload(self, kind, count, *args):
        result, report = self.capture(*args, command=[WORKLOAD, "0", kind, str(count)])
        self.assertIn("done\n", result.out)
        return result, report

    def functions(self, report):
        return {row["function"]: row for row in self.rows(report, "functions", "functions")}

    def counts(self, report):
        """calls, returns and missing returns by function"""
        return {name: (row["calls"], row["returns"], row["missing"])
                for name, row in self.functions(report).items()}

    def notes(self, report):
        return "\n".join(report["sections"]["functions"]["notes"])

    def build(self, compiler, name, text, *flags):
        source = os.path.join(self.temp_dir(), name)
        exe = source.rpartition(".")[0]
        with open(source, "w", encoding="ascii") as file:
            file.write(text)
        subprocess.run([compiler, "-O2", source, "-o", exe, *flags], check=True)
        return exe


class Counts(Funcs):
    def test_calls_of_threads(self):
        result, report = self.workload("threads", 1009, "busy")
        self.assertEqual(self.counts(report), {"busy": (4036, 4036, 0)})
        summary = result.summary
        self.assertEqual((summary["calls"], summary["lost"], summary["open"]), (4036, 0, 0))

    def test_recursion_deeper_than_the_kernel_follows(self):
        """The outermost calls return, of all that are inside nothing is claimed."""
        result, report = self.workload("recurse", 7, "nested", "at_bottom")
        self.assertEqual(self.counts(report), {
            "nested": (7 * 200, 7 * DEPTH, 7 * (200 - DEPTH)), "at_bottom": (7, 0, 7)})
        self.assertEqual(result.summary["missing-returns"], 7 * (200 - DEPTH) + 7)
        self.assertIn("more than 64 deep", self.notes(report))
        # Each is counted, but the time of the outermost holds that of all others.
        row = self.functions(report)["nested"]
        self.assertLessEqual(row["total_ns"], 7 * row["max_ns"])

    def test_left_by_a_jump(self):
        _, report = self.workload("jumps", 29, "leaves", "returns")
        self.assertEqual(self.counts(report), {"leaves": (29, 0, 29), "returns": (29, 29, 0)})

    def test_left_by_the_end_of_the_thread(self):
        result, report = self.workload("exits", 11, "ends_inside")
        calls, returns, missing = self.counts(report)["ends_inside"]
        self.assertEqual((calls, returns), (11, 0))
        # The last thread may not be quite gone when the program is.
        self.assertEqual(missing + result.summary["open"], 11)
        self.assertGreaterEqual(missing, 10)

    def test_tail_calls_return_both(self):
        _, report = self.workload("tail", 31, "first", "last")
        self.assertEqual(self.counts(report), {"first": (31, 31, 0), "last": (31, 31, 0)})
        rows = self.functions(report)
        self.assertGreater(rows["first"]["min_ns"], rows["last"]["min_ns"])

    def test_entries_only(self):
        _, report = self.workload("threads", 101, "busy", "--entries")
        row = self.functions(report)["busy"]
        self.assertEqual((row["calls"], row["returns"], row["total_ns"]), (404, None, None))

    def test_globs_and_libraries(self):
        _, report = self.workload("callers", 3, "funcs:caller_?", "funcs:leaf")
        self.assertEqual({name: row["calls"] for name, row in self.functions(report).items()},
                         {"caller_a": 1, "caller_b": 1, "leaf": 54})


class Times(Funcs):
    def test_known_times(self):
        stolen = stolen_ns()
        result, report = self.workload("times", 40, "half_sleep", "spin_for")
        stolen = stolen_ns() - stolen
        told = {key: int(value) for key, value in
                re.findall(r"^sum (\w+) (\d+)$", result.out, re.MULTILINE)}
        rows = self.functions(report)
        half, spin = rows["half_sleep"], rows["spin_for"]
        # Whoever takes the CPU away between a probe and the function's own clock is in ours alone.
        for row, own in ((half, told["half_ns"]), (spin, told["spin_ns"])):
            self.assertLessEqual(own, row["total_ns"], row)
        on_cpu = half["on_cpu_percent"] / 100 * half["total_ns"]
        self.assertGreaterEqual(on_cpu, told["half_cpu"] * 0.99)
        self.assertLessEqual(on_cpu, told["half_cpu"] * 1.01 + 40 * self.ns_for_probes + stolen)
        raw = sorted(int(ns) for ns in re.findall(r"^latency (\d+)$", result.out, re.MULTILINE))
        for name, share in (("p50_ns", 0.5), ("p90_ns", 0.9)):
            rank = int(-(-share * len(raw) // 1)) - 1
            self.assertGreaterEqual(spin[name], raw[rank - 2] * 0.99, name)
            self.assertLessEqual(spin[name], raw[rank + 2] * 1.01 + self.ns_for_probes, name)
        self.assertGreaterEqual(spin["min_ns"], raw[0])
        self.assertIn("the end of a handler is not that of the answer", self.notes(report))

    def test_allocations(self):
        """A call has those of the calls inside of it, too."""
        with Workload("funcs", ["allocs", "46"]) as workload:
            _, report, _ = self.watch_while("funcs", workload.signal_until_done, "-p", workload.pid,
                                      "allocates", "twice", "--alloc")
        rows = {row["function"]: row for row in self.rows(report, "allocations", "allocations")}
        self.assertEqual({name: (row["returns"], row["allocations"], row["allocated_bytes"])
                          for name, row in rows.items()},
                         {"allocates": (46, 4 * 46, 1421 * 46), "twice": (23, 4 * 46, 1421 * 46)})

    def test_intervals_add_up(self):
        with Workload("funcs", ["threads", "211"]) as workload:
            with Tool("funcs", "-p", workload.pid, "busy", "-i", "300ms", "-v") as tool:
                tool.wait_capturing()
                for _ in range(5):
                    os.kill(workload.pid, signal.SIGUSR1)
                    time.sleep(0.35)
                tool.popen.send_signal(signal.SIGINT)
                result = tool.finish()
        self.assert_ok(result)
        pages = result.out.split("Calls of the last")[1:]
        self.assertGreaterEqual(len(pages), 3)
        shown = [int(n) for n in re.findall(r"^busy +(\d+) ", result.out, re.MULTILINE)]
        # The last is the whole; what came after the last interval is in no page.
        self.assertEqual(shown[-1], result.summary["calls"])
        self.assertLessEqual(sum(shown[:-1]), shown[-1])
        self.assertGreater(sum(shown[:-1]), 0)


class Values(Funcs):
    def test_numbers_and_texts(self):
        _, report = self.workload("args", 35, "takes", "--arg", "1:int", "--arg", "2:str",
                                  "--arg", "1:uint")
        rows = self.rows(report, "arguments", "values")
        counts = {(row["argument"], row["value"]): row["calls"] for row in rows}
        self.assertEqual({v: n for (a, v), n in counts.items() if a == "arg1:int"},
                         {str(-i): 15 for i in range(7)})
        self.assertEqual({v: n for (a, v), n in counts.items() if a == "arg1:uint"},
                         {str(-i % 2**32): 15 for i in range(7)})
        texts = {v: n for (a, v), n in counts.items() if a == "arg2:str"}
        self.assertEqual(sorted(texts.values()), [21] * 5)
        # What a terminal would obey, and what is no text, is escaped; so is the escape.
        self.assertEqual({"alpha", "beta", "", "alpha beta", r"x; y\n\x1b[1m\xff\\"}, set(texts))

    def test_a_number_as_text(self):
        _, report = self.workload("args", 7, "takes", "--arg", "1:str")
        rows = self.rows(report, "arguments", "values")
        self.assertEqual({row["value"]: row["calls"] for row in rows},
                         {"(null)": 3, "(unreadable)": 18})


class Callers(Funcs):
    def test_stacks(self):
        folded = os.path.join(self.temp_dir(), "calls.folded")
        with Workload("funcs", ["callers", "5"]) as workload:
            result, report, _ = self.watch_while("funcs", workload.signal_until_done, "-p", workload.pid,
                                           "leaf", "--stacks", "-o", folded)
        result.take_folded(folded)
        stacks = {";".join(user): n for user, n in result.user_stacks().items()}
        self.assertEqual(sorted(stacks.values()), [35, 55])
        for stack, calls in stacks.items():
            caller = "caller_a" if calls == 35 else "caller_b"
            self.assertRegex(stack, stack_regex(f"%main(;callers)?;{caller};leaf"))
        rows = self.rows(report, "callers", "callers")
        self.assertEqual(sorted(row["calls"] for row in rows), [35, 55])
        self.assertEqual([row["stack"][:2] for row in rows],
                         [["leaf", "caller_b"], ["leaf", "caller_a"]])


class Unharmed(Funcs):
    """A target that a return probe would break."""

    def test_exceptions(self):
        exe = self.build("g++", "throws.cc", THROWS)
        result, report = self.capture("thrower", "passes", "catches", command=[exe])
        self.assertEqual(result.out.count("caught\n"), 23, result)
        self.assertTrue(result.out.endswith("done\n"), result)
        for name, row in self.functions(report).items():
            self.assertEqual((row["calls"], row["returns"]), (46, None), name)
        self.assertIn("C++ exception", self.notes(report))

    def test_coroutines(self):
        exe = self.build("gcc", "switches.c", SWITCHES)
        result, report = self.capture("yields", "resumes", "adds", command=[exe])
        self.assertTrue(result.out.endswith("done 23\n"), result)
        rows = self.functions(report)
        self.assertEqual({name: row["calls"] for name, row in rows.items()},
                         {"yields": 23, "resumes": 23, "adds": 23})
        # What calls nothing is safe.
        self.assertEqual([rows[name]["returns"] for name in ("yields", "resumes", "adds")],
                         [None, None, 23])
        self.assertIn("coroutines may switch stacks", self.notes(report))


class Libraries(Funcs):
    def setUp(self):
        super().setUp()
        self.library = self.build("gcc", "library.c", LIBRARY, "-shared", "-fPIC")

    def test_from_the_first_instruction(self):
        """Also in a library: before its constructor runs."""
        exe = self.build("gcc", "uses.c", USES, self.library)
        for _ in range(3):
            result, report = self.capture("library:in_library", "libc:puts", command=[exe])
            self.assertTrue(result.out.endswith("done\n"), result)
            self.assertEqual(self.counts(report), {"in_library": (30, 30, 0), "puts": (1, 1, 0)})
            self.assertNotIn("mapped during", self.notes(report))

    def test_loaded_later(self):
        """What was called before it was seen nobody knows, which is said."""
        exe = self.build("gcc", "uses.c", USES, "-Din_library=sync")
        result, report = self.capture("main", "in_library", command=[exe, self.library])
        self.assertTrue(result.out.endswith("done\n"), result)
        rows = self.functions(report)
        self.assertEqual(rows["main"]["calls"], 1)
        if "in_library" in rows:
            self.assertLessEqual(rows["in_library"]["calls"], 30)
            self.assertIn("in_library: in a file that was mapped during", self.notes(report))
        else:
            self.assertIn("No function is called 'in_library'", self.notes(report))


class Loops(Funcs):
    def test_code_that_jumps_back_to_its_probe(self):
        """Each pass is counted, which is said; a return is that of none of them."""
        exe = self.build("gcc", "loops.c", LOOPS)
        for more in ([], ["--entries"]):
            result, report = self.capture("loops", *more, command=[exe])
            self.assertTrue(result.out.endswith("done\n"), result)
            row = self.functions(report)["loops"]
            self.assertEqual((row["calls"], row["returns"]), (23 * 7, None))
            self.assertIn("loops: the code jumps back to where it is probed", self.notes(report))


class Budget(Funcs):
    """What it may cost, on a process that does nothing but allocate."""

    def test_refused_and_nothing_is_probed(self):
        workload = self.start("heap_steady", "busy")
        before = malloc_byte(workload.pid)
        for more in ([], ["--entries"], ["--alloc"]):
            result = periscope("funcs", "-p", workload.pid, "libc:malloc", "--max-overhead", "0.1%",
                               *more, 1)
            self.assert_refused(result, 1, "calls a second", r"--max-overhead is 0\.1%", "--force")
            self.assertEqual("(--entries)" in result.err, not more, result)
        self.assertEqual(malloc_byte(workload.pid), before)

    def test_what_is_too_dear_is_counted_only(self):
        """How dear it is, the machine says; whatever it says, what is done is what is told."""
        workload = self.start("heap_steady", "busy")
        told = periscope("funcs", "-p", workload.pid, "libc:malloc", "--max-overhead", "0.1%", 1).err
        dear, cheap = map(int, re.findall(r"(\d+)%(?: longer,|;)", told))
        self.assertLess(cheap, dear, told)
        result = periscope("funcs", "-p", workload.pid, "libc:malloc", "--max-overhead",
                           f"{(cheap * dear) ** 0.5:.0f}%", 1)
        if result.status == 1:
            return
        summary = self.assert_ok(result).summary
        self.assertGreater(summary["calls"], 0)
        counted = "they are counted only" in result.err
        self.assertEqual(summary["returns"] == 0, counted, result)
        self.assertEqual("Calls are counted, not timed" in result.out, counted, result)

    def test_children_that_are_there(self):
        """What they do is what it is compared with: they work, and their parent does nothing."""
        parent = Process([self.build("gcc", "child.c", CHILD)])
        self.addCleanup(parent.stop)
        child = wait_until(lambda: children_of(parent.pid), 30, "a child")[0]
        self.addCleanup(os.kill, child, signal.SIGKILL)
        result = periscope("funcs", "-p", parent.pid, "--children", "tick", "--max-overhead", "30%", 1)
        self.assertEqual(self.assert_ok(result).summary["processes"], 2, result)

    def test_force(self):
        workload = self.start("heap_steady", "busy")
        result = periscope("funcs", "-p", workload.pid, "libc:malloc", "--force", 1)
        summary = self.assert_ok(result).summary
        self.assertNotIn("longer", result.err)
        self.assertGreater(summary["returns"], 0)
        self.assertEqual(summary["calls"], summary["returns"] + summary["open"])


class BadInput(Funcs):
    def refuse(self, *args, status, words):
        result = periscope("funcs", *args, timeout=100)
        self.assert_refused(result, status, *words)

    def test_command_lines(self):
        pid = str(os.getpid())
        for args, words in (
                (["-p", pid, "1"], ["of which functions"]),
                (["busy"], ["-p"]),
                (["-p", pid, "f", "--arg", "7"], ["1 to 6"]),
                (["-p", pid, "f", "--arg", "1:float"], ["not 'float'"]),
                (["-p", pid, "f", "--entries", "--force-returns"], ["exclude"]),
                (["-p", pid, "f", "-i", "1", "-f"], ["-i"]),
                (["-p", pid, "f", "--max-funcs", "0"], ["--max-funcs wants"]),
                (["-p", pid, "f", "1", "g", "2s"], ["one duration", "'2s'"])):
            with self.subTest(args=args):
                self.refuse(*args, status=2, words=words)

    def test_no_such_function(self):
        with Workload("funcs", ["threads", "1"]) as workload:
            self.refuse("-p", workload.pid, "bussy", "1", status=1,
                        words=["no function is called 'bussy'; similar: busy"])
            self.refuse("-p", workload.pid, "bus?y", "1", status=1,
                        words=[r"no function matches 'bus\?y'"])
            self.refuse("-p", workload.pid, "libnone:busy", "1", status=1,
                        words=["no file is mapped that is called 'libnone'"])

    def test_a_name_among_others(self):
        """That nothing has it, the report says."""
        result, report = self.workload("threads", 2, "busy", "bussy", "libc:none*")
        self.assertEqual(list(self.functions(report)), ["busy"])
        self.assertIn("No function is called 'bussy', 'libc:none*'.", self.notes(report))
        self.assertEqual(result.summary["unmatched-names"], 2)
        result, report = self.workload("threads", 2, "busy")
        self.assertNotIn("No function", self.notes(report))
        self.assertNotIn("unmatched-names", result.summary)

    def test_a_usdt_probe(self):
        server = servers.coworkingd(self)
        for name in ("coworking:request__start", "request__start"):
            self.refuse("-p", server.process.pid, name, "1", status=1, words=[name, "is a USDT probe"])

    def test_as_many_as_match(self):
        """The maximum that it asks for is enough, whatever libraries they are in."""
        with Workload("funcs", ["threads", "1"]) as workload:
            result = periscope("funcs", "-p", workload.pid, "*a*", "--max-funcs", "3", "1")
            self.assert_refused(result, 1, "functions match", "--max-funcs")
            enough = int(re.search(r"--max-funcs (\d+)", result.err).group(1))
            listed = periscope("probes", "-p", workload.pid, "*a*").summary["functions"]
        self.assertGreaterEqual(listed, enough)
        self.assertGreater(enough, 0.9 * listed, result)

    def test_ten_thousand_functions(self):
        functions = "".join(f"__attribute__((noipa)) void many_{i}(void) {{ calls++; }}\n"
                            for i in range(10000))
        calls = "".join(f"many_{i}();\n" for i in range(10000))
        exe = self.build("gcc", "many.c", "#include <stdio.h>\nstatic int calls;\n" + functions +
                         "int main(void) {\n" + calls + 'printf("done %d\\n", calls); }\n', "-O0")
        self.refuse("many_*", "--", exe, status=1,
                    words=["10000 functions match", "--max-funcs 10000"])
        result, report = self.capture("many_*", "--max-funcs", "10000", command=[exe], timeout=100)
        self.assertTrue(result.out.endswith("done 10000\n"), result)
        rows = self.functions(report)
        self.assertEqual(len(rows), 10000)
        self.assertEqual({(row["calls"], row["returns"]) for row in rows.values()}, {(1, 1)})


class Servers(Funcs):
    def test_handlers_of_coworkingd(self):
        server = servers.coworkingd(self)
        result, report, sent = self.watch_while(
            "funcs", lambda: servers.load(server, "mix", "--seconds", "2"), "-p",
            server.process.pid, "coworkingd:handle_*")
        self.assertEqual(result.summary["lost"], 0, result)
        rows = self.functions(report)
        for handler, route in (("handle_rooms_list", "GET /rooms"),
                               ("handle_rooms_get", "GET /rooms/*"),
                               ("handle_bookings_add", "POST /bookings"),
                               ("handle_bookings_add_done", "POST /bookings"),
                               ("handle_auth_login", "POST /auth/login")):
            self.assertEqual(rows[handler]["calls"], sent[route], handler)
            self.assertEqual(rows[handler]["returns"], sent[route], handler)
        # It has handed the hashing to another thread.
        self.assertLess(rows["handle_auth_login"]["min_ns"], 30e6)

    def test_functions_of_nginx_and_libc(self):
        nginx = servers.Nginx(self)
        result, report, _ = self.watch_while(
            "funcs", lambda: nginx.get(*["/a.txt"] * 47), "-p", nginx.pid, "--children",
            "ngx_http_process_request", "ngx_open_cached_file")
        self.assertEqual(result.summary["lost"], 0, result)
        rows = self.functions(report)
        self.assertEqual({name: row["calls"] for name, row in rows.items()},
                         {"ngx_http_process_request": 47, "ngx_open_cached_file": 47})
