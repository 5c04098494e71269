"""Libraries that are imported when they are needed, as that takes a while."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["Later"]


class Later:
    """A module that is imported when something of it is used.

    Args:
        name: its dotted name.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def is_there(self) -> bool:
        """Import it: whether that goes."""
        try:
            import_module(self._name)
        except ImportError:
            return False
        return True

    def __getattr__(self, name: str) -> Any:
        found = getattr(import_module(self._name), name)
        # From now on it is found without this.
        setattr(self, name, found)
        return found
