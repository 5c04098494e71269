"""A cache in a folder of the test, and an application of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pichannels.dataflow import Application, Cache


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    with Cache(str(tmp_path / "db")) as opened:
        yield opened


@pytest.fixture
def app() -> Application:
    return Application(drain_timeout=1)
