"""A plant for each module of tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.ui.plants import Plant, running


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """A running instance with pages and API."""
    with running(tmp_path_factory.mktemp("plant")) as found:
        yield found
