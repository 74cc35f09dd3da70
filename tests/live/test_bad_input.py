# SPDX-License-Identifier: MIT
"""What must be refused: each thing by its own line and exit status, with nothing written."""

import os
import shutil
import stat
import subprocess

from harness import LiveTest, Process, Workload, PERISCOPE, cases, periscope


def unused_pid():
    with open("/proc/sys/kernel/pid_max", encoding="ascii") as file:
        pid = int(file.read()) - 1
    while os.path.exists(f"/proc/{pid}"):
        pid -= 1
    return pid


class Targets(LiveTest):
    def test_dead_pid(self):
        pid = unused_pid()
        self.assert_refused(periscope("cpu", "-p", pid, "-f", 1), 1, str(pid), "no (such )?process")

    def test_kernel_thread(self):
        # Inside a PID namespace, PID 2 may be an ordinary process: take one without an executable.
        for pid in sorted(map(int, filter(str.isdigit, os.listdir("/proc")))):
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
                if int(file.read().rpartition(")")[2].split()[6]) & 0x00200000:
                    break
        else:
            self.fail("no kernel thread is to be seen")
        self.assert_refused(periscope("cpu", "-p", pid, "-f", 1), 1, str(pid), "kernel thread")

    def test_zombie(self):
        with Process(["/bin/true"]) as dead:
            os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
            self.assert_refused(periscope("cpu", "-p", dead.pid, "-f", 1), 1, str(dead.pid))

    def test_without_the_privilege(self):
        # The copy lies where any user may run it.
        tool = os.path.join(self.temp_dir(), "periscope")
        shutil.copy2(PERISCOPE, tool)
        prefix = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        with self.start("recursion") as workload:
            result = periscope("cpu", "-p", workload.pid, "-f", 1, exe=tool, prefix=prefix)
        self.assert_refused(result, 1, "CAP_[A-Z_]+|root|sudo|permission")

    def test_without_btf(self):
        """In a mount namespace in which the kernel's types are not to be seen."""
        hide = 'mount --bind "$0" /sys/kernel/btf && exec "$@"'
        prefix = ("unshare", "--mount", "--propagation=private", "sh", "-c", hide, self.temp_dir())
        with self.start("recursion") as workload:
            result = periscope("cpu", "-p", workload.pid, "-f", 1, prefix=prefix)
        self.assert_refused(result, 1, "BTF", "/sys/kernel/btf/vmlinux", "CONFIG_DEBUG_INFO_BTF")

    def test_32_bit_target(self):
        directory = self.temp_dir()
        source = os.path.join(directory, "narrow.c")
        program = os.path.join(directory, "narrow")
        with open(source, "w", encoding="ascii") as file:
            file.write(
                "#include <unistd.h>\nint main(void)\n{\n"
                '\twrite(1, "ready\\n", 6);\n\tfor (;;)\n\t\t;\n}\n'
            )
        subprocess.run(["gcc", "-m32", "-static", "-w", source, "-o", program], check=True)
        with Workload("narrow", exe=program) as workload:
            result = periscope("cpu", "-p", workload.pid, "-f", 1)
        self.assert_refused(result, 1, "32")

    def test_name_of_nobody(self):
        self.assert_refused(periscope("cpu", "-n", "no_such_name", "-f", 1), 1, "no_such_name")

    def test_thread_of_another_process(self):
        with self.start("recursion") as workload:
            result = periscope("cpu", "-p", workload.pid, "--tid", os.getpid(), "-f", 1)
        self.assert_refused(result, 1, str(os.getpid()))

    def test_command_that_is_not_there(self):
        result = periscope("cpu", "-f", 1, "--", "/no/such/program")
        self.assert_refused(result, 1, "/no/such/program")

    def test_file_that_is_no_program(self):
        result = periscope("cpu", "-f", 1, "--", "/etc/passwd")
        self.assert_refused(result, 1, "/etc/passwd")


