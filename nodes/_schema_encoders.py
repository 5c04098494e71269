"""Python values to Avro and Protobuf."""

from __future__ import annotations

import os
from typing import Any

from nodes._schema_decoders import framing_for
from pichannels.formats.avro import AvroCodec, AvroSchema
from pichannels.formats.framing import Subject
from pichannels.formats.protobuf import ProtobufCodec
from pichannels.formats.registry import SchemaRegistry
from pichannels.formats.steps import EncodeStep

__all__ = ["Avro", "Protobuf"]


class Avro(EncodeStep):
    """The payload as Avro: a record, or a file of many.

    A batch becomes a file with a record for each sample. Needs the extra `schemas`. A
    registry that is away, or refuses the schema, is waited for.

    Args:
        schema: a path of a file with it, JSON text, or what it says; by default that
            of samples.
        registry: a `SchemaRegistry` that gives the schema a number, which the record
            then has.
        framing: `file`, `registry`, `single` or `plain`; by default `registry` where
            there is one, else `file`.
        topic: what the subject in the registry is named by.
        subject: `topic`, `record` or `topic-record`, or a function of the topic and
            the name of the schema.
        auto_register: False to use what others have registered.
        options: those of every node.

    Raises:
        CodecError: the schema has nothing for the payload; fails this message only.
        SettingsError: an option is not usable, or the extra is not installed.
    """

    def __init__(
        self,
        schema: AvroSchema | None = None,
        *,
        registry: SchemaRegistry | None = None,
        framing: str | None = None,
        topic: str = "",
        subject: Subject = "topic",
        auto_register: bool = True,
        **options: Any,
    ) -> None:
        codec = AvroCodec(
            schema,
            registry=registry,
            framing=framing_for(framing, registry),
            subject=subject,
            auto_register=auto_register,
        )
        super().__init__(codec, topic=topic, **options)


class Protobuf(EncodeStep):
    """A dict of plain values, a message or samples, as a Protobuf message.

    A batch becomes a `SampleBatch`. Needs the extra `schemas`. A registry that is
    away, or refuses the schema, is waited for.

    Args:
        message: a generated class, or a file of `protoc --descriptor_set_out
            --include_imports`; by default that of samples.
        name_of_message: its full name in that file; by default its first.
        registry: a `SchemaRegistry` that gives the schema a number, which the message
            then has.
        topic: what the subject in the registry is named by.
        subject: `topic`, `record` or `topic-record`, or a function of the topic and
            the name of the message.
        auto_register: False to use what others have registered.
        options: those of every node.

    Raises:
        CodecError: the message has nothing for the payload; fails this message only.
        SettingsError: an option is not usable, or the extra is not installed.
    """

    def __init__(
        self,
        message: os.PathLike[str] | type[Any] | None = None,
        *,
        name_of_message: str | None = None,
        registry: SchemaRegistry | None = None,
        topic: str = "",
        subject: Subject = "topic",
        auto_register: bool = True,
        **options: Any,
    ) -> None:
        codec = ProtobufCodec(
            message,
            name=name_of_message,
            registry=registry,
            subject=subject,
            auto_register=auto_register,
        )
        super().__init__(codec, topic=topic, **options)
