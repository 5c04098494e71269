"""What a project has made so far: pypeman knows it without being told.

Each context has its own: what `load` runs, and each test of the test case, begins with
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

__all__ = ["Registry", "current", "fresh"]


class Registry:
    """The objects of one project, in the order in which they were made.

    Attributes:
        channels: those that are no sub-channels.
        nodes: all of them, whether in a channel or not.
        endpoints: what channels listen on.
        backend: where code of the project keeps data, once it has asked for it.
    """

    def __init__(self) -> None:
        self.channels: list[Any] = []
        self.nodes: list[Any] = []
        self.endpoints: list[Any] = []
        self.backend: Any = None

    def __repr__(self) -> str:
        return f"<Registry of {len(self.channels)} channels>"


_current: Final[ContextVar[Registry]] = ContextVar("pypeman_registry")


def current() -> Registry:
    """The registry of this context."""
    try:
        return _current.get()
    except LookupError:
        registry = Registry()
        _current.set(registry)
        return registry


@contextmanager
def fresh() -> Iterator[Registry]:
    """Begin with nothing; what was known is known again afterwards."""
    registry = Registry()
    token = _current.set(registry)
    try:
        yield registry
    finally:
        _current.reset(token)
