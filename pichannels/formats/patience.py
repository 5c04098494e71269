"""Waiting for registries: nothing fails while one is away or overloaded."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Final, TypeVar

from pichannels.errors import DecodeError, SettingsError, TryAgain
from pichannels.formats.codec import ICodec, SchemaCodec
from pichannels.retry import RetryPolicy

__all__ = ["learned", "patiently"]

T = TypeVar("T")

logger: Final = logging.getLogger("pichannels.formats")

_AGAIN: Final = RetryPolicy(attempts=0, initial=0.5, maximum=30.0)


async def patiently(who: str, ask: Callable[[], Awaitable[T]]) -> T:
    """What a registry gives, however long that takes; who waits is logged."""
    attempt = 0
    while True:
        attempt += 1
        try:
            return await ask()
        except (TryAgain, SettingsError) as exc:
            delay = _AGAIN.delay(attempt, exc) or _AGAIN.maximum
            logger.warning("%s: again in %.1f s: %s", who, delay, exc)
        await asyncio.sleep(delay)


async def learned(who: str, codec: ICodec | None, values: Iterable[object]) -> None:
    """Let a codec learn what it needs to decode these; what has no schema is left."""
    if not isinstance(codec, SchemaCodec):
        return
    for value in values:
        if isinstance(value, bytes):
            try:
                await patiently(who, partial(codec.learn, value))
            except DecodeError as exc:
                # Decoding it tells so again, to whom it concerns.
                logger.debug("%s: %s", who, exc)