class Usage(LiveTest):
    def check(self, *args, words=()):
        with self.start("recursion") as workload:
            result = periscope(*[workload.pid if arg == "PID" else arg for arg in args])
            words = [word.replace("PID", str(workload.pid)) for word in words]
        self.assert_refused(result, 2, *words)
        self.assertLessEqual(len(result.err.splitlines()), 3, "short, not the whole help")

    def test_bare_pid(self):
        self.check("cpu", "PID", words=["(?i)did you mean -p PID"])

    def test_rate_of_zero(self):
        self.check("cpu", "-p", "PID", "-F", "0", 1, words=["-F|rate|frequency", "0"])

    def test_rate_that_is_no_number(self):
        self.check("cpu", "-p", "PID", "-F", "abc", 1, words=["abc"])

    def test_rate_with_something_behind(self):
        self.check("cpu", "-p", "PID", "-F", "99x", 1, words=["99x"])

    def test_negative_rate(self):
        self.check("cpu", "-p", "PID", "-F", "-99", 1, words=["-99"])

    def test_rate_too_large_for_any_number(self):
        self.check("cpu", "-p", "PID", "-F", "99999999999999999999", 1, words=["9999"])

    def test_duration_that_is_none(self):
        self.check("cpu", "-p", "PID", "5parsecs", words=["5parsecs"])

    def test_duration_of_zero(self):
        self.check("cpu", "-p", "PID", "0", words=["0"])

    def test_pid_that_is_no_number(self):
        self.check("cpu", "-p", "12abc", 1, words=["12abc"])

    def test_negative_pid(self):
        self.check("cpu", "-p", "-1", 1, words=["-1"])

    def test_no_target(self):
        self.check("cpu", words=["-p"])

    def test_two_kinds_of_target(self):
        self.check("cpu", "-p", "PID", 1, "--", "/bin/true", words=["-p|target"])

    def test_option_that_is_none(self):
        self.check("cpu", "-p", "PID", "--no-such-option", 1, words=["no-such-option"])

    def test_both_only_kernel_and_only_user(self):
        self.check("cpu", "-p", "PID", "-U", "-K", 1, words=["-U", "-K"])

    def test_command_that_is_none(self):
        self.check("frobnicate", words=["frobnicate"])

    def test_ending_that_no_writer_has(self):
        self.check("cpu", "-p", "PID", "-o", "/tmp/cpu.docx", 1, words=["docx"])
        self.assertFalse(os.path.exists("/tmp/cpu.docx"))

    def test_help_and_version(self):
        for args in (("--help",), ("cpu", "--help"), ("cpu", "-h")):
            result = periscope(*args)
            self.assert_ok(result)
            self.assertRegex(result.out, "(?i)usage")
            self.assertEqual(result.err, "")
        result = periscope("-V")
        self.assert_ok(result)
        self.assertRegex(result.out, r"^periscope \d")


