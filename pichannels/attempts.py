"""Trying a step again under a retry policy; of a batch only what failed."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Iterable, Iterator
from types import AsyncGeneratorType, GeneratorType
from typing import Any, Final

from pichannels.errors import Dropped, EndOfChain, Rejected, SampleErrors
from pichannels.message import Message
from pichannels.retry import RetryPolicy
from pichannels.tallies import Tally

__all__ = ["attempted", "failed_of"]

logger: Final = logging.getLogger("pichannels.nodes")

_INSTRUCTIONS: Final = (Dropped, Rejected, EndOfChain)


async def attempted(
    call: Callable[[Message], Any],
    msg: Message,
    policy: RetryPolicy,
    node: str,
    tally: Tally,
) -> Any:
    """What `call` gives for the message, tried as often as the policy says.

    Each try gets a copy of the input. Where only some samples of a batch fail, the
    others are done: only those that failed are tried again, and the result is an
    iterator over the parts.

    Args:
        node: who tries, for the log.
        tally: what counts it.

    Raises whatever the last try raised, also through the iterator.
    """
    done: list[Any] = []
    attempt = 0
    while True:
        attempt += 1
        given = msg.copy()
        given.delivery = msg.delivery
        try:
            return _with(done, await _collected(call(given)))
        except _INSTRUCTIONS as exc:
            if done:
                return _raising(done, exc)
            raise
        except SampleErrors as exc:
            error: Exception = exc
            failed = failed_of(given, exc)
            delay = None if failed is None else policy.delay(attempt, _cause(exc))
            if failed is None or delay is None:
                return _ended(
                    done, msg, exc if attempt == 1 else _left(given, exc, done)
                )
            done += _rest_of(given, exc)
            msg = failed
        except Exception as exc:
            error = exc
            delay = policy.delay(attempt, exc)
            if delay is None:
                return _ended(done, msg, exc)
        tally.again(error)
        logger.warning(
            "%s failed (try %d), again in %.2f s: %s", node, attempt, delay, error
        )
        await asyncio.sleep(delay)


def failed_of(msg: Message, exc: SampleErrors) -> Message | None:
    """A message with the samples that failed; None where they are not known."""
    if exc.failed is not None:
        return exc.failed if isinstance(exc.failed, Message) else None
    samples = msg.payload if isinstance(msg.payload, list) else []
    known = range(len(samples))
    if not all(isinstance(index, int) and index in known for index in exc.causes):
        return None
    return msg.derive([samples[index] for index in exc.causes])


def _left(msg: Message, exc: SampleErrors, done: list[Any]) -> SampleErrors:
    """The error of a later try, with what failed in it; what did not is done."""
    failed = failed_of(msg, exc)
    done += _rest_of(msg, exc)
    return SampleErrors(exc.causes, failed=msg if failed is None else failed)


def _rest_of(msg: Message, exc: SampleErrors) -> list[Message]:
    """The message with the samples that did not fail, if there are any."""
    if isinstance(exc.message, Message):
        return [exc.message]
    if not isinstance(msg.payload, list):
        return []
    rest = [s for index, s in enumerate(msg.payload) if index not in exc.causes]
    return [msg.derive(rest)] if rest else []


def _cause(exc: SampleErrors) -> BaseException:
    """The error that the policy is asked about: that of the first sample."""
    first = next(iter(exc.causes.values()), None)
    return first if isinstance(first, BaseException) else exc


async def _collected(result: Any) -> Any:
    """The result, with all that a generator yields, so that a retry is whole."""
    if inspect.isawaitable(result):
        result = await result
    if isinstance(result, GeneratorType):
        return iter(list(result))
    if isinstance(result, AsyncGeneratorType):
        return iter([item async for item in result])
    return result


def _with(done: list[Any], result: Any) -> Any:
    if not done:
        return result
    return iter([*done, *(result if isinstance(result, Iterator) else [result])])


def _ended(done: list[Any], msg: Message, error: Exception) -> Iterator[Any]:
    """The parts that are done, and the error for what is left."""
    if not done:
        raise error
    if not isinstance(error, SampleErrors):
        causes = dict.fromkeys(range(len(msg.payload)), error)
        error = SampleErrors(causes, failed=msg)
    return _raising(done, error)


def _raising(done: Iterable[Any], error: Exception) -> Iterator[Any]:
    yield from done
    raise error
