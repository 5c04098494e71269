"""Avro and Protobuf to Python values."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from pichannels.formats.avro import AvroCodec, AvroSchema
from pichannels.formats.protobuf import ProtobufCodec
from pichannels.formats.registry import SchemaRegistry
from pichannels.formats.steps import DecodeStep

__all__ = ["Avro", "Protobuf", "framing_for"]


def framing_for(found: str | None, registry: SchemaRegistry | None) -> str:
    """A file tells its schema itself, which is why it is the default."""
    return found or ("file" if registry is None else "registry")


class Avro(DecodeStep):
    """Avro to Python values; records are dicts, files lists of them.

    Needs the extra `schemas`. A registry that is away is waited for.

    Args:
        schema: how what is read is to be seen: a path of a file with it, JSON text,
            or what it says. By default as it was written; plain records and single
            objects were by this schema, or by that of samples.
        registry: a `SchemaRegistry`, where records have the number of their schema.
        framing: `file`, `registry`, `single` or `plain`; by default `registry` where
            there is one, else `file`.
        known: further schemas that may have written single objects.
        samples: make samples of records that pichannels has written.
        options: those of every node.

    Raises:
        DecodeError: the payload is no such Avro; fails this message only.
        SettingsError: an option is not usable, or the extra is not installed.
    """

    def __init__(
        self,
        schema: AvroSchema | None = None,
        *,
        registry: SchemaRegistry | None = None,
        framing: str | None = None,
        known: Sequence[AvroSchema] = (),
        samples: bool = False,
        **options: Any,
    ) -> None:
        codec = AvroCodec(
            schema,
            registry=registry,
            framing=framing_for(framing, registry),
            known=known,
        )
        super().__init__(codec, samples=samples, **options)


class Protobuf(DecodeStep):
    """A Protobuf message to a dict of plain values.

    Needs the extra `schemas`. A registry that is away is waited for.

    Args:
        message: a generated class, or a file of `protoc --descriptor_set_out
            --include_imports`; by default a sample, or what the registry says.
        name_of_message: its full name in that file; by default its first. Of samples
            `pichannels.Sample`, or `pichannels.SampleBatch` for whole batches.
        registry: a `SchemaRegistry`, where messages have the number of their schema.
        samples: make samples of messages that pichannels has written.
        options: those of every node.

    Raises:
        DecodeError: the payload is no such message; fails this message only.
        SettingsError: an option is not usable, or the extra is not installed.
    """

    def __init__(
        self,
        message: os.PathLike[str] | type[Any] | None = None,
        *,
        name_of_message: str | None = None,
        registry: SchemaRegistry | None = None,
        samples: bool = False,
        **options: Any,
    ) -> None:
        codec = ProtobufCodec(message, name=name_of_message, registry=registry)
        super().__init__(codec, samples=samples, **options)
