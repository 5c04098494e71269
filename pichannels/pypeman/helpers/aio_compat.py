"""Plain functions where async ones are asked for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import ParamSpec, TypeVar

__all__ = ["awaitify"]

P = ParamSpec("P")
T = TypeVar("T")


def awaitify(sync_func: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """A function that does the same and can be awaited."""

    @wraps(sync_func)
    async def async_func(*args: P.args, **kwargs: P.kwargs) -> T:
        return sync_func(*args, **kwargs)

    return async_func
