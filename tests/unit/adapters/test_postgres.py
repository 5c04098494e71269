"""The adapter of asyncpg, where no server is needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pichannels.adapters.postgres import Link, Login, checked_url
from pichannels.errors import NotConnected, SettingsError
from pichannels.secrets import Secret


def test_without_asyncpg_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['asyncpg'] = None\n"
        "from nodes import publish\n"
        "publish.SQLite('values.db')\n"
        "publish.PostgreSQL('postgresql://host/plant')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30
    )
    assert "pip install 'pichannels[postgres]'" in done.stderr


def test_urls_of_the_database_are_taken_and_no_others() -> None:
    ours = ["postgresql://h/d", "postgres:///d", Secret.env("U")]
    refused: list[object] = []
    for url in [*ours, "http://h/d", "host", None, 5]:
        try:
            checked_url(url)
        except SettingsError as exc:
            assert "postgresql://user@host:port/database" in str(exc)
            refused.append(url)
    assert refused == ["http://h/d", "host", None, 5]


def test_the_target_holds_no_secret() -> None:
    login = Login("postgresql://me:hidden@host:5433/plant?password=hidden", "hidden")
    assert Link(login).target == "postgresql://host:5433/plant"
    assert "hidden" not in repr(login)


async def test_a_secret_that_is_no_url_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE", "hidden")
    with pytest.raises(SettingsError) as caught:
        await Link(Login(Secret.env("DATABASE"))).open()
    assert "hidden" not in str(caught.value)


async def test_a_host_that_is_none_is_not_connected() -> None:
    link = Link(Login("postgresql://me@host.invalid/plant", timeout=1))
    with pytest.raises(NotConnected, match="host.invalid/plant is not connected"):
        await link.open()


async def test_a_port_that_is_none_is_told() -> None:
    with pytest.raises(SettingsError, match="invalid literal"):
        await Link(Login("postgresql://me@127.0.0.1:port/plant")).open()


async def test_an_unknown_word_for_tls_is_told() -> None:
    with pytest.raises(SettingsError, match="sslmode"):
        await Link(Login("postgresql://me@127.0.0.1/plant", ssl="sure")).open()
