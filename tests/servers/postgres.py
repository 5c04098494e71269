"""A PostgreSQL server for tests: made, started, killed and started again."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.servers.process import ServerProcess

__all__ = ["PostgresServer", "why_missing"]

_USER = "pichannels"


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


class PostgresServer(ServerProcess):
    """A server on a loopback port with a folder of its own.

    Args:
        password: what it asks for; by default it trusts everybody.
        certificate: a file with certificate and key, for TLS.
    """

    # Fast: it does not wait for its clients.
    stopping = signal.SIGINT

    def __init__(self, password: str = "", certificate: Path | None = None) -> None:
        programs = _folder()
        assert programs is not None
        self._programs = programs
        self._user = _other_user()
        super().__init__("postgres")
        if self._user:
            shutil.chown(self._folder, self._user)
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

    def command(self) -> list[str]:
        place = ("-h", "127.0.0.1", "-p", str(self.port), "-k", str(self._folder))
        return ["postgres", "-D", self._data, *place, *self._options]

    @property
    def is_running(self) -> bool:
        """Whether it has been started and not ended since."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        deadline = time.monotonic() + self._wait
        while not self._answers():
            # Right after a kill, what is left of the old server may be in the way.
            if not self.is_running:
                self._process = self._popen(*self.command())
            assert time.monotonic() < deadline, self.log
            time.sleep(0.05)

    def kill(self) -> None:
        """End it without any warning, and at once all that would answer a last time."""
        workers = self._workers()
        super().kill()
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _workers(self) -> list[int]:
        """The processes that it answers with, where the system tells."""
        if self._process is None:
            return []
        pid = self._process.pid
        told = Path(f"/proc/{pid}/task/{pid}/children")
        return [int(each) for each in told.read_text().split()] if told.exists() else []

    def close(self) -> None:
        """End it in good order, so that it leaves no shared memory, and its folder."""
        self.stop()
        super().close()

    def _answers(self) -> bool:
        if not self.is_running:
            return False
        asked = self._popen("pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port))
        return asked.wait(self._wait) == 0

    def _run(self, program: str, *arguments: str) -> None:
        process = self._popen(program, *arguments)
        assert process.wait(60) == 0, self.log

    def _popen(self, *command: str, **options: Any) -> subprocess.Popen[bytes]:
        program, *arguments = command
        return super()._popen(
            str(self._programs / program),
            *arguments,
            cwd=self._folder,
            env={**os.environ, "LC_ALL": "C"},
            user=self._user,
            group=self._user,
            extra_groups=[] if self._user else None,
            **options,
        )
