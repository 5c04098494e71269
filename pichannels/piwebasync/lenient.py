"""The slow and patient reader of stream documents that are not in the usual form.

It takes any JSON. A field that makes no sense is kept out and leaves an error
in its event, so that the other events of the message live.
"""

from __future__ import annotations

import json
from typing import Any

from pichannels.errors import DecodeError
from pichannels.piwebasync.timed_values import StreamEvents, TimedValue, error_text

__all__ = ["channel_streams", "one_stream", "read_json", "set_streams"]

_FLAGS = {"Good": "good", "Questionable": "questionable"} | {
    "Substituted": "substituted",
    "Annotated": "annotated",
}
_SPELLED = {"true": True, "1": True, "false": False, "0": False, "": None}


def read_json(raw: bytes, what: str) -> Any:
    """Any JSON document; also NaN and numbers beyond any range.

    Raises:
        DecodeError: the bytes are not JSON.
    """
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as exc:
        raise DecodeError(what, str(exc), raw) from exc


def channel_streams(raw: bytes) -> list[StreamEvents]:
    """The streams of a channel message; none for a heartbeat."""
    what = "a PI channel message"
    document = read_json(raw, what) if raw.strip() else None
    if not document or (isinstance(document, dict) and not document.keys() - {"Links"}):
        return []
    return _document_streams(document, what, raw)


def set_streams(raw: bytes) -> list[StreamEvents]:
    """The streams of an answer to a stream set request."""
    what = "a stream set"
    return _document_streams(read_json(raw, what), what, raw)


def one_stream(raw: bytes) -> StreamEvents:
    """The one stream of an answer that holds values only."""
    what = "the values of a stream"
    streams = _document_streams(read_json(raw, what), what, raw)
    if len(streams) > 1:
        raise DecodeError(what, f"it holds {len(streams)} streams", raw)
    return streams[0] if streams else StreamEvents(items=[])


def _document_streams(document: Any, what: str, raw: bytes) -> list[StreamEvents]:
    if isinstance(document, list):
        document = {"Items": document}
    if not isinstance(document, dict):
        raise DecodeError(what, f"it is {_kind(document)}", raw)
    if reason := error_text(document.get("WebException")) or _report(document):
        raise DecodeError(what, f"PI reports {reason!r}", raw)
    if "Timestamp" in document:
        return [StreamEvents(items=[_event(document)])]
    if "WebId" in document or "Path" in document:
        return [_stream(document)]
    if "Items" not in document:
        raise DecodeError(what, "it has no Items", raw)
    return _listed(document, what, raw)


def _listed(document: dict[Any, Any], what: str, raw: bytes) -> list[StreamEvents]:
    items = document["Items"] or []
    if not isinstance(items, list):
        raise DecodeError(what, f"its Items are {_kind(items)}", raw)
    if any(isinstance(item, dict) and "Timestamp" in item for item in items):
        return [_stream(document)]
    return [_stream(item) for item in items]


def _report(document: dict[Any, Any]) -> str:
    """The error report of a document that holds nothing else."""
    if document.keys() & {"Items", "Timestamp", "WebId", "Path"}:
        return ""
    return error_text(document)


def _stream(document: Any) -> StreamEvents:
    if not isinstance(document, dict):
        return StreamEvents(items=[_event(document)])
    single = document.get("Value")
    items = document.get("Items")
    if isinstance(items, list):
        events: list[TimedValue] | None = [_event(item) for item in items]
    elif isinstance(single, dict) and "Timestamp" in single:
        events = [_event(single)]
    elif items is not None or single is not None:
        events = [_event(items if single is None else single)]
    else:
        events = None
    return StreamEvents(
        web_id=_text(document.get("WebId")),
        name=_text(document.get("Name")),
        path=_text(document.get("Path")),
        items=events,
        units_abbreviation=_text(document.get("UnitsAbbreviation")),
        errors=document.get("Errors"),
        exception=document.get("Exception"),
    )


def _event(document: Any) -> TimedValue:
    if not isinstance(document, dict):
        return TimedValue(value=document, errors=_broken("it", document))
    event = TimedValue(
        value=document.get("Value"),
        units_abbreviation=_text(document.get("UnitsAbbreviation")),
        errors=document.get("Errors"),
    )
    for key, name in _FLAGS.items():
        flag = document.get(key)
        if isinstance(flag, str | int) and str(flag).lower() in _SPELLED:
            setattr(event, name, _SPELLED[str(flag).lower()])
        elif flag is not None:
            event.errors = _broken(key, flag)
    timestamp = document.get("Timestamp")
    if isinstance(timestamp, str):
        event.timestamp = timestamp
    elif timestamp is not None:
        event.errors = _broken("Timestamp", timestamp)
    return event


def _broken(what: str, found: Any) -> DecodeError:
    return DecodeError("an event", f"{what} is {_kind(found)}", repr(found)[:80])


def _text(found: Any) -> str:
    return found if isinstance(found, str) else ""


def _kind(found: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", type(None): "null"}
    return names.get(type(found), f"a {type(found).__name__}")
