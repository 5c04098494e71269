"""What a project is defined by, in a form that two processes can compare."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from pichannels.channels import BaseChannel
from pichannels.channels.branches import Branch, Case, Fork, When
from pichannels.channels.merge import MergeChannel
from pichannels.channels.pi import PIWebChannel
from pichannels.fingerprint import Fact, Fingerprinter, options_of
from pichannels.node import BaseNode
from pichannels.project import SETTINGS_MODULE, Project

__all__ = ["ChannelDefinition", "ProjectDefinition", "define", "store_key"]

# How a thing is called is in the names of the facts; sub-channels get the others
# from the channel that they belong to.
_NOT_OPTIONS: Final = {"name", "parent_channel", "loop", "message_store_factory"}
_NOT_ATTRIBUTES: Final = {"name", "short_name", "is_auto_named", "position"}
_PLAIN: Final = (str, int, float, bool, type(None))


class ChannelDefinition(msgspec.Struct, frozen=True):
    """One channel with all that belongs to it.

    Attributes:
        name: of the channel.
        facts: by place: `url`, `steps`, `decode.class`, `everything.keep.path`.
        tags: for a source of PI tags, those that the settings name.
        uses: the other channels that it refers to, in a function for instance.
    """

    name: str
    facts: dict[str, Fact]
    tags: list[str] | None = None
    uses: list[str] = []


class ProjectDefinition(msgspec.Struct, frozen=True):
    """All settings (by name) and channels (in order) of a project."""

    settings: dict[str, Fact]
    channels: list[ChannelDefinition]


def define(project: Project) -> ProjectDefinition:
    """The definition of a project as its settings have made it.

    To be taken before its channels start: what changes in them later is not part
    of it.
    """
    prints = Fingerprinter(SETTINGS_MODULE)
    settings = {
        field.encode_name: prints.fact(
            field.encode_name, getattr(project.config, field.name)
        )
        for field in msgspec.structs.fields(project.config)
    }
    settings["PERSISTENCE"] = prints.fact("PERSISTENCE", project.persistence)
    return ProjectDefinition(settings, [_define(each) for each in project.channels])


def store_key(channel: BaseChannel) -> str:
    """The same text for factories that make the same stores."""
    return Fingerprinter(SETTINGS_MODULE).text(channel.message_store_factory)


def _define(channel: BaseChannel) -> ChannelDefinition:
    roots: dict[str, str] = {}

    def name_of(value: object) -> str | None:
        found = _name_of(value)
        if found is None:
            return None
        roots[found[0]] = found[1]
        return found[0]

    prints = Fingerprinter(SETTINGS_MODULE, name_of)
    facts = {place: prints.fact(place, value) for place, value in _channel(channel)}
    uses = {roots[name] for name in prints.references} - {channel.name}
    tags = None
    if isinstance(channel, PIWebChannel):
        tags = [t if isinstance(t, str) else prints.text(t) for t in channel.tags]
    return ChannelDefinition(channel.name, facts, tags, sorted(uses))


def _name_of(value: object) -> tuple[str, str] | None:
    """The full name of a channel, or node in one, and of the channel on top."""
    owner = value.channel if isinstance(value, BaseNode) else value
    if not isinstance(owner, BaseChannel):
        return None
    root = owner
    while isinstance(root.parent, BaseChannel):
        root = root.parent
    assert isinstance(value, BaseNode | BaseChannel)
    return value.fullpath(), root.name


def _channel(
    channel: BaseChannel, prefix: str = "", above: BaseChannel | None = None
) -> Iterator[tuple[str, Any]]:
    """Place and value of all that defines a channel."""
    options = {} if above else _options(channel)
    if channel.message_store_factory is not None:
        options["message_store_factory"] = channel.message_store_factory
    inherited = vars(above) if above else {}
    attributes = {
        name: value
        for name, value in _attributes(channel)
        if name not in inherited or inherited[name] != value
    }
    yield f"{prefix}class", type(channel)
    for name, value in {**attributes, **options}.items():
        yield prefix + name, value
    yield f"{prefix}steps", ", ".join(map(_kind, channel.steps))
    for phase, nodes in channel.special.items():
        if nodes:
            yield f"{prefix}{phase} nodes", ", ".join(map(_kind, nodes))
    for step in (step for steps in channel.step_lists() for step in steps):
        if isinstance(step, BaseNode):
            yield from _node(step, prefix)
        else:
            yield from _branch(step, prefix, channel)
    if isinstance(channel, MergeChannel):
        for each in channel.inputs:
            yield from _channel(each, f"{prefix}{each.name}.")


def _kind(step: BaseNode | Branch) -> str:
    return f"{step.kind} {step.name}" if isinstance(step, Branch) else step.name


def _node(node: BaseNode, prefix: str) -> Iterator[tuple[str, Any]]:
    place = f"{prefix}{node.name}."
    yield f"{place}class", type(node)
    for name, value in {**dict(_attributes(node)), **_options(node)}.items():
        yield place + name, value


def _branch(
    branch: Branch, prefix: str, above: BaseChannel
) -> Iterator[tuple[str, Any]]:
    place = f"{prefix}{branch.name}."
    if isinstance(branch, Fork):
        yield f"{place}required", branch.required
    elif isinstance(branch, When):
        yield f"{place}condition", branch.condition
        yield f"{place}each", branch.each
    elif isinstance(branch, Case):
        yield f"{place}conditions", branch.conditions
        yield f"{place}each", branch.each
    for channel in branch.channels:
        yield from _channel(channel, f"{prefix}{channel.short_name}.", above)


def _options(thing: BaseChannel | BaseNode) -> dict[str, Any]:
    found = options_of(thing)
    return {name: value for name, value in found.items() if name not in _NOT_OPTIONS}


def _attributes(thing: BaseChannel | BaseNode) -> Iterator[tuple[str, Any]]:
    """What the settings may have set afterwards: `channel.drain_timeout = 5`."""
    for name, value in vars(thing).items():
        if name[0] != "_" and name not in _NOT_ATTRIBUTES and type(value) in _PLAIN:
            yield name, value
