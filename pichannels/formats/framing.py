"""How data names its schema: the frame of registries, and who is asked for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pichannels.errors import DecodeError, SettingsError, UsageError, nearest
from pichannels.formats.codec import SchemaCodec
from pichannels.formats.registry import Schema, SchemaRefused, SchemaRegistry

__all__ = ["Subject", "WireCodec", "framed", "split"]

MAGIC: Final = 0
_LENGTH: Final = 5

Subject = str | Callable[[str, str], str]
"""How the subject of a schema is made: a word, or a function of topic and name."""

_STRATEGIES: Final = {
    "topic": "{topic}-{part}",
    "record": "{name}",
    "topic-record": "{topic}-{name}",
}


def framed(id: int) -> bytes:
    """What stands before a record with the schema of this id."""
    return bytes([MAGIC]) + id.to_bytes(4, "big")


def split(data: bytes, what: str) -> tuple[int, bytes]:
    """The id of a schema, and what stands behind the frame.

    Raises:
        DecodeError: there is no frame.
    """
    if len(data) < _LENGTH or data[0] != MAGIC:
        raise DecodeError(what, "no schema id of a registry is before it", data)
    return int.from_bytes(data[1:_LENGTH], "big"), data[_LENGTH:]


class WireCodec(SchemaCodec):
    """A codec whose schemas a registry may keep.

    Args:
        registry: who keeps them; None for data without a frame.
        subject: `topic` for a subject for each topic and part, `record` for one by the
            name of the schema, `topic-record` for both, or a function of them.
        part: `value` or `key`: what it encodes.
        auto_register: register what is not; False to use what others have registered.

    Raises:
        SettingsError: an option is not usable.
    """

    what: str

    def __init__(
        self,
        *,
        registry: SchemaRegistry | None,
        subject: Subject,
        part: str,
        auto_register: bool,
    ) -> None:
        if not callable(subject) and subject not in _STRATEGIES:
            raise _no_choice("subject", subject, _STRATEGIES)
        if part not in ("value", "key"):
            raise _no_choice("part", part, ("value", "key"))
        if registry is not None and not isinstance(registry, SchemaRegistry):
            raise UsageError(f"registry is a SchemaRegistry, not {registry!r}")
        self.registry = registry
        self._subject = subject
        self._part = part
        self._registers = auto_register
        self._frames: dict[str, bytes] = {}

    def schema_name(self) -> str:
        """The full name of what is written."""
        raise NotImplementedError

    async def schema_to_register(self) -> Schema:
        """What is written, for a registry; what it refers to is there.

        Raises:
            SettingsError: the registry refuses something.
            TryAgain: it does not answer.
        """
        raise NotImplementedError

    def subject_of(self, topic: str) -> str:
        """The subject in the registry for records of a topic."""
        name = self.schema_name()
        if callable(self._subject):
            return str(self._subject(topic, name))
        pattern = _STRATEGIES[self._subject]
        return pattern.format(topic=topic, part=self._part, name=name)

    async def frame(self, topic: str) -> bytes:
        registry = self.registry
        if registry is None:
            return b""
        subject = self.subject_of(topic)
        known = self._frames.get(subject)
        if known is None:
            schema = await self.schema_to_register()
            ask = registry.register if self._registers else registry.lookup
            known = self._frames[subject] = framed(await ask(subject, schema))
        return known

    async def problems(self, topic: str) -> list[str]:
        """Why the registry would refuse what is written to a topic; empty if not.

        Raises:
            SettingsError: the registry does not let us in.
            TryAgain: it does not answer.
        """
        registry = self.registry
        if registry is None:
            return []
        try:
            subject, schema = self.subject_of(topic), await self.schema_to_register()
            if self._registers:
                return await registry.problems(subject, schema)
            await registry.lookup(subject, schema)
        except SchemaRefused as exc:
            return [exc.said]
        return []

    def encode(self, obj: Any) -> bytes:
        """The bytes of a value.

        Raises:
            CodecError: the schema has nothing for the value.
            UsageError: what stands before them depends on the topic; a topic, a node
                and `encoded_for` ask the registry for it.
        """
        if self.registry is not None:
            raise UsageError(
                f"{type(self).__name__} asks a registry: use"
                " `await encoded_for(topic, codec, value)`"
            )
        return self.body(obj)


def _no_choice(key: str, found: Any, allowed: Any) -> SettingsError:
    hint = nearest(str(found), allowed)
    return SettingsError(
        f"no such choice{hint}", key=key, found=found, allowed=", ".join(allowed)
    )
