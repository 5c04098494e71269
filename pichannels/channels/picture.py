"""A channel as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pichannels.channels.branches import Branch, Case, Fork
from pichannels.channels.special import END_PHASES

if TYPE_CHECKING:
    from pichannels.channels.building import ChainBuilder

__all__ = ["text_lines"]


def text_lines(channel: ChainBuilder, prefix: str = "") -> Iterator[str]:
    """One line for each node, indented for each branch."""
    origin = f", {channel.origin}" if channel.origin else ""
    yield f"{prefix}{channel.name} ({type(channel).__name__}){origin}"
    for each in channel.inputs:
        # Those without nodes are in the line above.
        if any(each.step_lists()):
            yield f"{prefix}|=/ input {each.name}"
            yield from _step_lines(each, f"{prefix}|  ")
            yield f"{prefix}|<-'"
    yield from _step_lines(channel, prefix)
    yield f"{prefix}`-> out"


def _step_lines(channel: ChainBuilder, prefix: str) -> Iterator[str]:
    for node in channel.special["init"]:
        yield f"{prefix}|- {node.name} (init)"
    for step in channel.steps:
        if not isinstance(step, Branch):
            yield f"{prefix}|- {step.name}"
        elif isinstance(step, Case):
            yield from _case_lines(step, prefix)
        else:
            yield from _branch_lines(step, prefix)
    for phase in END_PHASES:
        for node in channel.special[phase]:
            yield f"{prefix}|~ {phase}: {node.name}"


def _branch_lines(branch: Branch, prefix: str) -> Iterator[str]:
    sub = branch.channels[0]
    is_fork = isinstance(branch, Fork)
    yield f"{prefix}|=\\ {branch.kind} {sub.short_name}{_each(branch)}"
    yield from _step_lines(sub, f"{prefix}|  ")
    yield f"{prefix}|  `-> {'end' if is_fork else 'out'}"


def _case_lines(branch: Case, prefix: str) -> Iterator[str]:
    for number, sub in enumerate(branch.channels):
        yield f"{prefix}|?\\ case {number} {sub.short_name}{_each(branch)}"
        yield from _step_lines(sub, f"{prefix}|  ")
        yield f"{prefix}|<-'"


def _each(branch: Branch) -> str:
    return " (each sample)" if getattr(branch, "each", False) else ""
