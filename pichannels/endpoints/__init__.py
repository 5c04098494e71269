"""Endpoints: servers that listen for channels, which share them."""

from __future__ import annotations

from pichannels.endpoints.base import Endpoint, Listen, ListenError
from pichannels.endpoints.http import HTTPEndpoint

__all__ = ["Endpoint", "HTTPEndpoint", "Listen", "ListenError"]
