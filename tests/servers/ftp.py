"""An FTP server on loopback, with faults on demand (pyftpdlib, in a thread)."""

from __future__ import annotations

import threading
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

with warnings.catch_warnings():
    # It uses asyncore, of Python or (from 3.12 on) of a distribution of its own.
    warnings.simplefilter("ignore")
    from pyftpdlib import handlers  # type: ignore[import-untyped]
    from pyftpdlib.authorizers import DummyAuthorizer  # type: ignore[import-untyped]
    from pyftpdlib.ioloop import IOLoop  # type: ignore[import-untyped]
    from pyftpdlib.servers import (  # type: ignore[import-untyped]
        FTPServer as Server,
    )

__all__ = ["FTPServer", "why_no_tls"]

USER, PASSWORD = "plant", "s3cret"


def why_no_tls() -> str:
    """Why there can be no FTPS server here, or ""."""
    has_tls = hasattr(handlers, "TLS_FTPHandler")
    return "" if has_tls else "pyftpdlib has no TLS without pyOpenSSL"


class FTPServer:
    """Serves a folder to one user.

    Args:
        folder: what is served.
        certificate: of an FTPS server, with its key.
        is_old: tells times as servers do that have no MLSD.

    Attributes:
        commands: how often each command came.
        refuse_login: the password counts as wrong.
        drop_at: hang up when this command comes, once.
        cut_at: close data connections after so many bytes.
    """

    def __init__(
        self, folder: Path, certificate: Path | None = None, *, is_old: bool = False
    ) -> None:
        self.folder = folder
        self.commands: Counter[str] = Counter()
        self.refuse_login = False
        self.drop_at = ""
        self.cut_at = 0
        self.port = 0
        self._handler = _handler(self, certificate, is_old)
        self._server: Any = None
        self._thread: threading.Thread | None = None
        self.start()

    def start(self) -> None:
        """Listen, on the port of before."""
        loop = IOLoop()
        self._server = Server(("127.0.0.1", self.port), self._handler, ioloop=loop)
        self.port = self._server.address[1]
        self._thread = threading.Thread(target=self._run, args=(loop,), daemon=True)
        self._is_stopping = False
        self._thread.start()

    def _run(self, loop: Any) -> None:
        while not self._is_stopping:
            loop.loop(timeout=0.01, blocking=False)
        self._server.close_all()
        loop.close()

    def stop(self) -> None:
        """Close everything, as a server that goes down."""
        self._is_stopping = True
        if self._thread is not None:
            self._thread.join()


def _handler(server: FTPServer, certificate: Path | None, is_old: bool) -> type:
    authorizer = DummyAuthorizer()
    authorizer.add_user(USER, PASSWORD, str(server.folder), perm="elradfmwMT")
    kind: Any = handlers.TLS_FTPHandler if certificate else handlers.FTPHandler
    data: Any = handlers.TLS_DTPHandler if certificate else handlers.DTPHandler

    class Data(data):  # type: ignore[misc]
        def send(self, data: bytes) -> int:
            if server.cut_at:
                server.cut_at = 0
                self.cmd_channel.close()
                return 0
            return int(super().send(data))

    class Handler(kind):  # type: ignore[misc]
        dtp_handler = Data

        def pre_process_command(self, line: str, cmd: str, arg: str) -> None:
            server.commands[cmd] += 1
            if cmd == server.drop_at:
                server.drop_at = ""
                self.close()
            elif cmd == "PASS" and server.refuse_login:
                self.respond("530 Not today.")
            elif is_old and cmd in ("MLSD", "MLST"):
                self.respond("502 Not known here.")
            else:
                super().pre_process_command(line, cmd, arg)

        def log(self, *args: Any, **options: Any) -> None:
            """Quiet."""

        logline = log_cmd = log_transfer = log

    Handler.authorizer = authorizer
    Handler.use_sendfile = False
    Handler.auth_failed_timeout = 0
    if certificate is not None:
        Handler.certfile = str(certificate)
        Handler.tls_control_required = Handler.tls_data_required = True
    return Handler
