"""Commands in a pseudo terminal, and what it then shows."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]")


class Terminal:
    """A command that has a terminal of this size."""

    def __init__(self, master: int, process: subprocess.Popen[bytes]) -> None:
        self._master = master
        self.process = process
        self.written = b""

    @property
    def lines(self) -> list[str]:
        """What was written from each beginning of a line on, without colours."""
        text = _CONTROL.sub("", self.written.decode(errors="replace"))
        return [line.rstrip() for line in re.split(r"\r\n|\n|\r", text)]

    def read_until(self, text: str, timeout: float = 20.0) -> None:
        """Read what is written until it contains the text.

        Raises:
            AssertionError: the text did not come.
        """
        end = time.monotonic() + timeout
        while not any(text in line for line in self.lines):
            assert time.monotonic() < end, self.lines[-30:]
            self._read(0.2)

    def read_to_end(self) -> int:
        """Read until the command ends: its exit code."""
        while self.process.poll() is None:
            self._read(0.2)
        self._read(0.0)
        return self.process.returncode

    def _read(self, timeout: float) -> None:
        ready, _, _ = select.select([self._master], [], [], timeout)
        if ready:
            try:
                self.written += os.read(self._master, 65536)
            except OSError:  # the other end is closed
                time.sleep(0.01)

    def press(self, keys: str) -> None:
        """Type this."""
        os.write(self._master, keys.encode())


@contextmanager
def in_terminal(
    folder: Path, *args: str, columns: int = 80, rows: int = 24
) -> Iterator[Terminal]:
    """Run `pichannels` in a terminal of this size."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    kept = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        [sys.executable, "-m", "pichannels", *args],
        cwd=folder,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**kept, "TERM": "xterm-256color"},
        start_new_session=True,
    )
    os.close(slave)
    try:
        yield Terminal(master, process)
    finally:
        process.kill()
        process.wait()
        os.close(master)
