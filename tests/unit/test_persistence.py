"""Node data kept in memory."""

from __future__ import annotations

from typing import Any

import pytest

from pichannels.errors import CodecError
from pichannels.persistence import MemoryPersistence


async def test_what_was_saved_comes_back() -> None:
    kept = MemoryPersistence()
    await kept.save("channel.node", "last", {"n": [1, 2]})
    assert await kept.restore("channel.node", "last") == {"n": [1, 2]}


async def test_a_save_needs_no_awaiting() -> None:
    kept = MemoryPersistence()
    kept.save("channel.node", "last", 1)
    assert await kept.restore("channel.node", "last") == 1


async def test_each_namespace_has_keys_of_its_own() -> None:
    kept = MemoryPersistence()
    await kept.save("a", "last", 1)
    await kept.save("b", "last", 2)
    assert (await kept.restore("a", "last"), await kept.restore("b", "last")) == (1, 2)


async def test_changing_the_value_afterwards_changes_nothing() -> None:
    kept, value = MemoryPersistence(), [1]
    await kept.save("a", "list", value)
    value.append(2)
    assert await kept.restore("a", "list") == [1]


async def test_a_missing_key_without_default_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="last"):
        await MemoryPersistence().restore("a", "last")


@pytest.mark.parametrize("default", [None, 0, "x"])
async def test_a_missing_key_gives_the_default(default: Any) -> None:
    assert await MemoryPersistence().restore("a", "last", default) == default


async def test_a_value_without_codec_is_refused_at_once() -> None:
    with pytest.raises(CodecError):
        MemoryPersistence().save("a", "last", object())
