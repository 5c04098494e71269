"""What may be published is checked before the start."""

from __future__ import annotations

from typing import Any

import pytest

from pichannels.config import read_config
from pichannels.remote_config import RemoteConfig, unknown_channels
from pichannels.secrets import Secret

TOKEN = {"token": Secret.env("TOKEN"), "allow": {"channels/*": ["read"]}}


def problems(**remote: Any) -> list[str]:
    """What is wrong with these settings."""
    _, found = read_config({"REMOTE": remote}, "settings.py")
    return [str(each) for each in found]


def test_all_parts_are_read_and_secrets_stay_secrets() -> None:
    folders = {"files": {"path": "exports", "write": True}}
    config, found = read_config(
        {"REMOTE": {"tokens": {"hq": TOKEN}, "folders": folders}}, "settings.py"
    )
    assert found == []
    assert config.remote.tokens["hq"].token == Secret.env("TOKEN")
    assert config.remote.folders["files"].write


@pytest.mark.parametrize(
    ("remote", "said"),
    [
        ({"tokens": {"hq": {"allow": {"*": ["read"]}}}}, "given as itself"),
        ({"tokens": {"hq": {**TOKEN, "token": "short"}}}, "short"),
        ({"tokens": {"hq": {"token": Secret.env("X")}}}, "nothing may be done"),
        ({"tokens": {"hq": {**TOKEN, "allow": {"*": ["reed"]}}}}, "'read', 'write'"),
        ({"tokens": {"hq": {**TOKEN, "sha": "x"}}}, "did you mean 'sha256'"),
        ({"folders": {"stores": {"path": "x"}}}, "cannot have this name"),
        ({"folders": {"files": {}}}, "needs a path"),
        ({"port": 1, "host": "0.0.0.0"}, "needs TLS"),
        ({"port": 1, "cert": "x"}, "needs its key"),
        ({"port": 70_000}, "a port, 0 to 65535, or None"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_what_is_wrong_is_told(remote: dict[str, Any], said: str) -> None:
    assert any(said in each for each in problems(**remote))


def test_what_stands_in_the_place_of_a_token_is_not_shown() -> None:
    for tokens in ({"hq": "a token of mine"}, "a token of mine"):
        found = " ".join(problems(tokens=tokens))
        assert found and "mine" not in found


def test_a_listener_needs_the_control_server() -> None:
    _, found = read_config({"REMOTE": {"port": 0}, "CONTROL": False}, "settings.py")
    assert [each.key for each in found] == ["CONTROL"]


def test_a_channel_that_is_not_there_is_told_with_the_nearest() -> None:
    remote = RemoteConfig(inboxes=("boilr", "b*"), channels=("BOILER",))
    (found,) = unknown_channels(remote, ["boiler"], "settings.py")
    assert "did you mean 'boiler'" in str(found)
