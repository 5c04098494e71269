"""Who may talk to the control server."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from pichannels.control.access import (
    Address,
    has_token,
    is_known_host,
    make_token,
    read_address,
    remove_address,
    write_address,
)

ADDRESS = Address("http://127.0.0.1:1", "secret", 1)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Bearer secret", True),
        ("bearer  secret ", True),
        ("Bearer secre", False),
        ("Bearer ", False),
        ("Basic secret", False),
        ("secret", False),
        ("", False),
        ("Bearer \udcff\udcfe", False),
    ],
)
def test_only_the_token_opens(header: str, expected: bool) -> None:
    assert has_token({"Authorization": header}, "secret") is expected


def test_no_header_does_not_open() -> None:
    assert not has_token({}, "secret")


def test_an_empty_token_opens_nothing() -> None:
    assert not has_token({"Authorization": "Bearer "}, "")


def test_tokens_differ() -> None:
    assert make_token() != make_token()


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("127.0.0.1:8080", True),
        ("127.0.0.1", True),
        ("localhost:8080", True),
        ("LOCALHOST", True),
        ("[::1]:8080", True),
        ("[::1]", True),
        ("10.1.2.3:80", True),
        ("evil.example:8080", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example:80", False),
        ("", False),
    ],
)
def test_a_name_of_others_is_not_ours(header: str, expected: bool) -> None:
    assert is_known_host(header, "127.0.0.1") is expected


def test_a_server_for_other_machines_may_have_any_name() -> None:
    assert is_known_host("plant.example:80", "0.0.0.0")


def test_the_address_is_read_back(tmp_path: Path) -> None:
    write_address(tmp_path, ADDRESS)
    assert read_address(tmp_path) == ADDRESS


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_only_the_owner_reads_the_address(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_address(tmp_path, ADDRESS)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "control.json").stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "{", "{}", "[1]"])
def test_what_is_no_address_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "control.json").write_text(text)
    assert read_address(tmp_path) is None


def test_the_address_of_another_instance_stays(tmp_path: Path) -> None:
    other = Address("http://127.0.0.1:2", "other", 2)
    write_address(tmp_path, other)
    remove_address(tmp_path, ADDRESS)
    assert read_address(tmp_path) == other
