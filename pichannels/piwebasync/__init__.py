"""The PI Web API client: requests, HTTP, PI channels.

Its names and behaviour are piwebasync's, which is not on the package index.
`requests`, `controllers`, `parsing`, `webids` and `splitting` do no input or
output; `HTTPClient`, `WebsocketClient` and `Stream` do. `history` and `paging` read
what is longer than one answer.
"""

from __future__ import annotations

from pichannels.piwebasync import exceptions
from pichannels.piwebasync.auth import (
    NTLM,
    Basic,
    Bearer,
    ClientCredentials,
    Negotiate,
)
from pichannels.piwebasync.controllers import Controller
from pichannels.piwebasync.http import HTTPClient
from pichannels.piwebasync.limiting import Limiter
from pichannels.piwebasync.requests import APIRequest
from pichannels.piwebasync.responses import APIResponse, HTTPResponse, WebsocketMessage
from pichannels.piwebasync.server import PIServer
from pichannels.piwebasync.stream import Stream
from pichannels.piwebasync.stream_updates import StreamUpdates
from pichannels.piwebasync.websocket import WebsocketClient

__all__ = [
    "NTLM",
    "APIRequest",
    "APIResponse",
    "Basic",
    "Bearer",
    "ClientCredentials",
    "Controller",
    "HTTPClient",
    "HTTPResponse",
    "Limiter",
    "Negotiate",
    "PIServer",
    "Stream",
    "StreamUpdates",
    "WebsocketClient",
    "WebsocketMessage",
    "exceptions",
]
