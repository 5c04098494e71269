"""The OpenAPI document, with the schemas of the structs that go in and out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from pichannels import __version__
from pichannels.ui.api.described import TAGS, describe_paths, describe_schemas
from pichannels.ui.api.examples import BODIES, ERRORS
from pichannels.ui.api.routing import Declared
from pichannels.ui.guard import CSRF, FEED

__all__ = ["openapi_document"]

_REF: Final = "#/components/schemas/{name}"
_ERRORS: Final = {
    "400": "It is no valid request",
    "401": "It does not show whose it is",
    "403": "The role is not enough, or it comes from another origin",
    "404": "There is no such thing",
    "408": "The body does not come soon enough",
    "409": "It cannot be done as things are, or a count is needed",
    "413": "The body is too long",
    "422": "What it names cannot be processed",
    "429": "There is no budget for it just now; `Retry-After` says when",
    "500": "It failed; the log tells why",
    "503": "The instance does not answer, or its journal cannot be read",
}
_ABOUT: Final = (
    "Everything that the commands and the pages do. Programs show a token as"
    f" `Authorization: Bearer TOKEN`; a session shows `{CSRF}` beside its cookie."
    " `x-role` is the role that a route takes. What `.../events` sends also comes over"
    " the websocket `.../socket`, each event as a message."
)
_HEADERS: Final = {
    "401": {"WWW-Authenticate": "how to show whose it is: `Bearer`"},
    "429": {"Retry-After": "seconds until there may be budget again"},
}


class _Problem(msgspec.Struct):
    """What went wrong.

    Attributes:
        type: the kind of error, such as `UsageError`.
        message: what is wrong, for people.
        count: where a count is needed: this one.
    """

    type: str
    message: str
    count: int | msgspec.UnsetType = msgspec.UNSET


class Error(msgspec.Struct):
    """An error.

    Attributes:
        error: what went wrong.
    """

    error: _Problem


def openapi_document(app: FastAPI, declared: Iterable[Declared]) -> dict[str, Any]:
    """The document of an application and its declared routes."""
    found = get_openapi(
        title="pichannels", version=__version__, description=_ABOUT, routes=app.routes
    )
    routes = list(declared)
    types: list[Any] = [Error]
    for route in routes:
        types += [one for one in (route.answer, route.body, route.query) if one]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    schema_of = iter(schemas)
    error = _content(next(schema_of))
    describe_schemas(components, types)
    for name, example in BODIES.items():
        components[name]["examples"] = [example]
    for route in routes:
        method = route.method.lower()
        operation = found["paths"][route.path.replace(":path}", "}")][method]
        _describe(operation, route, schema_of, error)
    found["components"] = {
        "schemas": components,
        "securitySchemes": {
            "token": {"type": "http", "scheme": "bearer"},
            "session": {
                "type": "apiKey",
                "in": "cookie",
                "name": "pichannels_session",
                "description": "Behind the name are _ and the port of the address.",
            },
        },
    }
    for name in [route.query.__name__ for route in routes if route.query]:
        _fill(found, components.get(name, {}))
    describe_paths(found["paths"])
    found["tags"] = list(TAGS)
    return found


def _describe(
    operation: dict[str, Any], route: Declared, schema_of: Any, error: dict[str, Any]
) -> None:
    role = route.role
    operation["x-role"] = None if role is None else str(role)
    operation["security"] = [] if role is None else [{"token": []}, {"session": []}]
    responses: dict[str, Any] = {str(route.status): {"description": "Done"}}
    if route.answer:
        schema = next(schema_of)
        is_feed = route.path.endswith(FEED)
        responses[str(route.status)]["content"] = (
            _feed(schema) if is_feed else _content(schema)
        )
    for status, text in _ERRORS.items():
        known = {"application/json": {**error["application/json"]}}
        known["application/json"]["example"] = {"error": ERRORS[status]}
        responses[status] = {"description": text, "content": known}
        if status in _HEADERS:
            responses[status]["headers"] = {
                name: {"description": about, "schema": {"type": "string"}}
                for name, about in _HEADERS[status].items()
            }
    operation["responses"] = responses
    if route.body:
        operation["requestBody"] = {
            "required": True,
            "content": _content(next(schema_of)),
        }
    if route.query:
        operation["x-query"] = next(schema_of)


def _content(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _feed(schema: dict[str, Any]) -> dict[str, Any]:
    """Server-sent events, whose data is this."""
    data = {"contentMediaType": "application/json", "contentSchema": schema}
    return {"text/event-stream": {"schema": {"type": "string", **data}}}


def _fill(document: dict[str, Any], schema: dict[str, Any]) -> None:
    """Give the operations that are asked with this struct its fields as parameters."""
    reference = _REF.format(name=schema.get("title", ""))
    for path in document["paths"].values():
        for operation in path.values():
            if operation.get("x-query", {}).get("$ref") != reference:
                continue
            del operation["x-query"]
            required = schema.get("required", ())
            operation["parameters"] = operation.get("parameters", []) + [
                {
                    "name": name,
                    "in": "query",
                    "required": name in required,
                    "description": field.get("description", ""),
                    "schema": field,
                }
                for name, field in schema["properties"].items()
            ]
