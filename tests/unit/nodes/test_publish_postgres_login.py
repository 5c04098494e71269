"""publish.PostgreSQL and a server that wants a password, over TLS."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nodes import publish
from pichannels.errors import SettingsError
from pichannels.probes import Finding
from pichannels.secrets import Secret
from tests.integration.certificates import make_certificate
from tests.servers.postgres import PostgresServer, why_missing


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of the server, which is its own authority."""
    return make_certificate(tmp_path_factory.mktemp("tls"), "db")


@pytest.fixture(scope="module")
def server(pem: Path) -> Iterator[PostgresServer]:
    if reason := why_missing():
        pytest.skip(reason)
    server = PostgresServer("a secret", pem)
    server.start()
    yield server
    server.close()


async def look(url: str, **options: Any) -> Finding:
    return (await publish.PostgreSQL(url, **options).probe())[0]


async def test_a_password_is_looked_up_and_used(
    server: PostgresServer, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("a secret\n")
    secret = Secret.file(tmp_path / "password")
    assert (await look(server.url(), password=secret)).ok


async def test_a_wrong_password_stops_the_start(server: PostgresServer) -> None:
    with pytest.raises(SettingsError, match="password authentication failed"):
        await publish.PostgreSQL(server.url(), password="wrong").start()


async def test_a_context_checks_the_server(server: PostgresServer, pem: Path) -> None:
    context = ssl.create_default_context(cafile=str(pem))
    assert (await look(server.url(), password="a secret", ssl=context)).ok


async def test_a_url_can_name_the_authority(server: PostgresServer, pem: Path) -> None:
    url = f"{server.url()}?sslmode=verify-full&sslrootcert={pem}"
    assert (await look(url, password="a secret")).ok


async def test_a_server_that_is_not_trusted_is_told(server: PostgresServer) -> None:
    found = await look(server.url(), password="a secret", ssl=True)
    assert (found.ok, "certificate verify failed" in found.text) == (False, True)
