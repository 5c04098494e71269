"""The pages that there are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from pichannels.ui.pages import (
    coverage,
    errors,
    graph,
    messages,
    operations,
    overview,
    settings,
    sinks,
    tags,
)
from pichannels.ui.pages.page import Page
from pichannels.ui.roles import Role

__all__ = ["ENTRIES", "Entry"]


class Entry(NamedTuple):
    """One page.

    Attributes:
        key: of the page; see `names.PLACES`.
        build: adds its parts to what is shown.
        role: what it takes to see it.
    """

    key: str
    build: Callable[[Page], Awaitable[None]]
    role: Role = Role.VIEW


ENTRIES: Final = (
    Entry("overview", overview.build),
    Entry("graph", graph.build),
    Entry("messages", messages.build),
    Entry("tags", tags.build),
    Entry("coverage", coverage.build),
    Entry("errors", errors.build),
    Entry("sinks", sinks.build),
    Entry("settings", settings.build),
    Entry("operations", operations.build),
)
"""Those that exist; only these are in the navigation."""
