"""How values become bytes, and values again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Final

import msgspec

from pichannels.errors import CodecError, DecodeError, SettingsError
from pichannels.fingerprint import Defined
from pichannels.formats.records import record_of
from pichannels.values import Sample

__all__ = [
    "ICodec",
    "JsonCodec",
    "MessagePackCodec",
    "SchemaCodec",
    "body_of",
    "checked_codec",
    "content_type_of",
    "decoded",
    "decoded_from",
    "encoded",
    "encoded_for",
]


class ICodec(ABC):
    """Makes bytes of values and values of bytes; inherit for a format of your own."""

    @abstractmethod
    def encode(self, obj: Any) -> bytes:
        """The bytes of a value."""

    @abstractmethod
    def decode(self, s: bytes) -> object:
        """The value of these bytes."""


class SchemaCodec(ICodec, Defined):
    """A codec that knows samples, and may have to ask a registry.

    What it writes is a frame, which depends on the topic, and a body, which does not.

    Attributes:
        content_type: what its bytes are.
    """

    content_type: str

    @abstractmethod
    def body(self, obj: Any) -> bytes:
        """What stands behind the frame.

        Raises:
            CodecError: the format has nothing for the value.
        """

    @abstractmethod
    def sample_body(self, sample: Sample, lane: str) -> bytes:
        """The same for a sample that came on this lane.

        Raises:
            CodecError: the format has nothing for its value.
        """

    def batch_body(self, samples: list[Sample], lane: str) -> bytes:
        """The same for samples together.

        Raises:
            CodecError: the format has nothing for one, or only for single ones.
        """
        raise CodecError("samples go one by one; split.Split makes messages of them")

    async def frame(self, topic: str) -> bytes:
        """What stands before each body of a topic; may ask a registry.

        Raises:
            SettingsError: the registry refuses it.
            TryAgain: it does not answer.
        """
        return b""

    async def learn(self, data: bytes) -> None:
        """Ask for what `decode` needs for these bytes, where it is not known.

        Raises:
            DecodeError: there is no such schema.
            SettingsError: the registry does not let us in.
            TryAgain: it does not answer.
        """
        return

    def encode(self, obj: Any) -> bytes:
        """The bytes of a value, without a frame.

        Raises:
            CodecError: the format has nothing for the value.
        """
        return self.body(obj)


class JsonCodec(ICodec):
    """JSON. What it has no form for (dates, say) becomes text, samples are records.

    JSON has no infinities and no NaN; they become null.
    """

    def encode(self, obj: Any) -> bytes:
        """UTF-8 of the JSON text.

        Raises:
            CodecError: JSON cannot hold it.
        """
        return _encode(_JSON_ENCODER, _plain(obj), "JSON")

    def decode(self, s: bytes) -> object:
        """What the JSON text says.

        Raises:
            DecodeError: it is no JSON.
        """
        return _decode(_JSON_DECODER, s, "JSON")


class MessagePackCodec(ICodec):
    """MessagePack. What it has no form for becomes text, samples are records."""

    def encode(self, obj: Any) -> bytes:
        """The bytes.

        Raises:
            CodecError: MessagePack cannot hold it.
        """
        return _encode(_PACK_ENCODER, _plain(obj), "MessagePack")

    def decode(self, s: bytes) -> object:
        """The value.

        Raises:
            DecodeError: it is no MessagePack.
        """
        return _decode(_PACK_DECODER, s, "MessagePack")


def encoded(codec: ICodec | None, value: Any) -> Any:
    """The value by the codec; None stays None, as it deletes a key of a topic."""
    if codec is None or value is None:
        return value
    return codec.encode(value if isinstance(codec, SchemaCodec) else _plain(value))


def decoded(codec: ICodec | None, data: Any) -> Any:
    """The value of data by the codec; None stays None."""
    return data if codec is None or data is None else codec.decode(data)


async def encoded_for(topic: str, codec: ICodec | None, value: Any) -> Any:
    """`encoded` for a topic; asks the codec's registry where it has one.

    Raises:
        CodecError: the codec has nothing for the value.
        SettingsError: a registry refuses the schema.
        TryAgain: it does not answer.
    """
    if value is None or not isinstance(codec, SchemaCodec):
        return encoded(codec, value)
    body = codec.body(value)
    return await codec.frame(topic) + body


async def decoded_from(codec: ICodec | None, data: Any) -> Any:
    """`decoded`; asks the codec's registry where it has one.

    Raises:
        DecodeError: the bytes are not what the codec reads.
        SettingsError: a registry does not let us in.
        TryAgain: it does not answer.
    """
    if data is not None and isinstance(codec, SchemaCodec):
        await codec.learn(data)
    return decoded(codec, data)


def body_of(codec: ICodec, value: Any, lane: str) -> bytes:
    """What a codec writes of a value, without its frame; samples are records.

    Raises:
        CodecError: the codec has nothing for the value.
    """
    is_sample = type(value) is Sample
    if isinstance(codec, SchemaCodec):
        return codec.sample_body(value, lane) if is_sample else codec.body(value)
    return codec.encode(record_of(value, lane) if is_sample else value)


def checked_codec(found: Any) -> ICodec:
    """The option `codec`.

    Raises:
        SettingsError: it is none.
    """
    if isinstance(found, ICodec):
        return found
    raise SettingsError(
        "this is no codec", key="codec", found=found, allowed="JsonCodec(), an ICodec"
    )


def content_type_of(codec: ICodec) -> str:
    """What the bytes of a codec are."""
    if isinstance(codec, JsonCodec):
        return "application/json"
    if isinstance(codec, MessagePackCodec):
        return "application/vnd.msgpack"
    return str(getattr(codec, "content_type", "application/octet-stream"))


_JSON_ENCODER: Final = msgspec.json.Encoder(enc_hook=str)
_JSON_DECODER: Final = msgspec.json.Decoder()
_PACK_ENCODER: Final = msgspec.msgpack.Encoder(enc_hook=str)
_PACK_DECODER: Final = msgspec.msgpack.Decoder()


def _plain(value: Any) -> Any:
    """Records of samples; everything else as it is."""
    if type(value) is Sample:
        return record_of(value, "live")
    if type(value) is list and value and type(value[0]) is Sample:
        return [_plain(each) for each in value]
    return value


def _encode(encoder: Any, value: Any, what: str) -> bytes:
    try:
        data: bytes = encoder.encode(value)
    except Exception as exc:
        raise CodecError(f"this is no value for {what}: {exc}") from exc
    return data


def _decode(decoder: Any, data: bytes, what: str) -> object:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, TypeError) as exc:
        excerpt = data if isinstance(data, bytes) else b""
        raise DecodeError(what, str(exc), excerpt) from exc
