"""What the constructors of the node families check, told in the same words."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from pichannels.errors import SettingsError, UsageError, nearest

__all__ = ["at_least", "function", "is_async", "name_of", "one_of"]


def one_of(key: str, found: Any, allowed: Iterable[str]) -> str:
    """`found`, which has to be one of the allowed words.

    Raises:
        SettingsError: it is not.
    """
    words = list(allowed)
    if found not in words:
        hint = nearest(str(found), words)
        raise SettingsError(
            f"no such choice{hint}", key=key, found=found, allowed=", ".join(words)
        )
    return str(found)


def at_least(key: str, found: Any, minimum: float) -> None:
    """Check a number; None is left to mean that there is no limit.

    Raises:
        SettingsError: not a number, or too small.
    """
    if found is None:
        return
    is_number = isinstance(found, int | float) and not isinstance(found, bool)
    if not is_number or not found >= minimum:
        raise SettingsError(
            "not a usable number", key=key, found=found, allowed=f"{minimum:g} or more"
        )


def function(node: str, found: Any, *, may_be_async: bool) -> Callable[..., Any]:
    """`found`, which has to be a function that gives one result.

    Raises:
        UsageError: it cannot be called, is a generator function, or async where
            only a plain function works.
    """
    if not callable(found):
        raise UsageError(f"{node} takes a function, not {found!r}")
    if inspect.isgeneratorfunction(found) or inspect.isasyncgenfunction(found):
        raise UsageError(
            f"{node} takes a function with one result, and {name_of(found)!r} is a"
            " generator; inherit from BaseNode and yield messages in process()"
        )
    if is_async(found) and not may_be_async:
        raise UsageError(
            f"{node} takes a plain function, and {name_of(found)!r} is async"
        )
    checked: Callable[..., Any] = found
    return checked


def is_async(found: Any) -> bool:
    """Whether calling it gives a coroutine, for functions and callable objects."""
    called = getattr(found, "__call__", None)  # noqa: B004 - the method itself
    return inspect.iscoroutinefunction(found) or inspect.iscoroutinefunction(called)


def name_of(found: Any) -> str:
    """The name of a function; empty for a lambda and for what has none."""
    name = getattr(getattr(found, "func", found), "__name__", "")
    return "" if name == "<lambda>" else str(name)