class Outputs(LiveTest):
    def capture(self, *outputs, **kwargs):
        with self.start("recursion") as workload:
            words = [word for path in outputs for word in ("-o", path)]
            return periscope("cpu", "-p", workload.pid, "-F", 99, *words, "500ms", **kwargs)

    def test_directory_that_is_not_there(self):
        result = self.capture("/no/such/directory/cpu.folded")
        self.assert_refused(result, 1, "/no/such/directory")

    def test_directory_in_place_of_a_file(self):
        path = os.path.join(self.temp_dir(), "cpu.svg")
        os.mkdir(path)
        self.assert_refused(self.capture(path), 1, "cpu.svg")

    def test_one_bad_output_and_the_good_one_is_not_made(self):
        directory = self.temp_dir()
        good = os.path.join(directory, "cpu.folded")
        result = self.capture(good, "/no/such/directory/cpu.svg")
        self.assert_refused(result, 1, "/no/such/directory")
        self.assertEqual(os.listdir(directory), [])

    def test_summary_that_cannot_be_written(self):
        """Is said at once: nothing was captured."""
        with self.start("recursion") as workload:
            result = periscope("cpu", "-p", workload.pid, "--stats", "/no/such/directory/x", "500ms")
        self.assert_refused(result, 1, "/no/such/directory/x")
        self.assertNotIn("samples=", result.err)

    def test_standard_output_that_is_full(self):
        with open("/dev/full", "wb") as full, self.start("recursion") as workload:
            result = periscope("cpu", "-p", workload.pid, "-f", "500ms", stdout=full)
        self.assertEqual(result.status, 1, result)
        self.assertRegex(result.err, "(?i)no space")

    def test_file_that_is_full(self):
        directory = self.temp_dir()
        link = os.path.join(directory, "full.folded")
        os.symlink("/dev/full", link)
        result = self.capture("/dev/full", link)
        # A device must be neither renamed over nor deleted; a link may be replaced by the file.
        self.assertTrue(stat.S_ISCHR(os.stat("/dev/full").st_mode))
        self.assertIn(result.status, (1, 2), result)

    def test_disk_that_is_full(self):
        directory = self.temp_dir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", directory], check=True)
        try:
            old = os.path.join(directory, "cpu.folded")
            with open(old, "w", encoding="ascii") as file:
                file.write("old 1\n")
            with open(os.path.join(directory, "ballast"), "wb", buffering=0) as ballast:
                try:
                    while True:
                        ballast.write(bytes(4096))
                except OSError:
                    pass
            result = self.capture(old)
            self.assertEqual(result.status, 1, result)
            self.assertRegex(result.err, "(?i)no space")
            self.assertIn("cpu.folded", result.err)
            with open(old, encoding="ascii") as file:
                self.assertEqual(file.read(), "old 1\n", "the old file must stay whole")
            self.assertEqual(sorted(os.listdir(directory)), ["ballast", "cpu.folded"])
        finally:
            subprocess.run(["umount", directory], check=True)

    def test_pipe_whose_reader_has_gone(self):
        read_end, write_end = os.pipe()
        os.close(read_end)
        try:
            with self.start("recursion") as workload:
                result = periscope("cpu", "-p", workload.pid, "-f", "500ms", stdout=write_end)
        finally:
            os.close(write_end)
        self.assertIn(result.status, (0, 1, -13), result)
        self.assertNotIn("AddressSanitizer", result.err)

    def test_files_belong_to_the_caller_of_sudo(self):
        path = os.path.join(self.temp_dir(), "cpu.folded")
        env = dict(os.environ, SUDO_UID="65534", SUDO_GID="65534", SUDO_USER="nobody")
        self.assert_ok(self.capture(path, env=env))
        self.assertEqual((os.stat(path).st_uid, os.stat(path).st_gid), (65534, 65534))

    def test_old_file_is_replaced(self):
        directory = self.temp_dir()
        path = os.path.join(directory, "cpu.folded")
        with open(path, "w", encoding="ascii") as file:
            file.write("old\n" * 1000)
        self.assert_ok(self.capture(path))
        with open(path, encoding="utf-8") as file:
            self.assertNotIn("old", file.read())
        self.assertEqual(os.listdir(directory), ["cpu.folded"])


