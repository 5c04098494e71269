"""Where Kafka's brokers are, and how to get in."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from pichannels.adapters.kafka import ensure_installed
from pichannels.certificates import tls_context
from pichannels.errors import SettingsError, nearest
from pichannels.secrets import Secret, reveal_in_thread

__all__ = [
    "MECHANISMS",
    "Login",
    "checked_mechanism",
    "checked_servers",
    "is_topic",
]

MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
"""How a user logs in."""

_ALLOWED: Final = "host:port, or several of them"
_TOPIC: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")


class Login(NamedTuple):
    """Where the brokers are, and how to get in.

    Attributes:
        servers: `host:port` of one or several brokers.
        user: name of the user.
        password: best a `Secret`; it is looked up for each connection.
        mechanism: how the user logs in, one of MECHANISMS.
        tls: True for TLS, or an `ssl.SSLContext`.
        verify: False for no check of the certificate.
        ca: a file with the certificates that are trusted, in PEM.
        certificate: a file with a certificate of our own, in PEM.
        key: a file with its key, where that is another one.
        client_id: what brokers call us in their logs.
        timeout: seconds for a connection, and for an answer.
    """

    servers: str | Sequence[str]
    user: str | Secret | None = None
    password: str | Secret | None = None
    mechanism: str = "PLAIN"
    tls: bool | ssl.SSLContext = False
    verify: bool = True
    ca: str | os.PathLike[str] | None = None
    certificate: str | os.PathLike[str] | None = None
    key: str | os.PathLike[str] | None = None
    client_id: str = "pichannels"
    timeout: float = 30.0

    def __repr__(self) -> str:
        return f"Login({self.target})"

    @property
    def secrets(self) -> list[str | Secret | None]:
        """What is looked up for each connection."""
        return [self.user, self.password]

    @property
    def target(self) -> str:
        """The brokers, as errors show them."""
        return "Kafka at " + ", ".join(checked_servers(self.servers))

    async def options(self) -> dict[str, Any]:
        """What the library's clients take.

        Raises:
            SettingsError: a secret or a file is missing, or aiokafka is.
        """
        ensure_installed()
        user, password = await reveal_in_thread(self.secrets)
        found: dict[str, Any] = {
            "bootstrap_servers": checked_servers(self.servers),
            "client_id": self.client_id,
            "request_timeout_ms": int(self.timeout * 1000),
            "security_protocol": "SSL" if self.tls else "PLAINTEXT",
        }
        if user is not None:
            found["security_protocol"] = "SASL_SSL" if self.tls else "SASL_PLAINTEXT"
            found["sasl_mechanism"] = self.mechanism
            found["sasl_plain_username"] = user
            found["sasl_plain_password"] = password or ""
        if self.tls:
            found["ssl_context"] = await tls_context(
                self.tls,
                verify=self.verify,
                ca=self.ca,
                certificate=self.certificate,
                key=self.key,
            )
        return found


def checked_servers(found: Any) -> list[str]:
    """The brokers, each with its port.

    Raises:
        SettingsError: one is not `host:port`, or there are none.
    """
    given = found.split(",") if isinstance(found, str) else found
    servers = [each.strip() for each in given if isinstance(each, str)]
    for each in servers:
        host, _, port = each.rpartition(":")
        if not (host and port.isdecimal()) or "/" in host:
            raise SettingsError(
                "not a broker", key="servers", found=each, allowed=_ALLOWED
            )
    if not servers:
        raise SettingsError("there are none", key="servers", allowed=_ALLOWED)
    return servers


def is_topic(name: str) -> bool:
    """Whether a topic can have this name."""
    return name not in (".", "..") and _TOPIC.fullmatch(name) is not None


def checked_mechanism(found: Any) -> str:
    """The name of a mechanism.

    Raises:
        SettingsError: there is none of that name.
    """
    if found not in MECHANISMS:
        raise SettingsError(
            f"no such mechanism{nearest(str(found), MECHANISMS)}",
            key="mechanism",
            found=found,
            allowed=", ".join(MECHANISMS),
        )
    return str(found)
