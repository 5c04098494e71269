"""A plant for each module of tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ui.apps import add_users
from tests.ui.plants import Plant, running


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """A running instance with pages and API."""
    with running(tmp_path_factory.mktemp("plant")) as found:
        yield found


@pytest.fixture
def tokens(tmp_path: Path) -> dict[str, str]:
    """Of a user of each role of the console in this folder."""
    return add_users(tmp_path)
