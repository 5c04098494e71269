"""A PostgreSQL server for tests: made, started, killed and started again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

__all__ = ["PostgresServer", "why_missing"]

_USER = "pichannels"
_WAIT = 20.0


def _folder() -> Path | None:
    """Where the programs of the newest version are."""
    found = shutil.which("postgres")
    if found and shutil.which("initdb"):
        return Path(found).resolve().parent
    versions = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    newest = max(versions, key=lambda p: float(p.parts[-3]), default=None)
    return newest.parent if newest else None


def _other_user() -> str | None:
    """Who runs the server: it refuses to run as root."""
    if os.name == "nt" or os.geteuid():
        return None
    return "postgres"


def why_missing() -> str:
    """Why no server can be made here; empty where it can."""
    if _folder() is None:
        return "PostgreSQL is not installed"
    user = _other_user()
    if user and user not in Path("/etc/passwd").read_text("utf-8"):
        return f"root cannot run PostgreSQL, and there is no user {user}"
    return ""


class PostgresServer:
    """A server on a loopback port with a folder of its own.

    Args:
        password: what it asks for; by default it trusts everybody.
        certificate: a file with certificate and key, for TLS.

    Attributes:
        port: stays the same when the server is started again.
    """

    def __init__(self, password: str = "", certificate: Path | None = None) -> None:
        programs = _folder()
        assert programs is not None
        self._programs = programs
        self._user = _other_user()
        self._folder = Path(tempfile.mkdtemp(prefix="pichannels-postgres-"))
        if self._user:
            shutil.chown(self._folder, self._user)
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._options = ["-F"]
        if certificate is not None:
            path = self._keep("certificate.pem", certificate.read_text())
            self._options += ["-c", "ssl=on", "-c", f"ssl_cert_file={path}"]
            self._options += ["-c", f"ssl_key_file={path}"]
        login = ["-A", "trust"]
        if password:
            path = self._keep("password", password)
            login = ["-A", "scram-sha-256", "--pwfile", path]
        self._run(
            "initdb",
            *("-D", self._data, "-U", _USER, *login),
            *("-E", "UTF8", "--locale=C", "--no-sync"),
        )

    def _keep(self, name: str, text: str) -> str:
        """The path of a file that only the server may read."""
        path = self._folder / name
        path.touch(mode=0o600)
        path.write_text(text)
        if self._user:
            shutil.chown(path, self._user)
        return str(path)

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    @property
    def socket_folder(self) -> str:
        """Where its Unix socket is."""
        return str(self._folder)

    def url(self, database: str = "postgres", port: int | None = None) -> str:
        """The URL of a database, perhaps through a proxy on another port."""
        return f"postgresql://{_USER}@127.0.0.1:{port or self.port}/{database}"

    @property
    def is_running(self) -> bool:
        """Whether it has been started and not ended since."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        deadline = time.monotonic() + _WAIT
        while not self._answers():
            # Right after a kill, what is left of the old server may be in the way.
            if not self.is_running:
                self._process = self._popen(
                    "postgres",
                    *("-D", self._data, "-k", str(self._folder)),
                    *("-h", "127.0.0.1", "-p", str(self.port), *self._options),
                )
            assert time.monotonic() < deadline, self.log
            time.sleep(0.05)

    def stop(self) -> None:
        """End it; its clients are disconnected."""
        if self._process is not None:
            # Fast: it does not wait for its clients.
            self._process.send_signal(signal.SIGINT)
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
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def log(self) -> str:
        """What it wrote."""
        return (self._folder / "log").read_text("utf-8", "replace")

    def _answers(self) -> bool:
        if not self.is_running:
            return False
        asked = self._popen("pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port))
        return asked.wait(_WAIT) == 0

    def _run(self, program: str, *arguments: str) -> None:
        process = self._popen(program, *arguments)
        assert process.wait(60) == 0, self.log

    def _popen(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                [str(self._programs / program), *arguments],
                cwd=self._folder,
                env={**os.environ, "LC_ALL": "C"},
                user=self._user,
                group=self._user,
                extra_groups=[] if self._user else None,
                stdout=log,
                stderr=log,
            )
