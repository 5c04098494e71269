"""Logins for HTTP and for the handshakes of channels alike.

Each of these is given as `auth` to `HTTPClient`, `WebsocketClient`, `Stream`,
`PIWebChannel` and `enrich.PI`. Their fields take secrets, and nothing shows them.
"""

from __future__ import annotations

from pichannels.piwebasync.credentials import Basic, Bearer
from pichannels.piwebasync.exceptions import AuthFailed
from pichannels.piwebasync.httpx_flow import HttpxAuth
from pichannels.piwebasync.login import Answer, Asked, Bond, Detour, Flow, Login
from pichannels.piwebasync.negotiate import NTLM, Negotiate
from pichannels.piwebasync.oidc import ClientCredentials

__all__ = [
    "NTLM",
    "Answer",
    "Asked",
    "AuthFailed",
    "Basic",
    "Bearer",
    "Bond",
    "ClientCredentials",
    "Detour",
    "Flow",
    "HttpxAuth",
    "Login",
    "Negotiate",
]
