"""An MQTT broker for tests: Mosquitto on loopback, started, killed, started again."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

__all__ = ["Mosquitto", "why_missing"]

_WAIT = 20.0


def _program() -> str | None:
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def why_missing() -> str:
    """Why no broker can be started here; empty where it can."""
    return "" if _program() else "Mosquitto is not installed"


class Mosquitto:
    """A broker on a loopback port with a folder of its own, where it saves at its end.

    Args:
        settings: further lines of its configuration.
        certificate: a file with certificate and key, for TLS; clients need one too.
        login: user and password, where it is to ask for them.

    Attributes:
        port: stays the same when the broker is started again.
    """

    def __init__(
        self,
        *settings: str,
        certificate: Path | None = None,
        login: tuple[str, str] | None = None,
    ) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="pichannels-mosquitto-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._scheme = "mqtt" if certificate is None else "mqtts"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        lines = [
            f"listener {self.port} 127.0.0.1",
            f"allow_anonymous {'false' if login else 'true'}",
            "persistence true",
            f"persistence_location {self._folder}/",
            "max_queued_messages 0",
            "set_tcp_nodelay true",
            *settings,
        ]
        if hasattr(os, "geteuid") and not os.geteuid():
            lines.append("user root")
        if certificate is not None:
            path = self._keep("certificate.pem", certificate.read_text())
            lines += [f"certfile {path}", f"keyfile {path}", f"cafile {path}"]
            lines.append("require_certificate true")
        if login is not None:
            path = self._keep("passwords", f"{login[0]}:{login[1]}\n")
            subprocess.run(["mosquitto_passwd", "-U", path], check=True)
            lines.append(f"password_file {path}")
        self._config = self._keep("mosquitto.conf", "\n".join(lines) + "\n")

    def _keep(self, name: str, text: str) -> Path:
        path = self._folder / name
        path.touch(mode=0o600)
        path.write_text(text)
        return path

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

    def stop(self) -> None:
        """End it in good order; it saves what it keeps."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_WAIT)
            self._process = None

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
