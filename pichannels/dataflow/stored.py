"""The messages of a store as a source."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

from pichannels.message import Message
from pichannels.states import replayed
from pichannels.store import MessageStore

__all__ = ["Replay"]

_PAGE: Final = 100


class Replay:
    """Gives the messages of a store again, oldest first, and ends.

    Each is a message of its own with `meta["replay_of"]`, the uuid of the original;
    its `store_id` is where the next replay may go on, as `start_id`.

    Args:
        store: a store that is started, such as that of a channel which runs.
        criteria: which messages, as `MessageStore.search` takes them: `start_dt`,
            `end_dt`, `state`, `text`, `start_id`, ...
    """

    def __init__(self, store: MessageStore, **criteria: Any) -> None:
        self.store = store
        self.criteria = criteria

    async def __aiter__(self) -> AsyncIterator[Message]:
        criteria = dict(self.criteria)
        left = criteria.pop("count", None)
        while left is None or left > 0:
            count = _PAGE if left is None else min(left, _PAGE)
            found = await self.store.search(count=count, **criteria)
            for entry in found:
                yield replayed(entry)
            if len(found) < count:
                return
            left = None if left is None else left - count
            criteria["start_id"] = found[-1]["id"]
            # What was skipped lies before that.
            criteria.pop("start", None)
