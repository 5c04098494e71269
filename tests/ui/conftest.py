"""A plant, and the users of a console."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.ui.apps import add_users
from tests.ui.plants import Plant, running


class Made(NamedTuple):
    """Users in a folder, and their tokens."""

    folder: Path
    tokens: dict[str, str]


@pytest.fixture(scope="session")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """A running instance with pages and API, for all tests that leave it as it was."""
    with running(tmp_path_factory.mktemp("plant")) as found:
        yield found


@pytest.fixture(scope="session")
def tokens_of_session(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Users, whose passwords take a while to make."""
    folder = tmp_path_factory.mktemp("users")
    return Made(folder, add_users(folder))


@pytest.fixture
def tokens(tmp_path: Path, tokens_of_session: Made) -> dict[str, str]:
    """Of a user of each role of the console in this folder."""
    shutil.copytree(tokens_of_session.folder / "ui", tmp_path / "ui")
    return tokens_of_session.tokens
