"""A NATS server with JetStream for tests: started, killed, started again."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

__all__ = ["NatsServer", "why_missing"]

_WAIT = 20.0


def _program() -> str | None:
    return shutil.which("nats-server", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def why_missing() -> str:
    """Why no server can be started here; empty where it can."""
    return "" if _program() else "nats-server is not installed"


class NatsServer:
    """A server on a loopback port with a folder of its own for its streams.

    Args:
        settings: further lines of its configuration.
        certificate: a file with certificate and key, for TLS; clients need one too.

    Attributes:
        certificate: that file; its certificate is its own authority.
        port: stays the same when the server is started again.
    """

    def __init__(self, *settings: str, certificate: Path | None = None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="pichannels-nats-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._scheme = "nats" if certificate is None else "tls"
        self.certificate = certificate
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        lines = [
            f'listen: "127.0.0.1:{self.port}"',
            f'jetstream {{ store_dir: "{self._folder.as_posix()}" }}',
            *settings,
        ]
        if certificate is not None:
            path = f'"{certificate.as_posix()}"'
            files = f"cert_file: {path}, key_file: {path}, ca_file: {path}"
            lines.append(f"tls {{ {files}, verify: true }}")
        self._config = self._folder / "nats.conf"
        self._config.write_text("\n".join(lines) + "\n")

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{self._scheme}://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, unless it runs, and wait until it answers."""
        if self._process is not None:
            return
        program = _program()
        assert program is not None
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [program, "-c", str(self._config)], stdout=log, stderr=log
            )
        deadline = time.monotonic() + _WAIT
        while not self._answers():
            assert self._process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """End it without any warning."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_WAIT)
            self._process = None

    def close(self) -> None:
        """End it and remove its folder."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def log(self) -> str:
        """What it wrote."""
        return (self._folder / "log").read_text("utf-8", "replace")
