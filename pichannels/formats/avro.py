"""The codec of Avro: with a registry, single objects, plain records, files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import msgspec

from pichannels.adapters.avro_records import (
    fingerprint_of,
    name_of,
    needs_avro,
    parse_schema,
    read_file,
    read_record,
    write_file,
    write_record,
)
from pichannels.errors import CodecError, DecodeError, SettingsError, nearest
from pichannels.formats.framing import Subject, WireCodec, split
from pichannels.formats.records import sample_fields
from pichannels.formats.registry import Schema, SchemaRegistry
from pichannels.values import DigitalState, Sample, ValueFailure

__all__ = ["FRAMINGS", "SAMPLE_AVRO", "AvroCodec", "AvroSchema"]

SAMPLE_AVRO: Final = files(__package__).joinpath("sample.avsc").read_text("utf-8")
"""The schema of a sample, as JSON text."""

FRAMINGS: Final = ("registry", "single", "plain", "file")
"""How an Avro record may tell its schema."""

AvroSchema = str | os.PathLike[str] | Mapping[str, Any] | Sequence[Any]
"""JSON text, a file with it, or what it says."""

_ONE_BY_ONE: Final = "samples go one by one, or together with framing='file'"
_SINGLE: Final = b"\xc3\x01"
_LONGEST: Final = 2**63
_TICKS_PER_MICROSECOND: Final = 10


class AvroCodec(WireCodec):
    """Avro. Samples are records of `SAMPLE_AVRO`, where no other schema is given.

    With a schema of one's own a sample gives its fields by name: those of the JSON
    object and `server`, `ticks` and `timestamp`; the value of a digital state is its
    name. Fields that the schema does not have are left out.

    Args:
        schema: what is written, and how what is read is to be seen: JSON text, a path
            of a file with it, or what it says. By default samples are written, and
            what is read is as it was written.
        registry: keeps the schemas; a record has its number.
        framing: how a record tells its schema: `registry`, `single` (by a fingerprint,
            as Avro's single objects do), `plain` (not at all) or `file` (a container
            of many records with their schema). By default `registry` where there is
            one, else `plain`.
        known: further schemas that may have written single objects.
        subject, part, auto_register: see `WireCodec`.

    Raises:
        SettingsError: an option is not usable, or the extra `schemas` is missing.
    """

    content_type = "application/vnd.apache.avro+binary"

    def __init__(
        self,
        schema: AvroSchema | None = None,
        *,
        registry: SchemaRegistry | None = None,
        framing: str | None = None,
        known: Sequence[AvroSchema] = (),
        subject: Subject = "topic",
        part: str = "value",
        auto_register: bool = True,
    ) -> None:
        needs_avro()
        super().__init__(
            registry=registry,
            subject=subject,
            part=part,
            auto_register=auto_register,
        )
        self.framing = _checked_framing(framing, registry)
        self._is_sample = schema is None
        self._text = SAMPLE_AVRO if schema is None else _text_of(schema)
        self._schema = parse_schema(self._text)
        self._reader = None if schema is None else self._schema
        self._writers: dict[int, Any] = {}
        self._prefix, self._known = b"", {}
        if self.framing == "single":
            self._prefix = _SINGLE + fingerprint_of(self._schema)
            texts = [self._text, *map(_text_of, known)]
            parsed = map(parse_schema, texts)
            self._known = {fingerprint_of(each): each for each in parsed}
        if self.framing == "file":
            self.content_type = "application/vnd.apache.avro+file"

    # Writing

    def schema_name(self) -> str:
        return name_of(self._schema)

    async def schema_to_register(self) -> Schema:
        return Schema(self._text)

    def body(self, obj: Any) -> bytes:
        if type(obj) is Sample:
            return self.sample_body(obj, "live")
        if isinstance(obj, list) and obj and type(obj[0]) is Sample:
            return self.batch_body(obj, "live")
        if self.framing == "file":
            return write_file(self._schema, obj if isinstance(obj, list) else [obj])
        return self._prefix + write_record(self._schema, obj)

    def sample_body(self, sample: Sample, lane: str) -> bytes:
        record = self._record(sample, lane)
        if self.framing == "file":
            return write_file(self._schema, [record])
        return self._prefix + write_record(self._schema, record)

    def batch_body(self, samples: list[Sample], lane: str) -> bytes:
        if self.framing != "file":
            raise CodecError(_ONE_BY_ONE)
        return write_file(self._schema, [self._record(s, lane) for s in samples])

    def _record(self, value: Any, lane: str) -> Any:
        if type(value) is not Sample:
            return value
        return (
            _record_of(value, lane) if self._is_sample else sample_fields(value, lane)
        )

    # Reading

    async def learn(self, data: bytes) -> None:
        registry = self.registry
        if registry is None or self.framing != "registry":
            return
        id, _ = split(data, "Avro")
        if id not in self._writers:
            found = await registry.by_id(id)
            self._writers[id] = await self._parsed(registry, id, found)

    async def _parsed(self, registry: SchemaRegistry, id: int, found: Schema) -> Any:
        if found.type != "AVRO":
            raise DecodeError("Avro", f"schema {id} is {found.type}")
        needed: dict[str, str] = {}
        await _collect(registry, found, needed)
        try:
            return parse_schema(found.schema, list(needed.values()))
        except SettingsError as exc:
            raise DecodeError("Avro", f"schema {id}: {exc.problem}") from exc

    def decode(self, s: bytes) -> object:
        """The value; records are dicts.

        Raises:
            DecodeError: it is not Avro of a schema that is known.
        """
        if self.framing == "file":
            return read_file(s, self._reader)
        writer, rest = self._written_by(s)
        return read_record(rest, writer, self._reader)

    def _written_by(self, data: bytes) -> tuple[Any, bytes]:
        """The schema that has written a record, and the record itself."""
        if self.framing == "plain":
            return self._schema, data
        if self.framing == "single":
            if data[:2] != _SINGLE or data[2:10] not in self._known:
                told = "it is no single object of a schema that is known"
                raise DecodeError("Avro", told, data)
            return self._known[data[2:10]], data[10:]
        id, rest = split(data, "Avro")
        if id not in self._writers:
            raise DecodeError("Avro", f"schema {id} was not asked for", data)
        return self._writers[id], rest


async def _collect(
    registry: SchemaRegistry, schema: Schema, found: dict[str, str]
) -> None:
    """The schemas that one needs, those first that others need."""
    for each in schema.references:
        if each.name in found:
            continue
        one = await registry.version(each.subject, each.version)
        inner = Schema(one.schema, one.type, one.references)
        await _collect(registry, inner, found)
        found[each.name] = one.schema


def _record_of(sample: Sample, lane: str) -> dict[str, Any]:
    """A sample as SAMPLE_AVRO has it."""
    tag = sample.tag
    return {
        "tag": tag.name,
        "path": tag.path,
        "server": tag.server,
        "time": sample.ticks // _TICKS_PER_MICROSECOND,
        "ticks": sample.ticks,
        "value": _value_of(sample.value),
        "good": sample.good,
        "questionable": sample.questionable,
        "substituted": sample.substituted,
        "annotated": sample.annotated,
        "units": sample.units or tag.units,
        "event_id": sample.event_id,
        "lane": lane,
    }


def _value_of(value: Any) -> Any:
    """A value with the branch of the union that it belongs to."""
    kind = type(value)
    if kind is float:
        return ("double", value)
    if kind is DigitalState:
        return ("pichannels.DigitalState", msgspec.structs.asdict(value))
    if kind is ValueFailure:
        return ("pichannels.Failure", {"error": value.message})
    if kind is list:
        return [_value_of(item) for item in value]
    if kind is int and -_LONGEST <= value < _LONGEST:
        return ("long", value)
    if kind is bool or kind is str:
        return ("boolean" if kind is bool else "string", value)
    if value is None:
        return None
    raise CodecError(f"the schema of samples has nothing for {value!r:.80}")


def _text_of(schema: Any) -> str:
    if isinstance(schema, os.PathLike):
        try:
            return Path(schema).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise SettingsError(
                f"the schema cannot be read: {exc}", key="schema"
            ) from exc
    if isinstance(schema, str):
        return schema
    return msgspec.json.encode(schema).decode()


def _checked_framing(found: str | None, registry: SchemaRegistry | None) -> str:
    if found is None:
        return "plain" if registry is None else "registry"
    if found not in FRAMINGS:
        raise SettingsError(
            f"no such choice{nearest(str(found), FRAMINGS)}",
            key="framing",
            found=found,
            allowed=", ".join(FRAMINGS),
        )
    if (found == "registry") != (registry is not None):
        raise SettingsError(
            "a registry and framing='registry' belong together", key="framing"
        )
    return found
