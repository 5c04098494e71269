"""A client of schema registries, by the REST interface that Confluent's has.

Karapace, Redpanda and Apicurio (its `ccompat` interface) have it too.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import ssl
from collections.abc import Sequence
from typing import Any, Final, Literal
from urllib.parse import quote, urlsplit

import aiohttp
import msgspec

from pichannels.certificates import tls_context
from pichannels.errors import DecodeError, NotConnected, RetryLater, SettingsError
from pichannels.fingerprint import Defined
from pichannels.retry import RetryPolicy
from pichannels.secrets import Secret, reveal_in_thread

__all__ = ["Reference", "Registered", "Schema", "SchemaRefused", "SchemaRegistry"]

logger: Final = logging.getLogger("pichannels.formats")

SchemaType = Literal["AVRO", "PROTOBUF", "JSON"]

_KEPT: Final = 10_000
_MEDIA: Final = "application/vnd.schemaregistry.v1+json"
_AGAIN: Final = RetryPolicy(attempts=4, initial=0.2, maximum=5.0)
_ALLOWED: Final = "http://host:port, https://host:port, or several of them"
_BUSY: Final = frozenset({408, 425, 429})


class SchemaRefused(SettingsError):
    """The registry does not take a schema: incompatible with earlier ones, or none.

    Attributes:
        subject: where it was to be registered.
        said: what the registry says.
    """

    def __init__(self, subject: str, said: str) -> None:
        self.subject = subject
        self.said = said
        super().__init__(f"the schema registry refuses the schema of {subject}: {said}")


class Reference(msgspec.Struct, frozen=True):
    """A schema that another one needs, by the name that it has there."""

    name: str
    subject: str
    version: int


class Schema(msgspec.Struct, frozen=True):
    """A schema as registries keep it.

    Attributes:
        schema: JSON of Avro; of Protobuf the base64 of a file descriptor, or its text.
        type: which language that is.
        references: the schemas that it needs.
    """

    schema: str
    type: SchemaType = msgspec.field(default="AVRO", name="schemaType")
    references: tuple[Reference, ...] = ()


class Registered(msgspec.Struct, frozen=True):
    """A version of a subject."""

    schema: str
    id: int
    version: int
    subject: str = ""
    type: SchemaType = msgspec.field(default="AVRO", name="schemaType")
    references: tuple[Reference, ...] = ()


class _Id(msgspec.Struct):
    id: int


class _Verdict(msgspec.Struct):
    is_compatible: bool
    messages: list[str] | None = None
    # In place of the messages; Apicurio's.
    reason: str | None = None


class _Problem(msgspec.Struct):
    message: str = ""
    error_code: int = 0


class _Wrapped(msgspec.Struct):
    """What Apicurio says of a login."""

    error: _Problem


class SchemaRegistry(Defined):
    """Registers schemas and finds them; each is asked for once.

    Args:
        url: `http://host:port`, or `https://`; of one or several members, of which the
            first that answers is asked.
        user: name of the user, or key of an interface.
        password: best a `Secret`; it is looked up for each request.
        token: a bearer token in place of a user, best a `Secret`.
        verify: False for no check of the certificate.
        ca: a file with the certificates that are trusted, in PEM.
        certificate: a file with a certificate of our own, in PEM.
        cert_key: a file with its key, where that is another one.
        timeout: seconds for an answer.
        retry: how often and how soon a request is tried again.

    Raises:
        SettingsError: an option is not usable.
    """

    def __init__(
        self,
        url: str | Sequence[str],
        *,
        user: str | Secret | None = None,
        password: str | Secret | None = None,
        token: str | Secret | None = None,
        verify: bool = True,
        ca: str | os.PathLike[str] | None = None,
        certificate: str | os.PathLike[str] | None = None,
        cert_key: str | os.PathLike[str] | None = None,
        timeout: float = 10.0,
        retry: RetryPolicy | None = None,
    ) -> None:
        self._urls = _checked_urls(url)
        self._login: list[str | Secret | None] = [user, password, token]
        self._tls: dict[str, Any] = {
            "verify": verify,
            "ca": ca,
            "certificate": certificate,
            "key": cert_key,
        }
        self._timeout = timeout
        self._policy = retry or _AGAIN
        self._ids: dict[tuple[str, Schema], int] = {}
        self._schemas: dict[tuple[int, str], Schema] = {}

    def __repr__(self) -> str:
        return f"SchemaRegistry({self.target})"

    @property
    def target(self) -> str:
        """Where it is, as errors show it."""
        return ", ".join(self._urls)

    async def register(self, subject: str, schema: Schema) -> int:
        """The id of a schema; it is registered where it was not.

        Raises:
            SchemaRefused: it is not compatible with earlier versions, or no schema.
            SettingsError: the registry does not let us in.
            TryAgain: it does not answer.
        """
        return await self._id(f"/subjects/{_quoted(subject)}/versions", subject, schema)

    async def lookup(self, subject: str, schema: Schema) -> int:
        """The id of a schema that was registered by others.

        Raises:
            SchemaRefused: it was not.
            SettingsError: the registry does not let us in.
            TryAgain: it does not answer.
        """
        return await self._id(f"/subjects/{_quoted(subject)}", subject, schema)

    async def find(self, subject: str, schema: Schema) -> Registered:
        """The version of a subject that has this schema.

        Raises:
            SchemaRefused: there is none.
            SettingsError: the registry does not let us in.
            TryAgain: it does not answer.
        """
        found: Registered = _read(
            await self._ask("POST", f"/subjects/{_quoted(subject)}", subject, schema),
            Registered,
            self.target,
        )
        return found

    async def by_id(self, id: int, form: str = "") -> Schema:
        """The schema with this id.

        Args:
            id: as data names it.
            form: `serialized` for Protobuf as a file descriptor.

        Raises:
            DecodeError: there is none.
            SettingsError: the registry does not let us in.
            TryAgain: it does not answer.
        """
        known = self._schemas.get((id, form))
        if known is None:
            path = f"/schemas/ids/{id}" + (f"?format={form}" if form else "")
            try:
                found = await self._ask("GET", path, "")
            except _Missing as exc:
                raise DecodeError(f"a record of schema {id}", exc.said) from exc
            known = _read(found, Schema, self.target)
            _keep(self._schemas, (id, form), known)
        return known

    async def version(
        self, subject: str, version: int | str = "latest", form: str = ""
    ) -> Registered:
        """A version of a subject.

        Raises:
            SchemaRefused: there is none.
            SettingsError: the registry does not let us in.
            TryAgain: it does not answer.
        """
        query = f"?format={form}" if form else ""
        path = f"/subjects/{_quoted(subject)}/versions/{version}{query}"
        found: Registered = _read(
            await self._ask("GET", path, subject), Registered, self.target
        )
        return found

    async def problems(self, subject: str, schema: Schema) -> list[str]:
        """Why the latest version of a subject does not go with a schema; empty if so.

        Raises:
            SettingsError: the registry does not let us in, or the schema is none.
            TryAgain: it does not answer.
        """
        place = f"/compatibility/subjects/{_quoted(subject)}/versions/latest"
        try:
            found = await self._ask("POST", f"{place}?verbose=true", subject, schema)
        except _Missing:
            return []
        verdict = _read(found, _Verdict, self.target)
        if verdict.is_compatible:
            return []
        said = [verdict.reason] if verdict.reason else verdict.messages
        return said or ["incompatible with the latest version"]

    async def _id(self, path: str, subject: str, schema: Schema) -> int:
        known = self._ids.get((subject, schema))
        if known is None:
            found = await self._ask("POST", path, subject, schema)
            known = _read(found, _Id, self.target).id
            _keep(self._ids, (subject, schema), known)
        return known

    # Requests

    async def _ask(
        self, method: str, path: str, subject: str, schema: Schema | None = None
    ) -> bytes:
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._ask_members(method, path, subject, schema)
            except (NotConnected, RetryLater) as exc:
                delay = self._policy.delay(attempt, exc)
                if delay is None:
                    raise
                logger.debug("%s: again in %.1f s: %s", self.target, delay, exc)
            await asyncio.sleep(delay)

    async def _ask_members(
        self, method: str, path: str, subject: str, schema: Schema | None
    ) -> bytes:
        headers, context = await self._access()
        body = None if schema is None else _body(schema)
        limit = aiohttp.ClientTimeout(total=self._timeout)
        error: Exception | None = None
        # One for each request, as there are hardly any, and nobody to close it.
        async with aiohttp.ClientSession(headers=headers, timeout=limit) as session:
            for url in self._urls:
                try:
                    async with session.request(
                        method, url + path, data=body, ssl=context
                    ) as answer:
                        data = await answer.read()
                        if answer.status < 300:
                            return data
                        error = self._error(answer.status, data, subject)
                except (aiohttp.ClientError, OSError) as exc:
                    error = NotConnected(url, str(exc) or type(exc).__name__)
                    error.__cause__ = exc
                if not isinstance(error, NotConnected | RetryLater):
                    raise error
        assert error is not None
        raise error

    async def _access(self) -> tuple[dict[str, str], ssl.SSLContext | bool]:
        found: Any = await reveal_in_thread(self._login)
        user, password, token = found
        headers = {"Accept": _MEDIA, "Content-Type": _MEDIA}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        elif user is not None:
            pair = base64.b64encode(f"{user}:{password or ''}".encode()).decode()
            headers["Authorization"] = f"Basic {pair}"
        is_tls = any(url.startswith("https:") for url in self._urls)
        return headers, await tls_context(**self._tls) if is_tls else True

    def _error(self, status: int, data: bytes, subject: str) -> Exception:
        """What an answer that is no success means."""
        said = _said(data) or f"status {status}"
        if status >= 500 or status in _BUSY:
            return RetryLater(f"{self.target}: {said}")
        if status in (401, 403):
            return SettingsError(f"{self.target} does not let us in: {said}")
        if status == 404:
            return _Missing(subject, said)
        return SchemaRefused(subject, said)


class _Missing(SchemaRefused):
    """The registry has no such subject, version or schema."""


def _body(schema: Schema) -> bytes:
    body: dict[str, Any] = {"schema": schema.schema}
    if schema.type != "AVRO":
        body["schemaType"] = schema.type
    if schema.references:
        body["references"] = schema.references
    return msgspec.json.encode(body)


def _said(data: bytes) -> str:
    try:
        problem = msgspec.json.decode(data, type=_Problem)
        if not problem.message:
            problem = msgspec.json.decode(data, type=_Wrapped).error
    except msgspec.DecodeError:
        return data[:200].decode("utf-8", "replace").strip()
    code = f" ({problem.error_code})" if problem.error_code else ""
    return f"{problem.message}{code}" if problem.message else ""


def _read(data: bytes, kind: Any, target: str) -> Any:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError as exc:
        raise SettingsError(f"{target} is no schema registry: {exc}") from exc


def _keep(known: dict[Any, Any], key: Any, value: Any) -> None:
    if len(known) >= _KEPT:
        known.clear()
    known[key] = value


def _quoted(subject: str) -> str:
    return quote(subject, safe="")


def _checked_urls(found: Any) -> list[str]:
    given = found.split(",") if isinstance(found, str) else found
    urls = [each.strip().rstrip("/") for each in given if isinstance(each, str)]
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingsError("not a URL", key="url", found=url, allowed=_ALLOWED)
        if "@" in parts.netloc:
            shown = f"{parts.scheme}://...@{parts.hostname}"
            raise SettingsError(
                "a login is no part of the URL; use user and password",
                key="url",
                found=shown,
            )
    if not urls:
        raise SettingsError("there are none", key="url", allowed=_ALLOWED)
    return urls
