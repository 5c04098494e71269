"""A channel as a diagram: what is drawn, in Graphviz dot and in Mermaid."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from pichannels.channels.branches import Branch, Case
from pichannels.channels.special import END_PHASES
from pichannels.node import BaseNode

if TYPE_CHECKING:
    from pichannels.channels.building import ChainBuilder

__all__ = [
    "Arrow",
    "Box",
    "dot_document",
    "dot_lines",
    "drawn_parts",
    "mermaid_document",
    "mermaid_lines",
]

_SHAPES: Final = {
    "channel": "shape=box, style=rounded",
    "node": "shape=box",
    "sink": "shape=cylinder",
    "branch": "shape=diamond",
    "join": "shape=point, height=0.06",
    "out": "shape=plain",
}
_FRAMES: Final = {
    "channel": ("([", "])"),
    "node": ("[", "]"),
    "sink": ("[(", ")]"),
    "branch": ("{", "}"),
    "join": ("((", "))"),
    "out": ("([", "])"),
}


class Box(NamedTuple):
    """A channel, a step, or where ways join or end; `kind` says which.

    `id` is the full name of a channel or a step, `about` the name of its class.
    """

    id: str
    label: str
    kind: str
    about: str = ""


class Arrow(NamedTuple):
    """The way of messages; a dashed one where nothing else fits."""

    start: str
    end: str
    label: str = ""


_Drawn = Iterator[Box | Arrow]


def drawn_parts(channel: ChainBuilder) -> _Drawn:
    """What is drawn of a channel, for programs that draw it themselves."""
    return _drawn(channel, "")


def _drawn(channel: ChainBuilder, end: str) -> _Drawn:
    yield from _entrance(channel)
    yield Box(end or f"{channel.name}:out", "out", "out")
    yield from _chain(channel, channel.name, end or f"{channel.name}:out")


def _entrance(channel: ChainBuilder) -> _Drawn:
    """The channel, behind its source or the chains of its inputs."""
    for each in channel.inputs:
        yield from _entrance(each)
        yield from _chain(each, each.name, channel.name)
    if channel.origin and not channel.inputs:
        source = f"{channel.name}:source"
        yield Box(source, channel.origin, "out")
        yield Arrow(source, channel.name)
    yield Box(channel.name, channel.name, "channel", type(channel).__name__)


def _chain(channel: ChainBuilder, last: str, end: str) -> _Drawn:
    yield from _endings(channel, last)
    for step in (*channel.special["init"], *channel.steps):
        path = step.fullpath()
        if not isinstance(step, Branch):
            yield _node(step)
            yield Arrow(last, path)
            last = path
            continue
        yield Box(path, _label(step), "branch")
        yield Arrow(last, path)
        joined = f"{path}:joined"
        after = {"fork": "", "when": end, "case": joined}[step.kind]
        for sub in step.channels:
            yield from _sub_channel(sub, path, after)
        last = path
        if isinstance(step, Case):
            yield Box(joined, "", "join")
            yield Arrow(path, joined, "else")
            last = joined
    if end:
        yield Arrow(last, end)


def _node(node: BaseNode) -> Box:
    kind = "sink" if node.is_sink else "node"
    return Box(node.fullpath(), node.name, kind, type(node).__name__)


def _endings(channel: ChainBuilder, start: str) -> _Drawn:
    """The lists of end nodes, each beside the chain."""
    for phase in END_PHASES:
        last, label = start, phase
        for node in channel.special[phase]:
            yield _node(node)
            yield Arrow(last, node.fullpath(), label)
            last, label = node.fullpath(), ""


def _sub_channel(sub: ChainBuilder, branch: str, after: str) -> _Drawn:
    start = f"{sub.name}:start"
    yield Box(start, sub.short_name, "channel")
    yield Arrow(branch, start)
    yield from _chain(sub, start, after)


def _label(branch: Branch) -> str:
    return f"{branch.kind} each" if getattr(branch, "each", False) else branch.kind


# Graphviz dot


def dot_document(channels: Iterable[ChainBuilder], name: str) -> Iterator[str]:
    """A whole digraph of several channels."""
    yield f"digraph {_quoted(name)} {{"
    yield 'graph [fontname="Helvetica", nodesep=0.4, ranksep=0.35];'
    yield 'node [fontname="Helvetica", fontsize=11, height=0.35];'
    yield 'edge [fontname="Helvetica", fontsize=9, arrowsize=0.7];'
    for channel in channels:
        yield from dot_lines(channel)
    yield "}"


def dot_lines(channel: ChainBuilder, end: str = "") -> Iterator[str]:
    """Statements for a digraph: channels, steps and arrows up to the id `end`."""
    for drawn in _drawn(channel, end):
        if isinstance(drawn, Arrow):
            style = f" [style=dashed, label={drawn.label}]" if drawn.label else ""
            yield f"{_quoted(drawn.start)} -> {_quoted(drawn.end)}{style};"
        else:
            about = f", tooltip={_quoted(drawn.about)}" if drawn.about else ""
            look = f"{_SHAPES[drawn.kind]}, label={_quoted(drawn.label)}{about}"
            yield f"{_quoted(drawn.id)} [{look}];"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


# Mermaid


def mermaid_document(channels: Iterable[ChainBuilder]) -> Iterator[str]:
    """A whole flowchart of several channels."""
    yield "flowchart TD"
    ids: dict[str, str] = {}
    for channel in channels:
        for line in mermaid_lines(channel, ids):
            yield f"    {line}"


def mermaid_lines(
    channel: ChainBuilder, ids: dict[str, str] | None = None
) -> Iterator[str]:
    """Statements for a flowchart; `ids` are those that were given before."""
    # Names may hold what Mermaid does not take in an id.
    given = {} if ids is None else ids

    def number(name: str) -> str:
        return given.setdefault(name, f"n{len(given)}")

    for drawn in _drawn(channel, ""):
        if isinstance(drawn, Arrow):
            arrow = f"-. {drawn.label} .->" if drawn.label else "-->"
            yield f"{number(drawn.start)} {arrow} {number(drawn.end)}"
        else:
            opening, closing = _FRAMES[drawn.kind]
            label = _escaped(drawn.label or " ")
            yield f'{number(drawn.id)}{opening}"{label}"{closing}'


def _escaped(text: str) -> str:
    return "".join(f"#{ord(char)};" if char in '#"<>&' else char for char in text)
