"""publish.Email: a mail for each message."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from email.message import EmailMessage
from email.utils import format_datetime, getaddresses
from ssl import SSLContext
from typing import Any, Final

import msgspec

from nodes._batches import is_batch
from nodes._lines import encode_payload, readable
from nodes._options import at_least
from nodes._queue import Item, QueueingSink
from nodes._texts import filled, pattern_of
from pichannels.adapters.smtp import Mailer, MailRefused, MailServer
from pichannels.errors import MessageError, SettingsError, TryAgain
from pichannels.message import Message
from pichannels.probes import Finding
from pichannels.retry import RetryPolicy
from pichannels.secrets import Secret, reveal_in_thread
from pichannels.values import datetime_from_ticks

__all__ = ["Email", "MailRefused"]

logger: Final = logging.getLogger("pichannels.nodes")

_AGAIN: Final = RetryPolicy(attempts=0, initial=1.0, maximum=300.0)
_AT_ONCE: Final = 50
"""How many mails go through one connection."""

_KINDS: Final = ("application", "audio", "image", "text", "video")

Text = str | Callable[[Message], str]
Addresses = str | Sequence[str] | Callable[[Message], Sequence[str] | str]


class Email(QueueingSink):
    """Send a mail for each message, in order; it is settled when the server has it.

    The text is the payload: a text as it is, a batch with one line for each sample,
    anything else as JSON. In `subject`, `sender`, `recipients`, `content` and
    `filename` a pattern such as `%(meta.plant)s` is a value of the message. A mail that
    is sent again has the same `Message-ID`.

    Connection errors, a login that is refused and answers of 4xx are tried again, and
    everything waits meanwhile; with other answers the message fails. A password is
    never sent without TLS.

    Args:
        host: of the server.
        port: by default 465 with `ssl`, 587 with a login, else 25.
        user: who logs in.
        password: best a `Secret`; it is looked up for each connection.
        ssl: speak TLS from the beginning.
        start_tls: begin TLS before anything else; by default where the server offers
            it, and always where there is a login.
        verify: False for no check of the certificate, the file of an authority, or an
            `ssl.SSLContext`.
        subject: of the mail.
        sender: whose mail it is.
        recipients: who gets it: a text, a list, or a function of the message.
        content: the text, or a function of the message; by default the payload.
        html: the text is HTML.
        attach: add the payload as a file.
        filename: its name; by default `meta["filename"]`, or one that tells its type.
        timeout: seconds for the connection, and for each answer.
        retry: how often and how soon a mail is tried again; by default without end.
        queue_bytes: how much may wait to be sent.
        options: those of every node.

    Raises:
        MailRefused: through the acknowledgement: the server said no.
        MessageError: the message lacks a value, or makes no mail.
        SettingsError: an option is not usable, or aiosmtplib is not installed.
    """

    def __init__(
        self,
        host: str = "localhost",
        port: int | None = None,
        *,
        user: str | Secret | None = None,
        password: str | Secret | None = None,
        ssl: bool = False,
        start_tls: bool | None = None,
        verify: bool | str | os.PathLike[str] | SSLContext = True,
        subject: Text = "%(meta.subject)s",
        sender: Text,
        recipients: Addresses,
        content: Text | None = None,
        html: bool = False,
        attach: bool = False,
        filename: str | None = None,
        timeout: float = 30.0,
        retry: RetryPolicy | None = None,
        queue_bytes: int = 32 * 2**20,
        **options: Any,
    ) -> None:
        super().__init__(queue_bytes=queue_bytes, **options)
        at_least("timeout", timeout, 0.001)
        at_least("port", port, 1)
        self._logins: Any = [user, password]
        self._mailer = Mailer(
            MailServer(host, port, user, password, ssl, start_tls, verify, timeout)
        )
        self._subject = _checked("subject", subject)
        self._sender = _checked("sender", sender)
        self._recipients = _checked("recipients", recipients)
        self._content = None if content is None else _checked("content", content)
        self._filename = filename and _checked("filename", filename)
        self._subtype = "html" if html else "plain"
        self._attaches = attach
        self._policy = retry or _AGAIN
        self.not_delivered = 0

    async def start(self) -> None:
        """Take messages (again).

        Raises:
            SettingsError: a secret is missing.
        """
        await super().start()
        await reveal_in_thread(self._logins)

    def statistics(self) -> dict[str, int]:
        """Counts of values; and of recipients that the server refused."""
        return super().statistics() | {"not_delivered": self.not_delivered}

    async def probe(self) -> list[Finding]:
        """Look whether the server answers and accepts the login; no mail is sent."""
        try:
            async with self._mailer.connected():
                text = f"{self._mailer.target} takes us"
                return [Finding(True, "server", text)]
        except (TryAgain, SettingsError, MailRefused) as exc:
            return [Finding(False, "server", str(exc))]

    def encode(self, msg: Message) -> EmailMessage:
        mail = EmailMessage()
        try:
            mail["Subject"] = _text(self._subject, msg)
            mail["From"] = _text(self._sender, msg)
            mail["To"] = ", ".join(_addresses(self._recipients, msg))
            mail["Date"] = format_datetime(datetime_from_ticks(msg.ticks))
            mail["Message-ID"] = f"<{msg.uuid}@pichannels.invalid>"
            mail.set_content(self._body(msg), subtype=self._subtype)
            if self._attaches:
                self._attach(mail, msg)
        except (ValueError, IndexError, LookupError, AttributeError) as exc:
            # Line ends in a header, and the like.
            raise MessageError(f"{self.fullpath()}: this is no mail: {exc}") from exc
        return mail

    def item(self, msg: Message) -> Item:
        mail = self.encode(msg)
        return Item(msg, mail, len(mail.as_bytes()))

    def _body(self, msg: Message) -> str:
        if self._content is not None:
            return _text(self._content, msg)
        return "" if self._attaches else _payload(msg)

    def _attach(self, mail: EmailMessage, msg: Message) -> None:
        payload = msg.payload
        if not isinstance(payload, bytes):
            payload = _payload(msg).encode()
        kind = _media_type(msg)
        name = self._filename and _text(self._filename, msg)
        name = name or msg.meta.get("filename") or f"payload.{kind[1]}"
        mail.add_attachment(
            payload, maintype=kind[0], subtype=kind[1], filename=str(name)
        )

    def take(self) -> list[Item]:
        """Mails that go through one connection."""
        count = min(len(self._queue), _AT_ONCE)
        return [self._queue.popleft() for _ in range(count)]

    async def deliver(self, group: Sequence[Item]) -> None:
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._send([item for item in group if not item.is_done])
            except TryAgain as exc:
                self.not_written(exc)
                delay = self._policy.delay(attempt, exc)
                if delay is None:
                    raise
                logger.warning("%s: again in %.1f s: %s", self.fullpath(), delay, exc)
            await self.pause(delay)

    async def _send(self, group: Sequence[Item]) -> None:
        async with self._mailer.connected() as client:
            for item in group:
                try:
                    missing = await self._mailer.send(client, item.data)
                except MailRefused as exc:
                    self.not_written(exc)
                    self.fail([item], exc)
                    continue
                for name, why in missing.items():
                    self.not_delivered += 1
                    logger.warning("%s: not for %s: %s", self.fullpath(), name, why)
                self.settle([item])


def _payload(msg: Message) -> str:
    payload = msg.payload
    if is_batch(payload):
        return "".join(f"{readable(sample)}\n" for sample in payload)
    if isinstance(payload, bytes):
        return payload.decode(errors="replace")
    if isinstance(payload, str):
        return payload
    return msgspec.json.format(encode_payload(msg), indent=2).decode()


def _media_type(msg: Message) -> tuple[str, str]:
    if is_batch(msg.payload):
        return "text", "plain"
    if not isinstance(msg.payload, bytes | str):
        return "application", "json"
    kind, _, subtype = msg.content_type.partition(";")[0].strip().partition("/")
    if msg.content_type == "application/text":
        return "text", "plain"
    if kind in _KINDS and subtype:
        return kind, subtype
    return "application", "octet-stream"


def _text(given: Text, msg: Message) -> str:
    return str(given(msg)) if callable(given) else filled(given, msg)


def _addresses(given: Addresses, msg: Message) -> list[str]:
    found = given(msg) if callable(given) else given
    texts = [found] if isinstance(found, str) else list(found)
    if not callable(given):
        texts = [filled(text, msg) for text in texts]
    if not any(address for _, address in getaddresses(texts)):
        raise MessageError("there is nobody to send the mail to")
    return texts


def _checked(key: str, given: Any) -> Any:
    texts = [given] if isinstance(given, str) or callable(given) else given
    if not given:
        raise SettingsError("there is none", key=key, found=given)
    for text in texts:
        if isinstance(text, str):
            pattern_of(key, text)
        elif not callable(text):
            raise SettingsError("this is no text", key=key, found=text)
    return given
