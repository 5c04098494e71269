"""Where publish.PI writes to: the target of each sample, and its WebID."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

import msgspec

from nodes._options import function
from pichannels import clock
from pichannels.errors import DecodeError, MessageError, SettingsError, nearest
from pichannels.piwebasync import bodies
from pichannels.piwebasync.assets import fetch_attributes, is_attribute
from pichannels.piwebasync.controllers import Controller
from pichannels.piwebasync.exceptions import APIException
from pichannels.piwebasync.http import HTTPClient
from pichannels.piwebasync.resolve import resolve_paths
from pichannels.values import DigitalState, Sample

__all__ = ["Example", "NoTarget", "Place", "Target", "Targets", "place_of_sample"]

Place: TypeAlias = Callable[[Sample], str | None]
"""From a sample to the path that it is written to; None leaves it out."""

Example: TypeAlias = tuple[Sample, Mapping[str, Any]]
"""A sample that is to be written, and what is known of its tag."""

_FIELDS: Final = ("name", "path", "server", "key", "units")
_MOST_KEPT: Final = 200_000
_FAILURE_TTL: Final = 60.0
_PI_TYPES: Final = frozenset(
    "Int16 Int32 Float16 Float32 Float64 Digital String Timestamp".split()
)
_INT32: Final = 1 << 31
_EXISTS: Final = 409
_REFUSED: Final = frozenset({400, 403, 404, 501})


class NoTarget(MessageError):
    """There is nothing that this sample could be written to."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path} cannot be written: {reason}")


class Target(msgspec.Struct, frozen=True):
    """A point or attribute that is written to."""

    web_id: str
    holds_text: bool


def place_of_sample(tag: Any) -> Place:
    r"""What `tag` of publish.PI means.

    A template such as `\\SERVER\{name}.copy`, a mapping from names or paths of tags
    to paths, or a function of the sample.

    Raises:
        SettingsError: a template with an unknown field, an empty mapping, or
            something else.
        UsageError: no such function.
    """
    if isinstance(tag, str):
        return _from_template(tag)
    if isinstance(tag, Mapping) and tag:
        return _from_mapping(tag)
    if callable(tag):
        return function("publish.PI", tag, may_be_async=False)
    raise SettingsError(
        "publish.PI has to be told where samples go",
        key="tag",
        found=tag,
        allowed=r"a template such as \\SERVER\{name}.copy, a mapping with a path for"
        " each tag, or a function of the sample",
    )


def _from_template(template: str) -> Place:
    try:
        fields = [field for _, field, _, _ in string.Formatter().parse(template)]
    except ValueError as exc:
        raise SettingsError(str(exc), key="tag", found=template) from exc
    for field in fields:
        if field is not None and field not in _FIELDS:
            raise SettingsError(
                f"a sample has no such field{nearest(field, _FIELDS)}",
                key="tag",
                found=template,
                allowed=", ".join(f"{{{name}}}" for name in _FIELDS),
            )
    if not template.startswith(("\\\\", "{path}")):
        allowed = r"a path, such as \\SERVER\{name}.copy"
        raise SettingsError("no path", key="tag", found=template, allowed=allowed)

    def place(sample: Sample) -> str:
        tag = sample.tag
        return template.format(
            name=tag.name,
            path=tag.path,
            server=tag.server,
            key=tag.key,
            units=sample.units or tag.units,
        )

    return place


def _from_mapping(targets: Mapping[Any, Any]) -> Place:
    for name, path in targets.items():
        is_path = path is None or (isinstance(path, str) and path.startswith("\\\\"))
        if not isinstance(name, str) or not is_path:
            raise SettingsError(
                "no path", key="tag", found={name: path}, allowed=r"\\SERVER\TAG"
            )
    known = {name.upper(): path for name, path in targets.items()}

    def place(sample: Sample) -> str | None:
        tag = sample.tag
        for name in (tag.path.upper(), tag.name.upper()):
            if name in known:
                path: str | None = known[name]
                return path
        raise NoTarget(tag.path or tag.name, "no target is given for it")

    return place


