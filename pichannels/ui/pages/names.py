"""The nine pages: how they are called, where they are, and how keys go to them."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["PLACES", "Name", "place_of"]


class Name(NamedTuple):
    """One page.

    Attributes:
        key: how the others call it.
        path: where it is.
        title: in the navigation.
        letter: goes to it after `g`.
    """

    key: str
    path: str
    title: str
    letter: str


PLACES: Final = (
    Name("overview", "/", "Overview", "o"),
    Name("graph", "/graph", "Channel graph", "g"),
    Name("messages", "/messages", "Messages", "m"),
    Name("tags", "/tags", "Tags and trends", "t"),
    Name("coverage", "/coverage", "Coverage", "c"),
    Name("errors", "/errors", "Errors", "e"),
    Name("sinks", "/sinks", "Sinks and stores", "s"),
    Name("settings", "/settings", "Settings", "f"),
    Name("operations", "/operations", "Operations", "p"),
)


def place_of(key: str) -> Name:
    """The page of this key.

    Raises:
        KeyError: there is none.
    """
    return {each.key: each for each in PLACES}[key]
