"""Endpoints: servers that listen for channels, which share them."""

from __future__ import annotations

from pichannels.endpoints.base import Endpoint, Listen, ListenError

__all__ = ["Endpoint", "Listen", "ListenError"]
