"""Nodes that decode and encode payloads by a codec."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from functools import partial
from typing import Any, ClassVar, Final

from pichannels.errors import CodecError, DecodeError
from pichannels.formats.codec import (
    ICodec,
    SchemaCodec,
    content_type_of,
    decoded,
    decoded_from,
    encoded,
)
from pichannels.formats.patience import patiently
from pichannels.formats.records import SAMPLES, sample_of
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.values import Sample

__all__ = ["DecodeStep", "EncodeStep"]

_PYTHON: Final = "application/python"


class DecodeStep(BaseNode):
    """Decodes the payload by a codec; None stays None.

    A registry that is away is waited for.

    Args:
        codec: which.
        samples: make samples of records that pichannels has written, a batch.
        options: those of every node.

    Raises:
        DecodeError: the payload is not what the codec reads; fails this message only.
    """

    changes: ClassVar = frozenset({"content_type", "payload"})

    def __init__(
        self, codec: ICodec, /, *, samples: bool = False, **options: Any
    ) -> None:
        super().__init__(**options)
        self.codec = codec
        self.samples = samples

    def process(self, msg: Message) -> Message | Awaitable[Message]:
        data = msg.payload
        if isinstance(data, str):
            data = data.encode()
        if data is not None and not isinstance(data, bytes):
            raise DecodeError("bytes", f"the payload is {type(data).__name__}")
        if isinstance(self.codec, SchemaCodec):
            return self._ask(msg, data)
        return self._decoded(msg, decoded(self.codec, data))

    async def _ask(self, msg: Message, data: bytes | None) -> Message:
        ask = partial(decoded_from, self.codec, data)
        return self._decoded(msg, await patiently(self.fullpath(), ask))

    def _decoded(self, msg: Message, value: Any) -> Message:
        msg.payload = self._samples(value) if self.samples else value
        msg.content_type = SAMPLES if self.samples else _PYTHON
        return msg

    def _samples(self, value: Any) -> list[Sample]:
        records = value if isinstance(value, list) else [value]
        if not all(isinstance(record, Mapping) for record in records):
            raise DecodeError("samples", f"it holds {type(records[0]).__name__}")
        return [sample_of(record) for record in records]


class EncodeStep(BaseNode):
    """Encodes the payload by a codec; None stays None.

    A registry that is away, or refuses the schema, is waited for.

    Args:
        codec: which.
        topic: by what the registry knows the schema, where it has one.
        options: those of every node.

    Raises:
        CodecError: the codec has nothing for the payload; fails this message only.
    """

    changes: ClassVar = frozenset({"content_type", "payload"})

    def __init__(self, codec: ICodec, /, *, topic: str = "", **options: Any) -> None:
        super().__init__(**options)
        self.codec = codec
        self.topic = topic

    def process(self, msg: Message) -> Message | Awaitable[Message]:
        codec = self.codec
        if not isinstance(codec, SchemaCodec) or msg.payload is None:
            return self._encoded(msg, encoded(codec, msg.payload))
        body = self._body(codec, msg)
        return self._ask(msg, codec, body)

    def _body(self, codec: SchemaCodec, msg: Message) -> bytes:
        lane = str(msg.meta.get("lane", "live"))
        payload = msg.payload
        if type(payload) is Sample:
            return codec.sample_body(payload, lane)
        is_batch = type(payload) is list and payload and type(payload[0]) is Sample
        return codec.batch_body(payload, lane) if is_batch else codec.body(payload)

    async def _ask(self, msg: Message, codec: SchemaCodec, body: bytes) -> Message:
        ask = partial(codec.frame, self.topic)
        return self._encoded(msg, await patiently(self.fullpath(), ask) + body)

    def _encoded(self, msg: Message, data: bytes | None) -> Message:
        if data is not None and not isinstance(data, bytes):
            raise CodecError(f"the codec gave {type(data).__name__}, and no bytes")
        msg.payload = data
        msg.content_type = content_type_of(self.codec)
        return msg
