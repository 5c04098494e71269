"""What nodes keep in the journal."""

from __future__ import annotations

import pytest

from pichannels.errors import CodecError
from pichannels.journal import Journal
from pichannels.message import Message


async def test_what_was_saved_is_restored(journal: Journal) -> None:
    await journal.save("node", "key", {"a": [1, 2]})
    assert await journal.restore("node", "key") == {"a": [1, 2]}


async def test_what_is_not_durable_yet_is_restored_too(journal: Journal) -> None:
    saved = journal.save("node", "key", 1)
    assert await journal.restore("node", "key") == 1
    await saved


async def test_the_last_value_counts(journal: Journal) -> None:
    journal.save("node", "key", 1)
    await journal.save("node", "key", 2)
    assert await journal.restore("node", "key") == 2


async def test_a_value_saved_while_another_is_written_counts(
    journal: Journal,
) -> None:
    first = journal.save("node", "key", 1)
    await first
    second = journal.save("node", "key", 2)
    assert await journal.restore("node", "key") == 2
    await second
    assert await journal.restore("node", "key") == 2


async def test_namespaces_are_apart(journal: Journal) -> None:
    journal.save("one", "key", 1)
    await journal.save("two", "key", 2)
    assert await journal.restore("one", "key") == 1


async def test_values_outlive_the_instance(journal: Journal) -> None:
    journal.save("node", "key", 1)
    await journal.close()
    await journal.open()
    assert await journal.restore("node", "key") == 1


async def test_a_missing_value_is_the_default_or_an_error(journal: Journal) -> None:
    assert await journal.restore("node", "key", None) is None
    with pytest.raises(KeyError):
        await journal.restore("node", "key")


async def test_a_value_without_codec_is_refused(journal: Journal) -> None:
    with pytest.raises(CodecError):
        journal.save("node", "key", object())


async def test_saving_settles_in_the_same_commit(journal: Journal) -> None:
    tickets = [journal.append("a", Message()) for _ in range(3)]
    await tickets[-1].durable
    before = journal.statistics().commits
    await journal.save("node", "key", 1, settle=[ticket.seq for ticket in tickets[:2]])
    assert journal.statistics().commits - before == 1
    assert journal.count_unsettled("a") == 1
