"""The codec of Protobuf: with a registry, and plain messages."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from pichannels.adapters.protobuf_messages import (
    classes_of,
    files_in,
    fill,
    indexes_of,
    is_message,
    message_at,
    needed_by,
    needs_protobuf,
    parse_message,
    plain,
    renamed,
    set_time,
    time_text,
)
from pichannels.adapters.protobuf_sources import descriptor_of
from pichannels.adapters.protobuf_texts import text_of
from pichannels.errors import CodecError, DecodeError, SettingsError, nearest
from pichannels.formats.framing import Subject, WireCodec, split
from pichannels.formats.records import sample_fields
from pichannels.formats.registry import Reference, Schema, SchemaRegistry
from pichannels.values import DigitalState, Sample, ValueFailure

__all__ = ["SAMPLE_PROTO", "ProtobufCodec", "read_indexes", "write_indexes"]

SAMPLE_PROTO: Final = files(__package__).joinpath("sample.proto").read_text("utf-8")
"""The messages of samples, as a .proto file."""

_FILE: Final = "pichannels/sample.proto"
_SERIALIZED: Final = "serialized"
_SAMPLE, _BATCH = "pichannels.Sample", "pichannels.SampleBatch"
_LONGEST: Final = 2**63
_DEEPEST: Final = 32

_Written = tuple[dict[str, Any], str]


class ProtobufCodec(WireCodec):
    """Protobuf. Samples are messages of `SAMPLE_PROTO`, where no other is given.

    What is written is a message, or a mapping with its fields. With a message of one's
    own a sample gives its fields by name, as with `AvroCodec`.

    Args:
        message: what is written and read: a generated class, or a file that `protoc
            --descriptor_set_out --include_imports` has written, or what is in it. By
            default samples are written (a `SampleBatch` for a list of them), and what
            is read is as the registry says that it was written.
        name: full name of the message in that file; by default the last file's first.
            Of samples, what is read without a registry: `pichannels.Sample` (the
            default) or `pichannels.SampleBatch`.
        registry: keeps the schemas; a record has its number and which message it is.
        plain: read dicts of plain values, and no messages. Instants are text, exact to
            100 ns.
        subject, part, auto_register: see `WireCodec`.

    Raises:
        SettingsError: an option is not usable, or the extra `schemas` is missing.
    """

    content_type = "application/x-protobuf"

    def __init__(
        self,
        message: os.PathLike[str] | bytes | type[Any] | None = None,
        *,
        name: str | None = None,
        registry: SchemaRegistry | None = None,
        plain: bool = True,
        subject: Subject = "topic",
        part: str = "value",
        auto_register: bool = True,
    ) -> None:
        needs_protobuf()
        super().__init__(
            registry=registry,
            subject=subject,
            part=part,
            auto_register=auto_register,
        )
        self._plain = plain
        self._is_sample = message is None
        self._classes: dict[str, Any] = {}
        if message is None:
            self._classes = classes_of([descriptor_of(_FILE, SAMPLE_PROTO)])
            self._read_as = _named(name or _SAMPLE, self._classes)
            self._message = self._classes[_SAMPLE]
        else:
            self._message = self._read_as = _message_of(message, name)
        self._writers: dict[int, _Written] = {}

    # Writing

    def schema_name(self) -> str:
        return str(self._message.DESCRIPTOR.full_name)

    async def schema_to_register(self) -> Schema:
        if self._is_sample:
            return Schema(SAMPLE_PROTO, "PROTOBUF")
        return await self._schema_of(self._message.DESCRIPTOR.file)

    async def _schema_of(self, file: Any) -> Schema:
        """A file, when those that it imports are in the registry by their names."""
        registry = self.registry
        assert registry is not None
        references = []
        for each in needed_by(file):
            schema = await self._schema_of(each)
            if self._registers:
                await registry.register(each.name, schema)
            found = await registry.find(each.name, schema)
            references.append(Reference(each.name, each.name, found.version))
        text = text_of(file.serialized_pb)
        if text is None:
            text = base64.b64encode(file.serialized_pb).decode()
        return Schema(text, "PROTOBUF", tuple(references))

    def body(self, obj: Any) -> bytes:
        if type(obj) is Sample:
            return self.sample_body(obj, "live")
        if self._is_sample and isinstance(obj, list):
            return self.batch_body(obj, "live")
        if is_message(obj):
            return self._framed(obj)
        return self._framed(fill(self._message(), _mapping(obj)))

    def sample_body(self, sample: Sample, lane: str) -> bytes:
        if self._is_sample:
            return self._framed(_fill_sample(self._message(), sample, lane))
        values = sample_fields(sample, lane)
        return self._framed(fill(self._message(), values, leave_out=True))

    def batch_body(self, samples: list[Sample], lane: str) -> bytes:
        if not self._is_sample:
            raise CodecError("a batch goes sample by sample with messages of one's own")
        batch = self._classes[_BATCH]()
        for each in samples:
            if type(each) is not Sample:
                raise CodecError(f"a SampleBatch has no {type(each).__name__}")
            _fill_sample(batch.samples.add(), each, lane)
        return self._framed(batch)

    def _framed(self, message: Any) -> bytes:
        """The bytes of a message; before them, for a registry, which one it is."""
        try:
            data: bytes = message.SerializeToString(deterministic=True)
        except Exception as exc:
            raise CodecError(f"the message is not complete: {exc}") from exc
        if self.registry is None:
            return data
        return write_indexes(indexes_of(message.DESCRIPTOR)) + data

    # Reading

    async def learn(self, data: bytes) -> None:
        registry = self.registry
        if registry is None or not self._is_sample:
            return
        id, _ = split(data, "Protobuf")
        if id not in self._writers:
            found = await registry.by_id(id, _SERIALIZED)
            if found.type != "PROTOBUF":
                raise DecodeError("Protobuf", f"schema {id} is {found.type}")
            self._writers[id] = await _written(registry, id, found)

    def decode(self, s: bytes) -> object:
        """The value: a dict by default, else a message.

        Raises:
            DecodeError: it is no Protobuf of a message that is known.
        """
        kind, rest = self._read_as, s
        if self.registry is not None:
            id, rest = split(s, "Protobuf")
            indexes, rest = read_indexes(rest)
            if self._is_sample:
                if id not in self._writers:
                    raise DecodeError("Protobuf", f"schema {id} was not asked for", s)
                kind = message_at(*self._writers[id], indexes)
        found = parse_message(kind, rest)
        return _read(found) if self._plain else found


def _mapping(obj: Any) -> Any:
    if not hasattr(obj, "items"):
        kind = type(obj).__name__
        raise CodecError(f"a message is made of a mapping, and not of {kind}")
    return obj


def _message_of(found: Any, name: str | None) -> Any:
    """The class of messages that an option names."""
    if isinstance(found, type) and is_message(found):
        return found
    if isinstance(found, os.PathLike):
        try:
            found = Path(found).read_bytes()
        except OSError as exc:
            raise SettingsError(f"it cannot be read: {exc}", key="message") from exc
    if not isinstance(found, bytes):
        raise SettingsError("this is no message", key="message", found=found)
    classes = classes_of(files_in(found))
    if name is None and classes:
        last = list(classes.values())[-1].DESCRIPTOR.file.name
        name = next(n for n, c in classes.items() if c.DESCRIPTOR.file.name == last)
    return _named(str(name), classes)


def _named(name: str, classes: dict[str, Any]) -> Any:
    if name not in classes:
        raise SettingsError(
            f"there is no such message{nearest(name, classes)}",
            key="name",
            found=name,
            allowed=", ".join(classes),
        )
    return classes[name]


async def _written(registry: SchemaRegistry, id: int, found: Schema) -> _Written:
    """The messages of a schema, and the name of its file."""
    needed: dict[str, bytes] = {}
    name = f"schema-{id}.proto"
    try:
        await _collect(registry, found, needed)
        return classes_of([*needed.values(), _file(name, found.schema)]), name
    except SettingsError as exc:
        raise DecodeError("Protobuf", f"schema {id}: {exc}") from exc


async def _collect(
    registry: SchemaRegistry, schema: Schema, found: dict[str, bytes]
) -> None:
    """The files that one imports, those first that others import."""
    for each in schema.references:
        if each.name in found:
            continue
        one = await registry.version(each.subject, each.version, _SERIALIZED)
        await _collect(registry, Schema(one.schema, one.type, one.references), found)
        found[each.name] = _file(each.name, one.schema)


def _file(name: str, schema: str) -> bytes:
    """A schema as a file descriptor; not every registry makes one of a text."""
    try:
        data = base64.b64decode(schema, validate=True)
    except ValueError:
        return descriptor_of(name, schema)
    return renamed(data, name)


# The path of the message in its file: how many levels, and an index for each, as
# zigzag varints; one 0 stands for the first message.


def write_indexes(indexes: Sequence[int]) -> bytes:
    """Which message of its file it is, as registries have it."""
    if list(indexes) == [0]:
        return b"\x00"
    return b"".join(_varint(number << 1) for number in [len(indexes), *indexes])


def _varint(number: int) -> bytes:
    data = bytearray()
    while number > 0x7F:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*data, number])


def read_indexes(data: bytes) -> tuple[list[int], bytes]:
    """Which message it is, and what stands behind that.

    Raises:
        DecodeError: the bytes end, or say something that cannot be.
    """
    count, at = _read_varint(data, 0)
    if count > _DEEPEST:
        raise DecodeError("Protobuf", f"{count} levels of messages", data)
    indexes = []
    for _ in range(count):
        index, at = _read_varint(data, at)
        indexes.append(index)
    return indexes or [0], data[at:]


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while shift < 64 and at < len(data):
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            if number & 1:
                break
            return number >> 1, at
    raise DecodeError("Protobuf", "no message of a schema is named", data)


# Samples


def _fill_sample(target: Any, sample: Sample, lane: str) -> Any:
    tag = sample.tag
    target.tag = tag.name
    target.path = tag.path
    target.server = tag.server
    set_time(target.time, sample.ticks)
    target.good = sample.good
    target.questionable = sample.questionable
    target.substituted = sample.substituted
    target.annotated = sample.annotated
    target.units = sample.units or tag.units
    target.event_id = sample.event_id
    target.lane = lane
    _set_value(target, sample.value)
    return target


def _set_value(target: Any, value: Any) -> None:
    kind = type(value)
    if kind is DigitalState:
        state = target.state
        state.SetInParent()
        state.name, state.code = value.name, value.code
        state.is_system = value.is_system
    elif kind is ValueFailure:
        target.error = value.message
    elif kind is list:
        target.array.SetInParent()
        for item in value:
            _set_scalar(target.array.items.add(), item)
    else:
        _set_scalar(target, value)


def _set_scalar(target: Any, value: Any) -> None:
    kind = type(value)
    if kind is float:
        target.double_value = value
    elif kind is bool:
        target.bool_value = value
    elif kind is int and -_LONGEST <= value < _LONGEST:
        target.int_value = value
    elif kind is str:
        target.string_value = value
    elif value is not None:
        raise CodecError(f"the schema of samples has nothing for {value!r:.80}")


def _read(message: Any) -> Any:
    """A message as plain values; samples as JSON has them."""
    name = message.DESCRIPTOR.full_name
    if name == _SAMPLE:
        return _sample_record(message)
    if name == _BATCH:
        return [_sample_record(each) for each in message.samples]
    return plain(message)


def _sample_record(message: Any) -> dict[str, Any]:
    found = plain(message)
    record = {name: found[name] for name in ("tag", "path", "server")}
    record["time"] = time_text(message.time)
    record["value"] = _value_of(message)
    flags = ("good", "questionable", "substituted", "annotated")
    for name in (*flags, "units", "event_id", "lane"):
        record[name] = found[name]
    return record


def _value_of(message: Any) -> Any:
    which = message.WhichOneof("value")
    if which is None:
        return None
    value = getattr(message, which)
    if which == "state":
        return plain(value)
    if which == "error":
        return {"error": value}
    if which == "array":
        return [_value_of(each) for each in value.items]
    return value