class HostileObjects(LiveTest):
    """Programs that run and whose files, as read by periscope, are not what they seem."""

    def damaged(self, damage):
        """A library that is mapped, then damaged in place: the process's own pages change too."""
        directory = self.temp_dir()
        for name in ("dlopen_mid", "plugin"):
            shutil.copy2(os.path.join(os.path.dirname(PERISCOPE), "workloads", name), directory)
        plugin = os.path.join(directory, "plugin")
        program = os.path.join(directory, "dlopen_mid")
        with Workload("dlopen_mid", ["plugin", "0"], exe=program) as workload:
            with open(plugin, "r+b") as file:
                damage(file)
            result = periscope("cpu", "-p", workload.pid, "-F", 199, "-f", "-U", 1)
            self.assertIsNone(workload.popen.poll(), "the target itself has died")
        self.assert_ok(result)
        self.assertGreater(result.summary["samples"], 20, result)
        self.assertEqual(result.summary["lost"], 0, result)

    def section(self, name, workload="plugin"):
        path = os.path.join(os.path.dirname(PERISCOPE), "workloads", workload)
        shown = subprocess.run(
            ["readelf", "-SW", path], capture_output=True, text=True, check=True
        )
        for line in shown.stdout.splitlines():
            words = line.partition("]")[2].split()
            if words and words[0] == name:
                return int(words[3], 16), int(words[4], 16)
        raise AssertionError(name)

    def overwrite(self, file, offset, data):
        file.seek(offset)
        file.write(data)

    def test_unwind_table_of_noise(self):
        offset, size = self.section(".eh_frame")
        self.damaged(lambda file: self.overwrite(file, offset, os.urandom(size)))

    def test_unwind_table_of_ones(self):
        offset, size = self.section(".eh_frame")
        self.damaged(lambda file: self.overwrite(file, offset, b"\xff" * size))

    def test_section_headers_of_noise(self):
        self.damaged(lambda file: self.overwrite(file, 0x28, os.urandom(8)))

    def test_not_elf_any_more(self):
        self.damaged(lambda file: self.overwrite(file, 0, b"#!/b"))

    def test_symbols_of_noise(self):
        offset, size = self.section(".symtab")
        self.damaged(lambda file: self.overwrite(file, offset, os.urandom(size)))

    def test_debug_information_of_noise(self):
        offset, size = self.section(".debug_info")
        self.damaged(lambda file: self.overwrite(file, offset, os.urandom(size)))

    def damaged_program(self, damage):
        """An executable that was damaged before it was started, where the kernel does not look."""
        program = os.path.join(self.temp_dir(), "recursion")
        shutil.copy2(os.path.join(os.path.dirname(PERISCOPE), "workloads", "recursion"), program)
        with open(program, "r+b") as file:
            damage(file)
        case = cases("recursion")["plain"]
        with Workload("recursion", case.args, exe=program) as workload:
            result = periscope("cpu", "-p", workload.pid, "-F", 199, "-f", "-U", 1)
            self.assertIsNone(workload.popen.poll(), "the target itself has died")
        self.assert_ok(result)
        self.assertGreater(result.summary["samples"], 20, result)
        self.assertEqual(result.summary["lost"], 0, result)
        return result

    def test_program_with_an_unwind_table_of_noise(self):
        offset, size = self.section(".eh_frame", "recursion")
        self.damaged_program(lambda file: self.overwrite(file, offset, os.urandom(size)))

    def test_program_with_an_unwind_table_of_ones(self):
        offset, size = self.section(".eh_frame", "recursion")
        self.damaged_program(lambda file: self.overwrite(file, offset, b"\xff" * size))

    def test_program_with_the_head_of_its_unwind_table_of_noise(self):
        offset, size = self.section(".eh_frame_hdr", "recursion")
        result = self.damaged_program(lambda file: self.overwrite(file, offset, os.urandom(size)))
        self.assert_whole(result)  # it only speeds up a search that we do not make

    def test_program_with_section_headers_of_noise(self):
        result = self.damaged_program(lambda file: self.overwrite(file, 0x28, os.urandom(8)))
        self.assert_whole(result)  # segments say where the table is

    def test_program_with_symbols_of_noise(self):
        offset, size = self.section(".symtab", "recursion")
        result = self.damaged_program(lambda file: self.overwrite(file, offset, os.urandom(size)))
        self.assert_whole(result)

    def test_program_with_debug_information_of_noise(self):
        offset, size = self.section(".debug_info", "recursion")
        result = self.damaged_program(lambda file: self.overwrite(file, offset, os.urandom(size)))
        self.assert_whole(result)
        self.assert_stacks(result, cases("recursion")["plain"])

    def test_program_that_is_cut_off(self):
        offset, _ = self.section(".debug_info", "recursion")
        result = self.damaged_program(lambda file: file.truncate(offset + 100))
        self.assert_whole(result)
