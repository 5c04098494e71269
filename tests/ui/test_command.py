"""`pichannels ui`: the pages by themselves, with TLS, and users."""

from __future__ import annotations

import json
import os
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from pichannels.cli import cli
from pichannels.config import read_config
from pichannels.ui_config import UIConfig
from tests.cli.folders import Folder, settings
from tests.integration.certificates import make_certificate

PASSWORD = "correct horse battery"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A project that does not run."""
    found = Folder(tmp_path)
    found.write("settings.py", settings())
    return found


@contextmanager
def serving(
    folder: Folder, *args: str, env: dict[str, str] | None = None
) -> Iterator[str]:
    """Serve the pages alone; gives what the command says of where."""
    with subprocess.Popen(
        [sys.executable, "-m", "pichannels", "ui", "--port", "0", *args],
        cwd=folder.path,
        env=env,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline()
        finally:
            process.terminate()
            assert process.wait() == 0


def user(folder: Folder, *args: str) -> Result:
    """What `ui user` does."""
    settings = str(folder.path / "settings.py")
    command = ["ui", "user", *args, "--settings", settings]
    return CliRunner().invoke(cli, command, env={"PICHANNELS_UI_PASSWORD": PASSWORD})


def test_users_are_added_listed_and_removed(folder: Folder) -> None:
    assert user(folder, "add", "ann", "--role", "operate").exit_code == 0
    assert user(folder, "token", "ann", "--about", "robot").output.startswith("pch_")
    (found,) = json.loads(user(folder, "list", "--json").output)
    assert (found["name"], found["role"], found["password"]) == ("ann", "operate", True)
    assert found["tokens"][0].endswith("robot")
    assert user(folder, "remove", "ann").exit_code == 0
    assert json.loads(user(folder, "list", "--json").output) == []


def test_an_unknown_user_is_told(folder: Folder) -> None:
    result = user(folder, "remove", "nobody")
    assert result.exit_code == 2
    assert "there is no user 'nobody'" in result.output


def test_pages_are_served_by_tls_without_an_instance(folder: Folder) -> None:
    file = make_certificate(folder.path, "server")
    more = f'UI = {{"cert": "{file.name}", "key": "{file.name}"}}'
    folder.write("settings.py", settings(more=more))
    trust = ssl.create_default_context(cafile=str(file))
    with serving(folder) as line:
        found = re.search(r"(https://\S+) .* token in (.+)\)", line)
        assert found, line
        token = Path(found[2]).read_text()
        answer = httpx.get(
            f"{found[1]}/api/v1/instances",
            headers={"Authorization": f"Bearer {token}"},
            verify=trust,
        )
    assert [row["connected"] for row in answer.json()] == [False]
    assert "strict-transport-security" in answer.headers
    assert token not in line


def test_an_instance_elsewhere_is_served_without_a_project(tmp_path: Path) -> None:
    folder, env = Folder(tmp_path), {**os.environ, "PICHANNELS_TOKEN": "x" * 16}
    with serving(folder, "--url", "far=http://127.0.0.1:9", env=env) as line:
        found = re.search(r"(http://\S+) .* token in (.+)\)", line)
        assert found, line
        token = Path(found[2]).read_text()
        headers = {"Authorization": f"Bearer {token}"}
        (row,) = httpx.get(f"{found[1]}/api/v1/instances", headers=headers).json()
    assert (row["name"], row["connected"]) == ("far", False)
    file = Path(found[2])
    assert (file.parent, file.exists()) == (tmp_path / ".pichannels" / "ui", False)


@pytest.mark.parametrize("command", ["check", "ui"])
def test_a_certificate_that_is_not_there_is_told(folder: Folder, command: str) -> None:
    folder.write(
        "settings.py", settings(more='UI = {"cert": "no.pem", "key": "no.pem"}')
    )
    path = str(folder.path / "settings.py")
    result = CliRunner().invoke(cli, [command, "--settings", path])
    assert result.exit_code == (1 if command == "check" else 3)
    assert "UI['cert']: the certificate cannot be used: No such file" in result.output


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"host": "0.0.0.0"}, "UI['cert']"),
        ({"cert": "a.pem"}, "UI['key']"),
        ({"mask_text": ["["]}, "UI['mask_text']"),
        ({"searches": 0}, "UI['searches']"),
    ],
    ids=["host", "key", "mask", "searches"],
)
def test_settings_that_are_not_safe_are_refused(
    given: dict[str, object], key: str
) -> None:
    _, problems = read_config({"UI": given}, "settings.py")
    assert [problem.key for problem in problems] == [key]


def test_true_takes_the_defaults() -> None:
    config, problems = read_config({"UI": True}, "settings.py")
    assert (config.ui, problems) == (UIConfig(), [])
