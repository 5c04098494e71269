"""The channel whose source is HL7 over MLLP: messages, and their answers."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence
from typing import Any, Final

from pichannels.channels.listening import Handlers, ListeningChannel
from pichannels.checks import encoding_name
from pichannels.delivery import Delivery, Outcome
from pichannels.endpoints.base import Place
from pichannels.endpoints.mllp import ALL, ListenMLLP, MLLPEndpoint, Received
from pichannels.errors import (
    ChannelPaused,
    ChannelStopped,
    DecodeError,
    JournalError,
    Rejected,
    SettingsError,
    TryAgain,
    UsageError,
)
from pichannels.hl7v2.messages import acknowledgement, charset, code_for
from pichannels.message import Message
from pichannels.states import State

__all__ = ["HL7", "MLLPChannel"]

logger: Final = logging.getLogger("pichannels.channels")

HL7: Final = "text/hl7"
"""The content type of a message that is HL7 of version 2."""

_TYPE: Final = re.compile(r"[A-Z0-9]+(\^[A-Z0-9]+)?")

_Answer = tuple[str, str]
"""A code, and the reason for people."""


class MLLPChannel(ListeningChannel):
    """Runs a message through its nodes for each HL7 message, and acknowledges it.

    The payload is the message as text. `meta` has `message_type` (`ADT^A01`),
    `control_id`, `sending_application`, `sending_facility`, `encoding` and `remote`,
    the address that it came from.

    The answer follows from the outcome. Processed or dropped: `AA`. Rejected: `AR`
    with the reason. Failed: `AE`, without what happened inside. Stopped, full, to be
    tried again later: `AE` with a text that says so. Paused: `AA` once it is stored.
    What is no HL7 message, or is in no known encoding, is answered `AR` and stored as
    rejected.

    Args:
        args: the name, and what every channel takes.
        endpoint: what listens; several channels share one. In YAML a mapping with
            `host`, `port`, `certificate`, `key` and the like; equal ones are one
            endpoint.
        encoding: of messages whose MSH-18 names none.
        types: which messages it takes: `ADT^A01`, or `ADT` for those that no other
            channel takes by their event. By default all that no other one takes.
        accepted: answer as soon as the message is durable in the journal; nobody
            hears of the result.
        enhanced: go by MSH-15 and MSH-16: answer `CA`, `CE` and `CR`, or not at all,
            where they ask for it.
        kwargs: those of every channel.

    Raises:
        SettingsError: an option is not usable.
    """

    def __init__(
        self,
        *args: Any,
        endpoint: MLLPEndpoint | ListenMLLP | None = None,
        encoding: str = "utf-8",
        types: Sequence[str] | None = None,
        accepted: bool = False,
        enhanced: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, endpoint=_endpoint(endpoint), **kwargs)
        self.encoding = encoding_name(encoding)
        self.types = _types(types)
        self.accepted = accepted
        self.enhanced = enhanced
        self.received_blocks = 0
        self.refused = 0
        self.unavailable = 0
        self._handlers = Handlers()

    def places(self) -> Sequence[Place]:
        return [
            ("messages", kind) if kind else ("all messages",) for kind in self.types
        ]

    @property
    def origin(self) -> str:
        named = " ".join(filter(None, self.types))
        return f"{named or 'HL7'} at mllp://{self.endpoint.address}"

    def statistics(self) -> dict[str, Any]:
        """Where it is, how many blocks came, and those that became no message."""
        endpoint = self.endpoint
        assert isinstance(endpoint, MLLPEndpoint)
        return {
            "address": endpoint.address,
            "connections": endpoint.connections,
            "blocks": self.received_blocks,
            "under_way": len(self._handlers),
            "refused": self.refused,
            "unavailable": self.unavailable,
        }

    async def start_source(self) -> None:
        if self.accepted and self.journal is None:
            raise UsageError(
                f"channel {self.name!r} answers what is durable, and has no journal;"
                " run it in an engine, or without accepted=True"
            )
        await super().start_source()

    async def respond(self, received: Received) -> bytes | None:
        """The message that answers, called by the endpoint; None for no answer."""
        self.received_blocks += 1
        handler = self._handlers.begin()
        try:
            code, text = await self._answer(received)
        except asyncio.CancelledError:
            if not self._handlers.is_given_up(handler):
                raise
            code, text = self._unavailable("the channel has stopped")
        finally:
            self._handlers.end(handler)
        header = received.header
        code = code_for(header, code, enhanced=self.enhanced)
        if not code:
            return None
        encoding = charset(header, self.encoding) if header else self.encoding
        return acknowledgement(header, code, text, encoding)

    async def _answer(self, received: Received) -> _Answer:
        if not self._is_listening:
            return self._unavailable("the channel is stopped")
        if self.accepted and self._inlet is not None and self._inlet.is_full:
            return self._unavailable("no room is left for messages just now")
        try:
            return await self._taken(received)
        except ChannelStopped:
            return self._unavailable("the channel is stopped")
        except (JournalError, TryAgain, OSError) as exc:
            logger.error("%s: a message is put off: %s", self.name, exc)
            return self._unavailable("nothing can be stored just now")
        except Exception as exc:
            logger.exception("%s: a message is not taken: %s", self.name, exc)
            return "AE", "the message cannot be taken"

    async def _taken(self, received: Received) -> _Answer:
        try:
            msg = self._message(received)
        except DecodeError as exc:
            return await self._refuse(received, exc)
        if self.accepted:
            await self.accept(msg)
            return "AA", ""
        try:
            return _answer_of(await self.run(msg))
        except ChannelPaused as exc:
            # What is stored runs when the channel goes on.
            if exc.is_stored:
                return "AA", ""
            return self._unavailable("the channel is paused")

    def _unavailable(self, reason: str) -> _Answer:
        self.unavailable += 1
        return "AE", f"{reason}; send it again later"

    async def _release(self) -> None:
        # What could not be drained; the endpoint may stay open for other channels.
        self._handlers.give_up()
        await super()._release()

    # Messages

    def _message(self, received: Received) -> Message:
        """The message of a block.

        Raises:
            DecodeError: there is none in it, or it is not in its encoding.
        """
        header = received.header
        if header is None or received.fault:
            raise DecodeError("an HL7 message", received.fault)
        encoding = charset(header, self.encoding)
        try:
            payload = received.content.decode(encoding).removeprefix("\ufeff")
        except UnicodeDecodeError as exc:
            raise DecodeError("an HL7 message", f"it is not {encoding}") from exc
        meta = {
            "message_type": header.message_type,
            "control_id": header.text(10, encoding),
            "sending_application": header.text(3, encoding),
            "sending_facility": header.text(4, encoding),
            "encoding": encoding,
            "remote": received.remote,
        }
        return Message(HL7, payload, meta)

    async def _refuse(self, received: Received, error: DecodeError) -> _Answer:
        """Answer what is no message, which no node sees."""
        self.refused += 1
        self.rejected += 1
        sender = received.remote
        logger.warning("%s: refused what %s sent: %s", self.name, sender, error.reason)
        msg = Message(HL7, received.content, {"remote": sender})
        await self._store_rejected(msg, Rejected(error.reason))
        return "AR", error.reason

    async def _store_rejected(self, msg: Message, error: Rejected) -> None:
        recorder = self._recorder
        if recorder is None:
            return
        delivery = Delivery()
        await recorder.admit(msg, delivery)
        try:
            outcome = Outcome(State.REJECTED, msg, error, self.name)
            settled = recorder.settle(delivery, outcome)
            if settled is not None:
                await settled
        finally:
            recorder.leave(delivery)


def _answer_of(outcome: Outcome) -> _Answer:
    if outcome.state in (State.PROCESSED, State.DROPPED):
        return "AA", ""
    if outcome.state is State.REJECTED:
        return "AR", str(outcome.error) or "rejected"
    if isinstance(outcome.error, TryAgain):
        return "AE", "try again later"
    return "AE", "the message failed"


# Options


def _endpoint(found: Any) -> MLLPEndpoint:
    if isinstance(found, MLLPEndpoint):
        return found
    if isinstance(found, ListenMLLP):
        return MLLPEndpoint(
            host=found.host,
            port=found.port,
            encoding=found.encoding,
            reuse_port=found.reuse_port,
            certificate=found.certificate,
            key=found.key,
            message_limit=found.message_limit,
            read_timeout=found.read_timeout,
            idle_timeout=found.idle_timeout,
            max_connections=found.max_connections,
        )
    raise SettingsError(
        "this is no endpoint for MLLP",
        key="endpoint",
        found=type(found).__name__,
        allowed="an MLLPEndpoint, such as MLLPEndpoint(port=2100)",
    )


def _types(found: Any) -> tuple[str, ...]:
    if found is None:
        return (ALL,)
    names = [found] if isinstance(found, str) else list(found)
    types = [str(name).strip().upper() for name in names]
    for kind in types:
        if not _TYPE.fullmatch(kind):
            raise SettingsError(
                "this is no type of messages",
                key="types",
                found=kind,
                allowed="types such as ADT, or with their event: ADT^A01",
            )
    if not types:
        raise SettingsError("the list is empty", key="types", allowed="ADT, ADT^A01")
    return tuple(dict.fromkeys(types))