class Targets:
    """The targets by their paths, resolved in bulk and kept for some time.

    Args:
        client, controller: ask the server.
        ttl: seconds for which a WebID is good.
        create: whether points that are not there are made.
    """

    def __init__(
        self, client: HTTPClient, controller: Controller, ttl: float, *, create: bool
    ) -> None:
        self._client = client
        self._controller = controller
        self._ttl = ttl
        self._create = create
        self._known: dict[str, tuple[Target | NoTarget, float]] = {}
        self._servers: dict[str, str] = {}
        self.created = 0

    def __len__(self) -> int:
        return len(self._known)

    async def find(
        self, paths: Iterable[str], samples: Mapping[str, Example]
    ) -> dict[str, Target | NoTarget]:
        """The target at each of these paths, or why there is none.

        `samples` are examples of what is written there, by which points are made.

        Raises:
            HTTPClientError: the server gave no answer, or refused the request.
            DecodeError: an answer was not understood.
        """
        wanted = list(dict.fromkeys(paths))
        if len(self._known) > _MOST_KEPT:
            self._known.clear()
        now = clock.monotonic()
        missing = [path for path in wanted if self._until(path) <= now]
        if missing:
            await self._learn(missing)
            if self._create:
                await self._make(missing, samples)
        return {path: self._known[path.upper()][0] for path in wanted}

    def forget(self, path: str) -> None:
        """Resolve this path again when it is needed next."""
        self._known.pop(path.upper(), None)

    def _until(self, path: str) -> float:
        return self._known.get(path.upper(), (None, 0.0))[1]

    def _keep(self, path: str, found: Target | NoTarget) -> None:
        ttl = self._ttl if isinstance(found, Target) else min(self._ttl, _FAILURE_TTL)
        self._known[path.upper()] = found, clock.monotonic() + ttl

    async def _learn(self, paths: Iterable[str]) -> None:
        points = [path for path in paths if not is_attribute(path)]
        attributes = [path for path in paths if is_attribute(path)]
        if points:
            found = await resolve_paths(self._client, self._controller, points)
            for path, point in found.points.items():
                self._keep(path, Target(point.web_id, point.point_type == "String"))
            self._note(found.failures)
        if attributes:
            answer = await fetch_attributes(self._client, self._controller, attributes)
            for path, one in answer.objects.items():
                self._keep(path, Target(one.web_id, one.type == "String"))
            self._note(answer.failures)

    def _note(self, failures: Mapping[str, str]) -> None:
        for path, reason in failures.items():
            self._keep(path, NoTarget(path, reason))

    # Making points

    async def _make(
        self,
        paths: Iterable[str],
        samples: Mapping[str, Example],
    ) -> None:
        """Make the points among these paths that are not there."""
        made: list[str] = []
        for path in paths:
            is_there = isinstance(self._known[path.upper()][0], Target)
            if is_there or is_attribute(path) or path not in samples:
                continue
            try:
                await self._make_point(path, *samples[path])
                made.append(path)
            except NoTarget as exc:
                self._keep(path, exc)
        if made:
            await self._learn(made)

    async def _make_point(
        self, path: str, sample: Sample, facts: Mapping[str, Any]
    ) -> None:
        server, _, name = path.removeprefix("\\\\").partition("\\")
        web_id = await self._server(server, path)
        body = _point(path, name, sample, facts)
        response = await self._client.post(
            self._controller.dataservers.create_point(web_id, body)
        )
        reason = "; ".join(response.error_messages) or str(response.status_code)
        refusal = NoTarget(path, f"PI does not make it: {reason}")
        if response.status_code == _EXISTS:
            # Somebody else may have made it meanwhile.
            await self._learn([path])
            if isinstance(self._known[path.upper()][0], Target):
                return
            raise refusal
        if response.status_code in _REFUSED:
            raise refusal
        response.raise_for_status()
        self.created += 1

    async def _server(self, name: str, path: str) -> str:
        """The WebID of a data server."""
        if name.upper() not in self._servers:
            request = self._controller.dataservers.get_by_name(name)
            response = await self._client.get(request)
            found = response.dict().get("WebId")
            if response.status_code == 404:
                raise NoTarget(path, f"there is no PI Data Archive {name!r}")
            response.raise_for_status()
            if not isinstance(found, str):
                raw = response.raw_response
                raise DecodeError("a data server", "it has no WebId", raw)
            self._servers[name.upper()] = found
        return self._servers[name.upper()]


def _point(
    path: str, name: str, sample: Sample, facts: Mapping[str, Any]
) -> bodies.Point:
    """The point that can hold such samples; facts of the tag come first."""
    units = sample.units or sample.tag.units or facts.get("units")
    fields: dict[str, Any] = {
        "name": name,
        "point_class": "classic",
        "point_type": _type_of(path, sample, facts),
        "engineering_units": units or None,
    }
    if fields["point_type"] == "Digital":
        fields["digital_set_name"] = facts.get("digital_set")
    for field in ("descriptor", "zero", "span"):
        fields[field] = facts.get(field)
    given = {field: value for field, value in fields.items() if value is not None}
    try:
        return bodies.Point(**given)
    except APIException as exc:
        raise NoTarget(path, str(exc)) from exc


def _type_of(path: str, sample: Sample, facts: Mapping[str, Any]) -> str:
    """The point type of the tag as PI knows it, or what holds this value."""
    if facts.get("type") in _PI_TYPES:
        return str(facts["type"])
    value = sample.value
    if isinstance(value, DigitalState):
        hint = "the digital set of a new point is not known; enrich.PI() before tells"
        if value.is_system:
            hint = "a system state does not tell the type of a new point"
        raise NoTarget(path, hint)
    if isinstance(value, str):
        return "String"
    if isinstance(value, int) and -_INT32 <= value < _INT32:
        return "Int32"
    return "Float64"
