"""Channels from YAML: the same objects that Python would make, with their lines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pichannels.channels import BaseChannel
from pichannels.channels.special import PHASES
from pichannels.declarative.catalogue import (
    CHANNELS,
    NODES,
    STORES,
    Catalogue,
    Family,
)
from pichannels.declarative.code import Function, expression
from pichannels.declarative.compound import OneOf
from pichannels.declarative.kinds import Flag, Text
from pichannels.declarative.signatures import Signature
from pichannels.declarative.source import At, Problems, kind_of, read_yaml
from pichannels.errors import PichannelsError, SettingsError, nearest
from pichannels.expressions import Subject
from pichannels.lint_codes import LINT_CODES, Ignored, unknown_code
from pichannels.store import MessageStoreFactory

__all__ = [
    "BRANCHES",
    "CASE_BRANCH_KEYS",
    "CHANNEL_KEYS",
    "GIVEN_ELSEWHERE",
    "SPECIAL_KEYS",
    "Builder",
    "common_options",
]

SPECIAL_KEYS: Final = tuple(f"{phase}_nodes" for phase in PHASES)
"""The keys of what runs before and after a chain."""

BRANCHES: Final[Mapping[str, tuple[str, ...]]] = {
    "fork": ("name", "required", "store", "nodes", *SPECIAL_KEYS, "ignore_lints"),
    "when": ("if", "name", "each", "store", "nodes", *SPECIAL_KEYS, "ignore_lints"),
    "case": ("each", "store", "branches"),
}
"""What stands in a chain besides nodes, and its keys."""

CHANNEL_KEYS: Final = (
    *("name", "source", "store", "nodes"),
    *SPECIAL_KEYS,
    "ignore_lints",
)
"""The keys of a channel, besides the options of every channel."""

GIVEN_ELSEWHERE: Final = ("name", "parent_channel", "loop", "message_store_factory")
"""Parameters of channels that YAML gives in another way, or not at all."""

CASE_BRANCH_KEYS: Final = ("if", "name", "nodes", *SPECIAL_KEYS, "ignore_lints")
"""The keys of one branch of a case."""


def common_options() -> Signature:
    """The options of every channel."""
    return Signature(BaseChannel, GIVEN_ELSEWHERE)


class Builder:
    """Builds the channels of files, and notes what is wrong on the way.

    Equal stores are one: channels that say the same share the store's file.

    Args:
        catalogue: where names are looked up.

    Attributes:
        folder: of the project.
        problems: all that is wrong.
        origins: full name of a channel, branch or node -> file and line.
        ignored: parts of the files in which some lints do not count.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self.folder = catalogue.folder
        self._stores: dict[str, MessageStoreFactory] = {}
        self._common = common_options()
        self._names: dict[str, str] = {}
        self.problems: Problems = []
        self.origins: dict[str, str] = {}
        self.ignored: list[Ignored] = []

    def read(self, file: Path) -> list[BaseChannel]:
        """The channels of a file, as far as they can be built."""
        try:
            document, problems = read_yaml(file, self._catalogue.folder)
        except SettingsError as exc:
            self.problems.append(exc)
            return []
        self.problems += problems
        if not isinstance(document.value, dict):
            self._tell(document, f"this is {kind_of(document)}", "a mapping, channels:")
            return []
        self._refuse_others(document, ("channels",))
        channels = document.value.get("channels")
        if channels is None:
            self._tell(document, "'channels' is missing", "channels: [...]")
            return []
        found = [self._channel(at) for at in self._items(channels)]
        return [channel for channel in found if channel is not None]

    # Problems

    def _tell(self, at: At, text: str, allowed: str | None = None) -> None:
        self.problems.append(at.problem(text, allowed=allowed))

    def _tell_from(self, at: At, exc: Exception, options: Mapping[Any, At]) -> None:
        """An error of a constructor, at the option that it is about."""
        if isinstance(exc, SettingsError):
            place = options.get(exc.key, at)
            problem = place.problem(exc.problem, found=exc.found, allowed=exc.allowed)
        else:
            told = str(exc)
            if not isinstance(exc, PichannelsError):
                told = f"{type(exc).__name__}: {exc}"
            problem = at.problem(told)
        problem.__cause__ = exc
        self.problems.append(problem)

    def _refuse_others(self, at: At, known: tuple[str, ...]) -> None:
        for key, value in at.value.items():
            if key not in known:
                hint = nearest(str(key), known)
                self.problems.append(
                    value.problem(
                        f"there is no {key!r} here{hint}",
                        allowed=", ".join(known),
                        at_key=True,
                    )
                )

    def _items(self, at: At | None) -> list[At]:
        if at is None or at.value is None:
            return []
        if isinstance(at.value, list):
            return at.value
        self._tell(at, f"this is {kind_of(at)}", "a list, each item after a '-'")
        return []

    def _mapping(self, at: At) -> dict[Any, At]:
        if at.value is None:
            return {}
        if isinstance(at.value, dict):
            return at.value
        self._tell(at, f"this is {kind_of(at)}", "a mapping")
        return {}

    def _value(self, at: At | None, kind: Text | Flag, default: Any) -> Any:
        if at is None or at.value is None:
            return default
        try:
            return kind.read(at, self._catalogue)
        except SettingsError as exc:
            self.problems.append(exc)
            return default

    # What options need of the project

    def own_object(self, name: str) -> Any:
        """The object with this dotted name in a module of the project's own.

        Raises:
            SettingsError: there is none, or it is not the project's own.
        """
        return self._catalogue.own_object(name)

    def channel(self, at: At) -> BaseChannel:
        """The channel that is declared here; what is wrong with it is noted."""
        return self._channel(at) or BaseChannel()

    # Channels

    def _channel(self, at: At) -> BaseChannel | None:
        if not isinstance(at.value, dict):
            self._tell(at, f"this is {kind_of(at)}", "a mapping with name and nodes")
            return None
        parts: dict[Any, At] = at.value
        self._refuse_others(at, (*CHANNEL_KEYS, *self._common.fields))
        name = self._value(parts.get("name"), Text(), None)
        if name is None:
            self._tell(at, "a channel needs a name", "name: ...")
        elif self._names.setdefault(name, at.where) != at.where:
            self._tell(at, f"{self._names[name]} has a channel {name!r} already")
            return None
        options = {k: v for k, v in parts.items() if k in self._common.fields}
        channel = self._sourced(at, parts.get("source"), name, options)
        if channel is None:
            # What is in it is worth checking all the same.
            channel = BaseChannel(name)
            self._fill(channel, at, parts)
            return None
        self._fill(channel, at, parts)
        return channel

    def _sourced(
        self, at: At, source: At | None, name: str | None, common: Mapping[Any, At]
    ) -> BaseChannel | None:
        """The channel itself; a source is a class of channels with its options."""
        kind: type = BaseChannel
        options: dict[Any, At] = {}
        if source is not None:
            named = self._named(source, CHANNELS)
            if named is None:
                return None
            kind, options = named
        own = Signature(kind, (*GIVEN_ELSEWHERE, *self._common.fields))
        for key in set(options) & set(self._common.fields):
            place = options.pop(key)
            text = f"every channel has {key!r}; write it beside 'source'"
            self.problems.append(place.problem(text, at_key=True))
        more = self._read(self._common, common)
        made = self._make(source or at, own, options, more, name=name)
        return made if isinstance(made, BaseChannel) else None

    def _named(self, at: At, family: Family) -> tuple[type, dict[Any, At]] | None:
        """A class and its options: a name, or a mapping of one name to options."""
        options: dict[Any, At] = {}
        name = at.value
        place = at
        if isinstance(at.value, dict) and len(at.value) == 1:
            ((name, place),) = at.value.items()
            options = self._mapping(place)
        if not isinstance(name, str):
            allowed = f"the name of a {family.what}, alone or with its options"
            self._tell(at, f"this is {kind_of(at)}", allowed)
            return None
        try:
            return self._catalogue.find(family, name), options
        except SettingsError as exc:
            text = exc.problem if exc.file is None else str(exc)
            self.problems.append(place.problem(text, allowed=exc.allowed, at_key=True))
            return None

    def _read(self, signature: Signature, options: Mapping[Any, At]) -> Any:
        """The options as values; None when something is wrong with one."""
        read = signature.read(options, self)
        self.problems += read.problems
        return None if read.problems else read.values

    def _make(
        self,
        at: At,
        signature: Signature,
        options: Mapping[Any, At],
        more: Mapping[str, Any] | None,
        **given: Any,
    ) -> Any:
        """An object of a class; None when something is wrong with its options."""
        values = self._read(signature, options)
        missing = signature.missing(options)
        if missing:
            name = signature.made.__name__
            self._tell(at, f"{name} needs {' and '.join(map(repr, missing))}")
        if values is None or missing or more is None:
            return None
        try:
            return signature.make(values, **more, **given)
        except Exception as exc:
            # Whatever a constructor raises, it is about what it was given.
            self._tell_from(at, exc, options)
            return None

    def _store(self, at: At | None) -> MessageStoreFactory | None:
        named = None if at is None or at.value is None else self._named(at, STORES)
        if named is None or at is None:
            return None
        kind, options = named
        plain = {key: value.plain() for key, value in options.items()}
        same = f"{kind.__module__}.{kind.__qualname__} {sorted(plain.items(), key=str)}"
        if same not in self._stores:
            made = self._make(at, Signature(kind), options, {})
            if isinstance(made, MessageStoreFactory):
                self._stores[same] = made
        return self._stores.get(same)

    def _fill(self, channel: BaseChannel, at: At, parts: Mapping[Any, At]) -> None:
        """Store and chain of a channel."""
        self.origins[channel.name] = at.where
        self._ignore(channel, at, parts)
        factory = self._store(parts.get("store"))
        if factory is not None:
            channel.message_store_factory = factory
            channel.message_store = factory.get_store(channel.name)
        self._chain(channel, parts)

    # Chains

    def _chain(self, channel: BaseChannel, parts: Mapping[Any, At]) -> None:
        self._steps(channel, parts.get("nodes"))
        for phase, key in zip(PHASES, SPECIAL_KEYS, strict=True):
            self._steps(channel, parts.get(key), phase)

    def _steps(self, channel: BaseChannel, steps: At | None, phase: str = "") -> None:
        for step in self._items(steps):
            kind = None if phase else _branch_of(step)
            try:
                if kind is not None:
                    _BUILD[kind](self, channel, step.value[kind])
                else:
                    self._node(channel, step, phase)
            except SettingsError as exc:
                self.problems.append(exc)
            except PichannelsError as exc:
                # A name that was given twice.
                self._tell(step, str(exc))

    def _node(self, channel: BaseChannel, at: At, phase: str) -> None:
        if isinstance(at.value, dict) and len(at.value) != 1:
            names = [str(key) for key in at.value]
            text = f"a step has one name, and this has {', '.join(names) or 'none'}"
            self._tell(at, text, "'- name: {options}'; indent the options further")
            return
        named = self._named(at, NODES)
        if named is None:
            return
        kind, options = named
        node = self._make(at, Signature(kind), options, {})
        if node is not None:
            add = getattr(channel, f"add_{phase}_nodes") if phase else channel.add
            add(node)
            self.origins[node.fullpath()] = at.where

    def _fork(self, channel: BaseChannel, at: At) -> None:
        parts = self._parts(at, BRANCHES["fork"])
        sub = channel.fork(
            self._value(parts.get("name"), Text(), None),
            self._store(parts.get("store")),
            required=self._value(parts.get("required"), Flag(), True),
        )
        self._branch(sub, at, parts)

    def _when(self, channel: BaseChannel, at: At) -> None:
        parts = self._parts(at, BRANCHES["when"])
        each = self._value(parts.get("each"), Flag(), False)
        sub = channel.when(
            self._condition(at, parts.get("if"), each),
            self._value(parts.get("name"), Text(), None),
            self._store(parts.get("store")),
            each=each,
        )
        self._branch(sub, at, parts)

    def _case(self, channel: BaseChannel, at: At) -> None:
        parts = self._parts(at, BRANCHES["case"])
        each = self._value(parts.get("each"), Flag(), False)
        branches = self._items(parts.get("branches"))
        if not branches:
            self._tell(at, "a case needs branches", "branches: [{if: ..., nodes: ...}]")
            return
        found = [(branch, self._parts(branch, CASE_BRANCH_KEYS)) for branch in branches]
        names = [self._value(p.get("name"), Text(), None) for _, p in found]
        subs = channel.case(
            *(self._condition(b, p.get("if"), each) for b, p in found),
            names=[name or f"case{n}" for n, name in enumerate(names)],
            message_store_factory=self._store(parts.get("store")),
            each=each,
        )
        for sub, (branch, its) in zip(subs, found, strict=True):
            self._branch(sub, branch, its)

    def _parts(self, at: At, known: tuple[str, ...]) -> dict[Any, At]:
        parts = self._mapping(at)
        if parts:
            self._refuse_others(at, known)
        return parts

    def _branch(self, sub: BaseChannel, at: At, parts: Mapping[Any, At]) -> None:
        self.origins[sub.name] = at.where
        self._ignore(sub, at, parts)
        self._chain(sub, parts)

    def _ignore(self, channel: BaseChannel, at: At, parts: Mapping[Any, At]) -> None:
        """Note the rules that do not count here."""
        codes = []
        for each in self._items(parts.get("ignore_lints")):
            if isinstance(each.value, str) and each.value in LINT_CODES:
                codes.append(each.value)
            else:
                self._tell(each, unknown_code(kind_of(each).strip("'")))
        if codes:
            found = Ignored(codes, channel.name, str(at.file), at.path)
            self.ignored.append(found)

    def _condition(self, at: At, condition: At | None, each: bool) -> Any:
        """What a branch asks: true or false, an expression, or a function."""
        subject: Subject = "sample" if each else "message"
        if condition is None:
            self._tell(at, "the condition is missing", f"if: {Function(subject).says}")
            return False
        if isinstance(condition.value, str) and not condition.is_from_variable:
            return expression(condition, subject)
        return OneOf([Flag(), Function(subject)]).read(condition, self._catalogue)


def _branch_of(step: At) -> str | None:
    """`fork`, `when` or `case`, where a step is one."""
    if isinstance(step.value, dict) and len(step.value) == 1:
        (key,) = step.value
        return key if key in BRANCHES else None
    return None


_BUILD: Final = {"fork": Builder._fork, "when": Builder._when, "case": Builder._case}
