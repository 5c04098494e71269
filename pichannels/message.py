"""The message: what travels from node to node."""

from __future__ import annotations

import copy
import itertools
import logging
import os
import traceback
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from pichannels import clock, codecs
from pichannels.errors import CodecError, DecodeError
from pichannels.values import (
    DigitalState,
    Sample,
    Tag,
    ValueFailure,
    datetime_from_ticks,
    format_ticks,
    parse_ticks,
    ticks_from_datetime,
)

__all__ = ["Message", "isolate", "new_uuid"]

default_logger: Final = logging.getLogger("pichannels.message")

_count = itertools.count(int.from_bytes(os.urandom(3)))
_process = int.from_bytes(os.urandom(4))


def new_uuid() -> str:
    """A time-ordered unique id (UUID version 7, RFC 9562) as 32 hex digits."""
    number = next(_count)
    return (
        f"{clock.now() // 10_000:012x}7{number & 0xFFF:03x}"
        f"{0x80000000 | number >> 12 & 0x3FFFFFFF:08x}{_process:08x}"
    )


# Values that nobody can change, so that a copy may share them.
_SHARED = frozenset(
    {
        type(None),
        bool,
        int,
        float,
        str,
        bytes,
        complex,
        datetime,
        date,
        time,
        timedelta,
        Decimal,
        UUID,
        Sample,
        Tag,
        DigitalState,
        ValueFailure,
    }
)


def isolate(value: Any) -> Any:
    """A copy of `value` that shares nothing that could change."""
    kind = type(value)
    if kind in _SHARED:
        return value
    if kind is list:
        return [v if type(v) in _SHARED else isolate(v) for v in value]
    if kind is dict:
        return {k: v if type(v) in _SHARED else isolate(v) for k, v in value.items()}
    return copy.deepcopy(value)


