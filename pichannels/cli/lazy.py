"""Commands that are imported when they are asked for.

What one command needs, such as the simulator, costs the others no time then. This is
the one place of the commands that imports by name.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import click

from pichannels.cli.examples import with_examples

__all__ = ["LazyCommands", "load_name"]


def load_name(place: str) -> Any:
    """What `module:name` stands for."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


class LazyCommands(MutableMapping[str, click.Command]):
    """The commands of a group by name; only those that are looked at are imported.

    Args:
        places: name of a command -> `module:name` of it.
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        self._found: dict[str, str | click.Command] = dict(places)

    def __getitem__(self, name: str) -> click.Command:
        found = self._found[name]
        if isinstance(found, str):
            loaded = with_examples(name, load_name(found))
            self._found[name] = found = loaded
        return found

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._found[name] = command

    def __delitem__(self, name: str) -> None:
        del self._found[name]

    def __contains__(self, name: object) -> bool:
        return name in self._found

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)
