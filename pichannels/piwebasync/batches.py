"""PI batches: several requests in one, each of which may use answers of others.

A batch is a mapping of ids to parts. A part that takes something from the answer of
another one says where with a JSONPath (`$.point.Content.WebId`); PI runs it after
that one, and parts that do not depend on each other at the same time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final

import msgspec

from pichannels.piwebasync.exceptions import APIException, shown
from pichannels.piwebasync.requests import HTTP, APIRequest, Request

__all__ = ["batch", "count_parts", "each", "part"]

_ROOT: Final = re.compile(r"\$(?:\.([^.\[]+)|\[(['\"])(.+?)\2\])")
_PLACE: Final = re.compile(r"\{(\d+)\}")
_ENCODED_PLACE: Final = re.compile("%7B([0-9]+)%7D", re.IGNORECASE)


def part(
    request: Request | str,
    *,
    method: str = "GET",
    json: Any = None,
    headers: Mapping[str, str] | None = None,
    parents: Sequence[str] | None = None,
    parameters: Sequence[str] = (),
) -> dict[str, Any]:
    """One request of a batch.

    Args:
        request: of a controller; or a JSONPath that gives the URL, such as
            `$.create.Headers.Location`, with its `method`.
        json: the body, in place of the one that the request has.
        headers: of this request.
        parents: ids of the parts that have to succeed before; those that the
            JSONPaths name, unless given.
        parameters: JSONPaths; `{0}`, `{1}` in the request stand for what they find.

    Raises:
        APIException: this is no HTTP request, or `{n}` has no parameter.
    """
    verb, resource, body = _parts(request, method, json)
    sent = _sent(body)
    if parameters:
        resource = _ENCODED_PLACE.sub(r"{\1}", resource)
        _check_places(resource + sent, parameters)
    result: dict[str, Any] = {"Method": verb, "Resource": resource}
    if sent:
        result["Content"] = sent
    if headers:
        result["Headers"] = dict(headers)
    if parents is None:
        parents = _named([*parameters, resource])
    if parents:
        result["ParentIds"] = list(parents)
    if parameters:
        result["Parameters"] = list(parameters)
    return result


def each(
    request: Request,
    parameters: Sequence[str],
    *,
    json: Any = None,
    headers: Mapping[str, str] | None = None,
    parents: Sequence[str] | None = None,
) -> dict[str, Any]:
    """One request for each thing that the parameters find (a `RequestTemplate`).

    `each(pi.streams.get_value("{0}"), ["$.points.Content.Items[*].WebId"])` reads
    the value of all points that the part `points` has found. Arguments as of `part`.

    Raises:
        APIException: this is no HTTP request, or `{n}` has no parameter.
    """
    if not parameters:
        raise APIException("a template needs at least one parameter, a JSONPath")
    result = part(
        request, json=json, headers=headers, parents=parents, parameters=parameters
    )
    template = {"Resource": result.pop("Resource")}
    return {"Method": result.pop("Method"), "RequestTemplate": template, **result}


def batch(parts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The body of `batch.execute`, of parts by their ids.

    Raises:
        APIException: a part is none, waits for one that is not there or for
            itself, or uses an answer that it does not wait for.
    """
    if not parts:
        raise APIException("a batch needs at least one part")
    for name, one in parts.items():
        if "Method" not in one or not {"Resource", "RequestTemplate"} & set(one):
            raise APIException(f"{name!r} is no part of a batch; use part() or each()")
    waits = {name: _parents(name, one, parts) for name, one in parts.items()}
    try:
        order = list(TopologicalSorter(waits).static_order())
    except CycleError as exc:
        circle = " -> ".join(exc.args[1])
        raise APIException(f"parts of the batch wait in a circle: {circle}") from exc
    _check_uses(order, parts, waits)
    return {name: dict(one) for name, one in parts.items()}


def count_parts(request: Request, json: Any = None) -> int:
    """How many requests are in this one: those of a PI batch, otherwise none.

    A template counts as one, as nobody knows how many things it will find.

    Args:
        request: what is about to be sent.
        json: the body, in place of the one that the request has.
    """
    path = request.absolute_url.partition("?")[0]
    if request.method != "POST" or not path.endswith("/batch"):
        return 0
    if json is None and isinstance(request, APIRequest):
        json = request.json
    return len(json) if isinstance(json, Mapping) else 0


def _parts(request: Request | str, method: str, json: Any) -> tuple[str, str, Any]:
    if isinstance(request, str):
        return method, request, json
    url = request.absolute_url
    if request.protocol != HTTP:
        raise APIException(f"{shown(url)} cannot be in a batch: it opens a PI channel")
    if json is None and isinstance(request, APIRequest):
        json = request.json
    return request.method, url, json


def _sent(body: Any) -> str:
    return "" if body is None else msgspec.json.encode(body).decode()


def _check_places(text: str, parameters: Sequence[str]) -> None:
    missing = [int(n) for n in _PLACE.findall(text) if int(n) >= len(parameters)]
    if missing:
        raise APIException(f"{{{missing[0]}}} has no parameter; give it a JSONPath")


def _named(paths: Iterable[str]) -> list[str]:
    """The ids of the parts whose answers the JSONPaths read, each once."""
    found = (_ROOT.match(path) for path in paths)
    return list(dict.fromkeys(one[1] or one[3] for one in found if one))


def _parents(
    name: str, one: Mapping[str, Any], parts: Mapping[str, object]
) -> list[str]:
    parents = list(one.get("ParentIds", ()))
    for parent in parents:
        if parent not in parts:
            known = ", ".join(parts)
            raise APIException(
                f"{name!r} waits for {parent!r}, which is not in the batch ({known})"
            )
    return parents


def _check_uses(
    order: Iterable[str],
    parts: Mapping[str, Mapping[str, Any]],
    waits: Mapping[str, Sequence[str]],
) -> None:
    """Refuse parts that read the answer of one that may run later."""
    before: dict[str, set[str]] = {}
    for name in order:
        before[name] = set(waits[name]).union(*(before[up] for up in waits[name]))
        one = parts[name]
        for used in _named([*one.get("Parameters", ()), one.get("Resource", "")]):
            if used not in before[name]:
                raise APIException(
                    f"{name!r} uses the answer of {used!r} without waiting for it;"
                    f" name it in parents"
                )
