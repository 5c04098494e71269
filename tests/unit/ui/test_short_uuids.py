"""What pages show of a UUID tells messages apart that came together."""

from __future__ import annotations

from pichannels.message import new_uuid
from pichannels.ui.pages.formats import short_uuid


def test_messages_that_come_together_look_different() -> None:
    assert len({short_uuid(new_uuid()) for _ in range(100)}) == 100


def test_a_short_one_is_shown_whole() -> None:
    assert short_uuid("order-7") == "order-7"
