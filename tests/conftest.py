"""What every test gets: a failure when code blocks the event loop."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster, blockbuster_ctx


@pytest.fixture(autouse=True)
def loop_is_never_blocked() -> Iterator[BlockBuster]:
    """Fail a test in which our code blocks inside a coroutine."""
    with blockbuster_ctx(["pichannels", "nodes", "msgstore"]) as blockbuster:
        yield blockbuster