class Message:
    """The unit of information that the nodes of a channel exchange.

    Attributes:
        payload: the contents: bytes, text, samples, any Python value.
        meta: facts about the payload, by name.
        content_type: what the payload is, as a media type.
        store_id, store_chan_name: where a message store keeps it, or None.

    A node owns the message that it is given and may change it. A fork gets a
    copy of its own.
    """

    __slots__ = (
        "_ctx",
        "_ticks",
        "_uuid",
        "content_type",
        "delivery",
        "meta",
        "parsed",
        "payload",
        "store_chan_name",
        "store_id",
    )

    def __init__(
        self,
        content_type: str = "application/text",
        payload: Any = None,
        meta: dict[str, Any] | None = None,
    ) -> None:
        self.content_type = content_type
        self.payload = payload
        self.meta = {} if meta is None else meta
        self.store_id: str | None = None
        self.store_chan_name: str | None = None
        # What the source made of the payload already, for the decoder to take
        # over; and whose settlement this message belongs to. Neither is stored.
        self.parsed: Any = None
        self.delivery: Any = None
        self._ctx: dict[str, dict[str, Any]] | None = None
        self._uuid: str | None = None
        self._ticks: int | None = clock.now()

    @property
    def ctx(self) -> dict[str, dict[str, Any]]:
        """Messages saved for later use: key -> `{"meta": ..., "payload": ...}`."""
        if self._ctx is None:
            self._ctx = {}
        return self._ctx

    @ctx.setter
    def ctx(self, value: dict[str, dict[str, Any]]) -> None:
        self._ctx = value

    @property
    def uuid(self) -> str:
        """What identifies the message; made when first asked for."""
        if self._uuid is None:
            self._uuid = new_uuid()
        return self._uuid

    @uuid.setter
    def uuid(self, value: str) -> None:
        self._uuid = value

    @property
    def short_uuid(self) -> str:
        """Eight of its digits, those that differ from message to message."""
        return self.uuid[19:24] + self.uuid[13:16]

    @property
    def ticks(self) -> int:
        """When the message was made, in ticks of 100 ns since 1970 UTC."""
        if self._ticks is None:
            self._ticks = clock.now()
        return self._ticks

    @ticks.setter
    def ticks(self, value: int) -> None:
        self._ticks = value

    @property
    def timestamp(self) -> datetime:
        """When the message was made, as aware UTC datetime."""
        return datetime_from_ticks(self.ticks)

    @timestamp.setter
    def timestamp(self, value: datetime) -> None:
        self._ticks = ticks_from_datetime(
            value if value.tzinfo else value.replace(tzinfo=UTC)
        )

    @property
    def chan_exc(self) -> BaseException | None:
        """In end nodes of a channel: what a node of it has raised, or None."""
        return self.delivery.cause if self.delivery is not None else None

    @property
    def chan_exc_traceback(self) -> str:
        """In end nodes of a channel: the traceback of `chan_exc`, or nothing."""
        error = self.chan_exc
        return "" if error is None else "".join(traceback.format_exception(error))

    @property
    def chan_rslt(self) -> Message | None:
        """In end nodes of a channel: a copy of its result, where all went well."""
        result: Message | None = self.delivery.result if self.delivery else None
        return None if result is None else result.copy()

    def timestamp_str(self) -> str:
        """The timestamp in ISO 8601, UTC."""
        return format_ticks(self.ticks)

    def add_context(self, key: str, msg: Message) -> None:
        """Keep a snapshot of `msg` in `ctx` under `key`."""
        self.ctx[key] = {"meta": isolate(msg.meta), "payload": isolate(msg.payload)}

    def copy(self) -> Message:
        """The same message (uuid and timestamp too), sharing nothing changeable."""
        new = self.renew()
        new._uuid = self.uuid
        new._ticks = self.ticks
        return new

    def renew(self) -> Message:
        """A copy with a uuid and timestamp of its own."""
        new = self.derive(isolate(self.payload))
        new.parsed = isolate(self.parsed)
        new._ticks = clock.now()
        return new

    def derive(self, payload: Any) -> Message:
        """A new message of the same kind and settlement with another payload.

        Meta and context are copied; the uuid is its own.
        """
        new = Message(self.content_type, payload, isolate(self.meta))
        new.store_id = self.store_id
        new.store_chan_name = self.store_chan_name
        new.delivery = self.delivery
        new._ticks = self._ticks
        if self._ctx:
            new._ctx = isolate(self._ctx)
        return new

    def to_dict(self) -> dict[str, Any]:
        """Plain data that holds the whole message; see `from_dict`."""
        return {
            "uuid": self.uuid,
            "timestamp": self.timestamp_str(),
            "content_type": self.content_type,
            "payload": isolate(self.payload),
            "meta": isolate(self.meta),
            "ctx": isolate(self.ctx),
            "store_id": self.store_id,
            "store_chan_name": self.store_chan_name,
        }

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Message:
        """The message that `to_dict` described.

        Raises:
            CodecError: the data does not describe a message.
        """
        try:
            msg = Message(
                data.get("content_type") or "application/text",
                isolate(data["payload"]),
                dict(isolate(data.get("meta") or {})),
            )
            msg._uuid = data.get("uuid")
            if data.get("timestamp"):
                msg._ticks = parse_ticks(data["timestamp"])
            msg.ctx = dict(isolate(data.get("ctx") or {}))
            msg.store_id = data.get("store_id")
            msg.store_chan_name = data.get("store_chan_name")
        except (KeyError, TypeError, AttributeError, ValueError, DecodeError) as exc:
            raise CodecError(f"this is no stored message: {exc!r}") from exc
        return msg

    def to_json(self) -> str:
        """JSON text that holds the whole message; see `from_json`.

        Raises:
            CodecError: the payload, meta or context has a type without codec.
        """
        return codecs.encode_json(self.to_dict())

    @staticmethod
    def from_json(data: str) -> Message:
        """The message that `to_json` wrote.

        Raises:
            CodecError: the text does not describe a message.
        """
        found = codecs.decode_json(data)
        if not isinstance(found, dict):
            raise CodecError("this is no stored message: no JSON object")
        return Message.from_dict(found)

    def encode(self) -> bytes:
        """MessagePack of what has to be stored beside uuid and timestamp.

        Raises:
            CodecError: the payload, meta or context has a type without codec.
        """
        return codecs.encode(
            [self.content_type, self.payload, self.meta, self._ctx or None]
        )

    @staticmethod
    def decode(data: bytes, uuid: str, ticks: int) -> Message:
        """The message that `encode` wrote.

        Raises:
            CodecError: not written by `encode`, or a type is unknown here.
        """
        try:
            content_type, payload, meta, ctx = codecs.decode(data)
        except (TypeError, ValueError) as exc:
            raise CodecError(f"this is no stored message: {exc}") from exc
        msg = Message(content_type, payload, meta)
        msg._ctx = ctx
        msg._uuid = uuid
        msg._ticks = ticks
        return msg

    def log(
        self,
        logger: logging.Logger = default_logger,
        log_level: int = logging.DEBUG,
        payload: bool = True,
        meta: bool = True,
        context: bool = False,
    ) -> None:
        """Log the message, if the logger takes that level."""
        if logger.isEnabledFor(log_level):
            logger.log(log_level, "%s", self.to_print(payload, meta, context))

    def to_print(
        self, payload: bool = True, meta: bool = True, context: bool = False
    ) -> str:
        """The message as text for people."""
        lines = [f"{self} {self.timestamp_str()} {self.content_type}"]
        if payload:
            lines.append(f"payload: {self.payload!r}")
        if meta:
            lines.append(f"meta: {self.meta!r}")
        if context:
            lines.extend(f"ctx {key}: {saved!r}" for key, saved in self.ctx.items())
        return "\n".join(lines)

    def __str__(self) -> str:
        return f"<msg: {self.uuid}>"

    def __repr__(self) -> str:
        return f"<Message {self.uuid} {self.content_type}>"


def _dump(msg: Message) -> list[Any]:
    return [msg.uuid, msg.ticks, msg.content_type, msg.payload, msg.meta, msg.ctx]


def _load(data: Any) -> Message:
    uuid, ticks, content_type, payload, meta, ctx = data
    msg = Message(content_type, payload, meta)
    msg.uuid, msg.ticks, msg.ctx = uuid, ticks, ctx
    return msg


# Messages travel, and may be parts of others.
codecs.register_codec(Message, _dump, _load, name="message")
