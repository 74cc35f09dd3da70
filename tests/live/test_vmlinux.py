# SPDX-License-Identifier: MIT
"""Our kernel types against the running kernel's: test_vmlinux, which passes in `make check` on a
kernel without BTF, must find it here."""

import os
import subprocess

from harness import BUILD, REPO, LiveTest


class KernelTypes(LiveTest):
    def test_every_field(self):
        done = subprocess.run(
            [
                os.path.join(BUILD, "unit", "test_vmlinux"),
                os.path.join(BUILD, "bpf", "vmlinux_check.bpf.o"),
                "/sys/kernel/btf/vmlinux",
                os.path.join(REPO, "vmlinux", "vmlinux.h"),
            ],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
