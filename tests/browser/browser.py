# SPDX-License-Identifier: MIT
"""What chromium.py and firefox.py share: a browser's process, its folder, its beginning and end."""

import os
import shutil
import subprocess
import tempfile
import time


class Browser:
    """One browser with one page. Use it in a with statement. NAME and run() are the browser's."""

    def __init__(self, timeout):
        self.folder = tempfile.mkdtemp(prefix="periscope-browser.")
        self.timeout = timeout
        self.calls = 0
        self.errors = []

    def start(self, command, **options):
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            **options,
        )

    def told(self, name, read):
        """What read(file) makes of a file that the browser writes into its folder; None: not yet."""
        end = time.monotonic() + self.timeout
        while time.monotonic() < end:
            try:
                with open(os.path.join(self.folder, name), encoding="ascii") as file:
                    found = read(file)
                if found:
                    return found
            except (OSError, ValueError):
                pass
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.NAME} ended with status {self.process.returncode}")
            time.sleep(0.1)
        raise TimeoutError(f"{self.NAME} does not answer")

    def painted(self):
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def close(self):
        if hasattr(self, "page"):
            self.page.close()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()
