"""HTTP, by pypeman's names."""

from __future__ import annotations

from pichannels.pypeman.channels import HttpChannel
from pichannels.pypeman.endpoints import HTTPEndpoint
from pichannels.pypeman.requests import HttpRequest

__all__ = ["HTTPEndpoint", "HttpChannel", "HttpRequest"]
