"""Retention in PostgreSQL: days of which nothing is kept go as a whole.

What has to go is told by a bound for each store and state: the messages before it.
Days before the bounds are dropped where they hold nothing else, also nothing of stores
that other processes write; otherwise, and at the edge, rows are deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from msgstore._postgres_schema import DAY, FIRST, LAST, Schema
from pichannels.adapters.postgres import Link
from pichannels.journal.schema import CODES
from pichannels.retention import Retention
from pichannels.states import State

__all__ = ["Pruner"]

_LEAST, _MOST = -(2**63), 2**63 - 1
_FINAL: Final = [state for state in State if state.is_final]

_EXPIRES: Final = (
    "m.store = g.store AND m.state = g.state AND (m.ticks, m.seq) < (g.ticks, g.seq)"
)
_IS_KEPT: Final = f"NOT EXISTS (SELECT FROM {{bounds}} WHERE {_EXPIRES})"
_COUNT: Final = f"SELECT count(*) FROM {{s}}.message m JOIN {{bounds}} ON {_EXPIRES}"
_USED: Final = f"""\
SELECT coalesce(sum(size), 0) FROM {{s}}.message m WHERE store = $1 AND {_IS_KEPT}"""
_EDGE: Final = f"""\
SELECT ticks, seq + 1 FROM (
 SELECT ticks, seq, sum(size) OVER (ORDER BY ticks, seq) AS total
 FROM {{s}}.message m WHERE store = $1 AND state = ANY ($2::int2[]) AND {_IS_KEPT}
) sizes WHERE total >= $3 ORDER BY ticks, seq LIMIT 1"""
_DELETE: Final = f"""\
WITH gone AS (
 DELETE FROM {{s}}.message m USING {{bounds}}
 WHERE m.ticks >= $1 AND m.ticks < $2 AND {_EXPIRES}
 RETURNING m.store, m.ticks, m.seq
), bodies AS (
 DELETE FROM {{s}}.body b USING gone
 WHERE b.ticks >= $1 AND b.ticks < $2
  AND (b.store, b.ticks, b.seq) = (gone.store, gone.ticks, gone.seq)
)
SELECT count(*) FROM gone"""
_SIZE: Final = "SELECT count(*) FROM {day}"
_HOLDS: Final = f"SELECT EXISTS (SELECT FROM {{day}} m WHERE {_IS_KEPT})"
# Checked again under the lock: a message of that day may have come in between.
_DROP: Final = f"""\
DO $$ BEGIN
 LOCK TABLE {{s}}.message, {{s}}.body, {{s}}.tag_minute IN ACCESS EXCLUSIVE MODE;
 IF NOT EXISTS (SELECT FROM {{day}} m WHERE {_IS_KEPT}) THEN
  DROP TABLE {{partitions}};
 END IF;
END $$"""


class _Bound(NamedTuple):
    """Messages of a store in a state that stand before this go."""

    store: int
    state: int
    ticks: int
    seq: int


class Pruner:
    """The connection that deletes what is not to be kept."""

    def __init__(self, link: Link, schema: Schema) -> None:
        self._link = link
        self._schema = schema
        self._using = asyncio.Lock()

    async def close(self) -> None:
        """Disconnect."""
        await self._link.close()

    async def prune(
        self, stores: Sequence[int], retention: Retention, dry_run: bool = False
    ) -> int:
        """Delete what is not to be kept of these stores; how many messages.

        Raises:
            TryAgain, SettingsError, Refused: as the server says.
        """
        if not stores:
            return 0
        async with self._using:
            await self._link.open()
            bounds = [
                b for store in stores for b in await self._bounds(store, retention)
            ]
            if dry_run:
                return int((await self._fetch(_COUNT, bounds))[0][0]) if bounds else 0
            return await self._delete(bounds) if bounds else 0

    async def _bounds(self, store: int, retention: Retention) -> list[_Bound]:
        by_state: dict[State, _Bound] = {}
        for state in _FINAL:
            limit = retention.oldest(state)
            ticks = _LEAST if limit is None else max(limit, _LEAST)
            by_state[state] = _Bound(store, CODES[state], ticks, _LEAST)
        if retention.size is not None:
            bounds = list(by_state.values())
            used = int((await self._fetch(_USED, bounds, store))[0][0])
            if used > retention.size:
                yielding = [s for s in _FINAL if s not in retention.states]
                codes = [CODES[state] for state in yielding]
                excess = used - retention.size
                edge = await self._fetch(_EDGE, bounds, store, codes, excess)
                for state in yielding:
                    place = edge[0] if edge else (_MOST, _MOST)
                    before = by_state[state]
                    ticks, seq = max((before.ticks, before.seq), place)
                    by_state[state] = before._replace(ticks=ticks, seq=seq)
        return list(by_state.values())

    async def _delete(self, bounds: list[_Bound]) -> int:
        last = max(bound.ticks for bound in bounds)
        count = await self._delete_range(bounds, _LEAST, FIRST)
        for day in await self._schema.stored_days(self._link):
            if day <= last:
                count += await self._delete_day(bounds, day, day + DAY <= last)
        return count + await self._delete_range(bounds, LAST, _MOST)

    async def _delete_range(self, bounds: list[_Bound], first: int, end: int) -> int:
        return int((await self._fetch(_DELETE, bounds, first, end))[0][0])

    async def _delete_day(self, bounds: list[_Bound], day: int, is_over: bool) -> int:
        if not is_over or (await self._fetch(_HOLDS, bounds, day=day))[0][0]:
            return await self._delete_range(bounds, day, day + DAY)
        count = int((await self._fetch(_SIZE, bounds, day=day))[0][0])
        self._schema.days.discard(day)
        await self._link.execute([self._sql(_DROP, bounds, day)])
        return count

    async def _fetch(
        self, sql: str, bounds: list[_Bound], *values: Any, day: int = 0
    ) -> list[tuple[Any, ...]]:
        return await self._link.fetch(self._sql(sql, bounds, day), *values)

    def _sql(self, sql: str, bounds: list[_Bound], day: int) -> str:
        rows = ", ".join(
            f"({b.store}, {b.state}, ({b.ticks})::int8, ({b.seq})::int8)"
            for b in bounds
        )
        # The smallest number cannot be written: its sign is an operator.
        rows = rows.replace(f"({_LEAST})", f"({_LEAST + 1} - 1)")
        table = f"(VALUES {rows}) g (store, state, ticks, seq)"
        return self._schema.sql(
            sql.replace("{bounds}", table)
            .replace("{day}", self._schema.partition("message", day))
            .replace("{partitions}", ", ".join(self._schema.partitions(day)))
        )
