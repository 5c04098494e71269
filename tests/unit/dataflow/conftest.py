"""A cache in a folder of the test, and an application of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pichannels.dataflow.cache import Cache


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    with Cache(str(tmp_path / "db")) as opened:
        yield opened
