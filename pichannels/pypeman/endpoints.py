"""pypeman's endpoints: those of pichannels, known where they are made."""

from __future__ import annotations

from typing import Any

from pichannels.endpoints import http, mllp
from pichannels.endpoints.base import Endpoint
from pichannels.pypeman.registry import current

__all__ = ["BaseEndpoint", "HTTPEndpoint", "MLLPEndpoint", "reset_pypeman_endpoints"]


class BaseEndpoint(Endpoint):
    """What channels listen on."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        current().endpoints.append(self)


class HTTPEndpoint(BaseEndpoint, http.HTTPEndpoint):
    """An endpoint for HTTP."""


class MLLPEndpoint(BaseEndpoint, mllp.MLLPEndpoint):
    """An endpoint for HL7 over MLLP."""


def reset_pypeman_endpoints() -> None:
    """Know no endpoints any more."""
    current().endpoints.clear()


def __getattr__(name: str) -> Any:
    """`all_endpoints`, which are those of the present project."""
    if name == "all_endpoints":
        return current().endpoints
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
