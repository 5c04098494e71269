"""Apicurio Registry in a process of its own, whose answers are recorded."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.servers.process import ServerProcess

__all__ = ["VERSION", "Apicurio", "Tokens", "fetch"]

VERSION: Final = "2.6.13.Final"
_ARTIFACT: Final = f"io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"
_UNPACK: Final = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:unpack"


def fetch() -> Path:
    """Its jar, which Maven takes from Maven Central where it is not here yet."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(cache) / "pichannels" / f"apicurio-{VERSION}"
    jar = folder / f"apicurio-registry-app-{VERSION}-runner.jar"
    if not jar.exists():
        where = f"-DoutputDirectory={folder}"
        command = ["mvn", "--quiet", "--batch-mode", _UNPACK, where]
        folder.mkdir(parents=True, exist_ok=True)
        # Where there is no project it leaves a note of what it did in its own folder.
        subprocess.run([*command, f"-Dartifact={_ARTIFACT}"], check=True, cwd=folder)
    return jar


class Tokens:
    """Who may do what: bearer tokens, and the key that a server knows them by."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(65537, 2048)

    @property
    def public_key(self) -> str:
        """The key in base64, as Quarkus takes it."""
        der = self._key.public_key().public_bytes(
            serialization.Encoding.DER,
            serialization.PublicFormat.SubjectPublicKeyInfo,
        )
        return base64.b64encode(der).decode()

    def token(self, role: str) -> str:
        """A token for an hour: `sr-admin`, `sr-developer` or `sr-readonly`."""
        now = int(time.time())
        claims = {
            "sub": role,
            "preferred_username": role,
            "iat": now,
            "exp": now + 3600,
            "realm_access": {"roles": [role]},
        }
        said = _part({"alg": "RS256", "typ": "JWT"}) + b"." + _part(claims)
        signature = self._key.sign(said, padding.PKCS1v15(), hashes.SHA256())
        return (said + b"." + _encoded(signature)).decode()


class Apicurio(ServerProcess):
    """A registry that keeps all in memory.

    Args:
        tokens: with them it asks for a login.
    """

    def __init__(self, tokens: Tokens | None = None) -> None:
        super().__init__("apicurio", wait=120.0)
        self._jar = fetch()
        self._tokens = tokens

    @property
    def url(self) -> str:
        """Where it speaks as Confluent's does."""
        return f"http://127.0.0.1:{self.port}/apis/ccompat/v7"

    def command(self) -> Sequence[str]:
        options = {"quarkus.http.host": "127.0.0.1", "quarkus.http.port": self.port}
        if self._tokens is not None:
            options |= {
                "registry.auth.enabled": "true",
                "registry.auth.role-based-authorization": "true",
                "quarkus.oidc.tenant-enabled": "true",
                "quarkus.oidc.auth-server-url": "",
                "quarkus.oidc.public-key": self._tokens.public_key,
            }
        given = [f"-D{name}={value}" for name, value in options.items()]
        return ["java", "-Xmx512m", *given, "-jar", str(self._jar)]


def _part(said: object) -> bytes:
    return _encoded(json.dumps(said).encode())


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
