"""Who may have what an instance publishes: by the tokens of its settings."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final, NamedTuple

from pichannels.errors import SettingsError
from pichannels.remote.access import Access, Action, Permission
from pichannels.remote_config import SHORTEST_TOKEN, RemoteConfig
from pichannels.secrets import reveal_in_thread

__all__ = ["Tokens", "hash_token", "read_tokens"]

_CONTROL: Final = Access("control", (Permission("*", tuple(Action)),))


class _Known(NamedTuple):
    digest: str
    access: Access


class Tokens:
    """The tokens that are taken, as their hashes.

    Args:
        known: hash of a token -> what may be done with it.
    """

    def __init__(self, known: dict[str, Access]) -> None:
        self._known = [_Known(digest, access) for digest, access in known.items()]

    def authorize(self, token: str | None) -> Access | None:
        """What may be done with this token; takes the same time for all."""
        shown = hash_token(token or "")
        found = None
        for each in self._known:
            if hmac.compare_digest(each.digest, shown):
                found = each.access
        return found


def hash_token(token: str) -> str:
    """What is kept of a token: SHA-256, as it has random bits enough."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


async def read_tokens(config: RemoteConfig, control: str) -> Tokens:
    """The tokens of the settings, and that of the control server, which may all.

    Raises:
        SettingsError: a secret is missing, or too short for a token.
    """
    known = {hash_token(control): _CONTROL}
    for client, given in config.tokens.items():
        permissions = [
            Permission(pattern, tuple(map(Action, actions)))
            for pattern, actions in given.allow.items()
        ]
        token = str(await reveal_in_thread(given.token))
        if not given.sha256 and len(token) < SHORTEST_TOKEN:
            raise SettingsError(
                "this token is too short",
                key=f"REMOTE['tokens'][{client!r}]['token']",
                allowed=f"{SHORTEST_TOKEN} characters and more",
            )
        digest = given.sha256.lower() or hash_token(token)
        known.setdefault(digest, Access(client, permissions))
    return Tokens(known)
