"""An MQTT broker for tests: Mosquitto on loopback, started, killed, started again."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.servers.process import ServerProcess

__all__ = ["Mosquitto", "why_missing"]


def _program() -> str | None:
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def why_missing() -> str:
    """Why no broker can be started here; empty where it can."""
    return "" if _program() else "Mosquitto is not installed"


class Mosquitto(ServerProcess):
    """A broker on a loopback port with a folder of its own, where it saves at its end.

    Args:
        settings: further lines of its configuration.
        certificate: a file with certificate and key, for TLS; clients need one too.
        login: user and password, where it is to ask for them.
    """

    def __init__(
        self,
        *settings: str,
        certificate: Path | None = None,
        login: tuple[str, str] | None = None,
    ) -> None:
        super().__init__("mosquitto")
        self._scheme = "mqtt" if certificate is None else "mqtts"
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

    def command(self) -> list[str]:
        program = _program()
        assert program is not None
        return [program, "-c", str(self._config)]
