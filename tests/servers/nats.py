"""A NATS server with JetStream for tests: started, killed, started again."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.servers.process import ServerProcess

__all__ = ["NatsServer", "why_missing"]


def _program() -> str | None:
    return shutil.which("nats-server", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def why_missing() -> str:
    """Why no server can be started here; empty where it can."""
    return "" if _program() else "nats-server is not installed"


class NatsServer(ServerProcess):
    """A server on a loopback port with a folder of its own for its streams.

    Args:
        settings: further lines of its configuration.
        certificate: a file with certificate and key, for TLS; clients need one too.

    Attributes:
        certificate: that file; its certificate is its own authority.
    """

    def __init__(self, *settings: str, certificate: Path | None = None) -> None:
        super().__init__("nats")
        self._scheme = "nats" if certificate is None else "tls"
        self.certificate = certificate
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

    def command(self) -> list[str]:
        program = _program()
        assert program is not None
        return [program, "-c", str(self._config)]
