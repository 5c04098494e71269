"""A server for tests in a process of its own: started, killed, started again."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["ServerProcess"]


class ServerProcess:
    """A server on a loopback port with a folder of its own.

    Args:
        name: what it is called in the name of its folder.
        wait: seconds for its start, and for its end.
        ports: how many it takes.

    Attributes:
        port: stays the same when the server is started again.
        stopping: the signal that ends it in good order.
    """

    stopping = signal.SIGTERM

    def __init__(self, name: str, wait: float = 20.0, ports: int = 1) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix=f"pichannels-{name}-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._wait = wait
        self._ports = _free_ports(ports)
        self.port = self._ports[0]

    def command(self) -> Sequence[str]:
        """The program that is the server, and its arguments."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it, unless it runs, and wait until it answers."""
        if self._process is not None:
            return
        self._process = self._popen(*self.command())
        deadline = time.monotonic() + self._wait
        while not self._answers():
            assert self._process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.02)

    def _popen(self, *command: str, **options: Any) -> subprocess.Popen[bytes]:
        """A process that writes to its log."""
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, **options)

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        """End it in good order."""
        if self._process is not None:
            self._process.send_signal(self.stopping)
            self._ended(self._process)

    def kill(self) -> None:
        """End it without any warning."""
        if self._process is not None:
            self._process.kill()
            self._ended(self._process)

    def _ended(self, process: subprocess.Popen[bytes]) -> None:
        process.wait(self._wait)
        self._process = None

    def close(self) -> None:
        """End it and remove its folder."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def log(self) -> str:
        """What it wrote."""
        return (self._folder / "log").read_text("utf-8", "replace")


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
