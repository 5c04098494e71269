"""Secrets by reference: looked up when used, never shown."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import msgspec
import pytest

from pichannels.errors import SettingsError
from pichannels.fingerprint import Fingerprinter
from pichannels.secrets import Secret, expand, reveal, reveal_in_thread

PASSWORD = "pa55w0rd"

KEYRING = f"""
def get_password(service, user):
    if service == "broken":
        raise RuntimeError("{PASSWORD}")
    return "{PASSWORD}" if (service, user) == ("pi", "joe") else None
"""


@pytest.fixture
def variable(monkeypatch: pytest.MonkeyPatch) -> Secret:
    monkeypatch.setenv("PI_PASSWORD", PASSWORD)
    return Secret.env("PI_PASSWORD")


@pytest.fixture
def keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A keyring library that knows one password."""
    (tmp_path / "keyring.py").write_text(KEYRING)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "keyring", raising=False)


def test_a_variable_is_looked_up_when_it_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secret = Secret.env("PI_PASSWORD_2")
    monkeypatch.setenv("PI_PASSWORD_2", PASSWORD)
    assert secret.reveal() == PASSWORD


def test_a_file_is_read_each_time_anew(tmp_path: Path) -> None:
    secret = Secret.file(tmp_path / "token")
    (tmp_path / "token").write_text("first\n")
    first = secret.reveal()
    (tmp_path / "token").write_text("second\r\n")
    assert (first, secret.reveal()) == ("first", "second")


@pytest.mark.usefixtures("keyring")
def test_an_entry_of_the_keyring_is_found() -> None:
    assert Secret.keyring("pi", "joe").reveal() == PASSWORD


@pytest.mark.usefixtures("keyring")
@pytest.mark.parametrize(
    ("service", "told"),
    [("other", "no such entry"), ("broken", "failed with RuntimeError")],
)
def test_a_missing_entry_of_the_keyring_is_told(service: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told) as caught:
        Secret.keyring(service, "joe").reveal()
    assert PASSWORD not in str(caught.value)


def test_a_missing_keyring_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "keyring", None)
    with pytest.raises(SettingsError, match=r"pichannels\[keyring\]"):
        Secret.keyring("pi", "joe").reveal()


def test_a_variable_that_is_not_set_is_named() -> None:
    with pytest.raises(SettingsError) as caught:
        Secret.env("NO_SUCH_PASSWORD").reveal()
    assert str(caught.value) == (
        "Secret(env:NO_SUCH_PASSWORD): this secret is missing: the environment"
        " variable NO_SUCH_PASSWORD is not set"
    )


def test_an_empty_variable_is_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMPTY_PASSWORD", "")
    with pytest.raises(SettingsError, match="EMPTY_PASSWORD is empty"):
        Secret.env("EMPTY_PASSWORD").reveal()


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"file:.*nothing"):
        Secret.file(tmp_path / "nothing").reveal()


def test_a_file_that_is_no_text_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b"\xffsecret")
    with pytest.raises(SettingsError, match="no UTF-8 text") as caught:
        Secret.file(tmp_path / "token").reveal()
    assert caught.value.__cause__ is None


def test_no_way_to_text_shows_it(
    variable: Secret, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("pichannels").warning("%s %r", variable, {"auth": variable})
    shown = [str(variable), repr(variable), f"{variable}", caplog.text]
    shown.append(msgspec.json.encode([variable], enc_hook=str).decode())
    shown.append(json.dumps([variable], default=str))
    assert all("Secret(env:PI_PASSWORD)" in text for text in shown)
    assert not any(PASSWORD in text for text in shown)


@pytest.mark.parametrize(
    ("secret", "shown"),
    [
        (Secret.file("token.txt"), "Secret(file:token.txt)"),
        (Secret.keyring("pi", "joe"), "Secret(keyring:pi/joe)"),
        (expand("Bearer ${env:A} ${file:b}"), "Secret(env:A, file:b)"),
    ],
)
def test_it_shows_where_it_is(secret: Secret, shown: str) -> None:
    assert repr(secret) == shown


def test_secrets_of_one_place_are_equal() -> None:
    assert {Secret.env("A"), Secret.env("A"), Secret.env("B")} == {
        expand("${env:A}"),
        expand("${env:B}"),
    }


def test_all_secrets_in_a_value_are_looked_up(variable: Secret) -> None:
    value = {"auth": ("joe", variable), "other": [1, {"deep": variable}]}
    assert reveal(value) == {
        "auth": ("joe", PASSWORD),
        "other": [1, {"deep": PASSWORD}],
    }


class Login(msgspec.Struct, frozen=True):
    user: str
    password: str | Secret


def test_secrets_in_a_struct_are_looked_up(variable: Secret) -> None:
    assert reveal([Login("joe", variable)]) == [Login("joe", PASSWORD)]


async def test_files_are_not_read_in_the_event_loop(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(PASSWORD)
    found = await reveal_in_thread({"token": [Login("joe", Secret.file(file))]})
    assert found == {"token": [Login("joe", PASSWORD)]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${env:A}", Secret.env("A")),
        ("${file:b/c}", Secret.file("b/c")),
        ("${keyring:a/b/joe}", Secret.keyring("a/b", "joe")),
        ("no references, {not} one$", "no references, {not} one$"),
        ("$${env:A}", "${env:A}"),
        ("a${NO_SUCH:-b}c", "abc"),
        ("${NO_SUCH:-}", ""),
    ],
)
def test_references_in_texts(text: str, expected: str | Secret) -> None:
    assert expand(text) == expected


def test_a_variable_in_a_text_is_replaced(variable: Secret) -> None:
    assert expand("<${PI_PASSWORD}>") == f"<{PASSWORD}>"


def test_a_secret_may_be_a_part_of_a_text(variable: Secret) -> None:
    assert reveal(expand("Bearer ${env:PI_PASSWORD}!")) == f"Bearer {PASSWORD}!"


def test_files_are_relative_to_the_folder(tmp_path: Path) -> None:
    assert expand("${file:t}", tmp_path) == Secret.file(tmp_path / "t")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("${evn:A}", "did you mean 'env'"),
        ("${keyring:joe}", "a service and a user"),
        ("${NO_SUCH}", "NO_SUCH is not set"),
        ("${env:}", "not understood"),
        ("${env:A", "not understood"),
        ("${}", "not understood"),
    ],
)
def test_references_that_are_none_are_told(text: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        expand(text)


def test_a_reload_sees_where_a_secret_has_changed() -> None:
    texts = ["${env:A}", "${env:B}", "x ${env:A}", "y ${env:A}"]
    prints = {Fingerprinter("settings").text(expand(text)) for text in texts}
    assert len(prints) == len(texts)
