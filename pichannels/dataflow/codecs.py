"""How values become bytes on a topic, and values again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Final

import msgspec

from pichannels.errors import CodecError, DecodeError

__all__ = ["ICodec", "JsonCodec", "MessagePackCodec", "decoded", "encoded"]


class ICodec(ABC):
    """Makes bytes of values and values of bytes; inherit for a format of your own."""

    @abstractmethod
    def encode(self, obj: Any) -> bytes:
        """The bytes of a value."""

    @abstractmethod
    def decode(self, s: bytes) -> object:
        """The value of these bytes."""


class JsonCodec(ICodec):
    """JSON. What it has no form for (dates, say) becomes text.

    JSON has no infinities and no NaN; they become null.
    """

    def encode(self, obj: Any) -> bytes:
        """UTF-8 of the JSON text.

        Raises:
            CodecError: JSON cannot hold it.
        """
        return _encode(_JSON_ENCODER, obj, "JSON")

    def decode(self, s: bytes) -> object:
        """What the JSON text says.

        Raises:
            DecodeError: it is no JSON.
        """
        return _decode(_JSON_DECODER, s, "JSON")


class MessagePackCodec(ICodec):
    """MessagePack. What it has no form for becomes text."""

    def encode(self, obj: Any) -> bytes:
        """The bytes.

        Raises:
            CodecError: MessagePack cannot hold it.
        """
        return _encode(_PACK_ENCODER, obj, "MessagePack")

    def decode(self, s: bytes) -> object:
        """The value.

        Raises:
            DecodeError: it is no MessagePack.
        """
        return _decode(_PACK_DECODER, s, "MessagePack")


def encoded(codec: ICodec | None, value: Any) -> Any:
    """The value by the codec; None stays None, as it deletes a key of a topic."""
    return value if codec is None or value is None else codec.encode(value)


def decoded(codec: ICodec | None, data: Any) -> Any:
    """The value of data by the codec; None stays None."""
    return data if codec is None or data is None else codec.decode(data)


_JSON_ENCODER: Final = msgspec.json.Encoder(enc_hook=str)
_JSON_DECODER: Final = msgspec.json.Decoder()
_PACK_ENCODER: Final = msgspec.msgpack.Encoder(enc_hook=str)
_PACK_DECODER: Final = msgspec.msgpack.Decoder()


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
