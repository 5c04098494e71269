"""A channel as text and as Graphviz dot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pichannels.channels.branches import Branch, Case, Fork

if TYPE_CHECKING:
    from pichannels.channels.building import ChainBuilder

__all__ = ["dot_lines", "text_lines"]


def text_lines(channel: ChainBuilder, prefix: str = "") -> Iterator[str]:
    """One line for each node, indented for each branch."""
    if channel.parent is None:
        yield f"{prefix}{channel.name} ({type(channel).__name__})"
    for step in channel.steps:
        if not isinstance(step, Branch):
            yield f"{prefix}|- {step.name}"
        elif isinstance(step, Case):
            yield from _case_lines(step, prefix)
        else:
            yield from _branch_lines(step, prefix)
    if channel.parent is None:
        yield f"{prefix}`-> out"


def _branch_lines(branch: Branch, prefix: str) -> Iterator[str]:
    sub = branch.channels[0]
    is_fork = isinstance(branch, Fork)
    yield f"{prefix}|=\\ {branch.kind} {sub.short_name}{_each(branch)}"
    yield from text_lines(sub, f"{prefix}|  ")
    yield f"{prefix}|  `-> {'end' if is_fork else 'out'}"


def _case_lines(branch: Case, prefix: str) -> Iterator[str]:
    for number, sub in enumerate(branch.channels):
        yield f"{prefix}|?\\ case {number} {sub.short_name}{_each(branch)}"
        yield from text_lines(sub, f"{prefix}|  ")
        yield f"{prefix}|<-'"


def _each(branch: Branch) -> str:
    return " (each sample)" if getattr(branch, "each", False) else ""


def dot_lines(channel: ChainBuilder, end: str = "") -> Iterator[str]:
    """Statements for a digraph: nodes and arrows, sub-channels as boxes."""
    if channel.parent is None:
        yield f"{_id(channel.name)} [shape=cds, label={_id(channel.name)}];"
        yield f"{_id(end or channel.name + ':out')} [shape=plain, label=out];"
    yield from _chain_lines(channel, channel.name, end or f"{channel.name}:out")


def _chain_lines(channel: ChainBuilder, last: str, end: str) -> Iterator[str]:
    for step in channel.steps:
        path = step.fullpath()
        if not isinstance(step, Branch):
            yield f"{_id(path)} [shape=box, label={_id(step.name)}];"
            yield f"{_id(last)} -> {_id(path)};"
            last = path
            continue
        yield f"{_id(path)} [shape=diamond, label={_id(step.kind)}];"
        yield f"{_id(last)} -> {_id(path)};"
        joined = f"{path}:joined"
        after = {"fork": "", "when": end, "case": joined}[step.kind]
        for sub in step.channels:
            yield from _sub_lines(sub, path, after)
        last = path
        if isinstance(step, Case):
            yield f"{_id(joined)} [shape=point];"
            yield f"{_id(path)} -> {_id(joined)} [style=dashed, label=else];"
            last = joined
    if end:
        yield f"{_id(last)} -> {_id(end)};"


def _sub_lines(sub: ChainBuilder, branch: str, after: str) -> Iterator[str]:
    start = f"{sub.name}:start"
    yield f"{_id(start)} [shape=cds, label={_id(sub.short_name)}];"
    yield f"{_id(branch)} -> {_id(start)};"
    yield from _chain_lines(sub, start, after)


def _id(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
