"""pypeman's endpoints: those of pichannels, known where they are made."""

from __future__ import annotations

import socket
from typing import Any

from pichannels.endpoints import http, mllp
from pichannels.endpoints.base import Endpoint
from pichannels.pypeman.registry import current

__all__ = [
    "BaseEndpoint",
    "HTTPEndpoint",
    "MLLPEndpoint",
    "SocketEndpoint",
    "reset_pypeman_endpoints",
]


class BaseEndpoint(Endpoint):
    """What channels listen on."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        current().endpoints.append(self)


class SocketEndpoint(BaseEndpoint):
    """An endpoint that listens on a socket, as all of them do.

    One of your own implements `_open`, `_leave_port` and `_close` of
    `pichannels.endpoints.base.Endpoint`, in place of pypeman's `start` and `stop`.
    """

    @staticmethod
    def normalize_socket(sock: Any, default_port: str = "8080") -> Any:
        """`host:port` of a text that may leave out either; anything else as it is."""
        if not isinstance(sock, str) or sock.startswith("unix:"):
            return sock
        host, _, port = sock.partition(":")
        return f"{host or '127.0.0.1'}:{port or default_port}"

    @classmethod
    def mk_socket(cls, sock: Any, reuse_port: bool | None = None) -> Any:
        """A socket that is bound to `host:port`; one that is given, as it is.

        Raises:
            OSError: the address cannot be bound.
            ValueError: it is none.
        """
        if not isinstance(sock, str):
            return sock
        if sock.startswith("unix:"):
            raise ValueError(f"bind a socket to {sock[5:]!r} and give that")
        host, _, port = cls.normalize_socket(sock).rpartition(":")
        return socket.create_server((host, int(port)), reuse_port=bool(reuse_port))


class HTTPEndpoint(SocketEndpoint, http.HTTPEndpoint):
    """An endpoint for HTTP."""


class MLLPEndpoint(SocketEndpoint, mllp.MLLPEndpoint):
    """An endpoint for HL7 over MLLP."""


def reset_pypeman_endpoints() -> None:
    """Know no endpoints any more."""
    current().endpoints.clear()


def __getattr__(name: str) -> Any:
    """`all_endpoints`, which are those of the present project."""
    if name == "all_endpoints":
        return current().endpoints
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
