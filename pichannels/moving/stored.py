"""The messages of a file store of pypeman, as entries of ours.

A message is a file `YYYY/MM/DD/<date>_<time>_<uuid>` of JSON, in which the payload is
a pickle; a file `.meta` beside it has state and facts. Times are those of the clock of
the machine, without a zone.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any, Final, NamedTuple

from pichannels.errors import CodecError, UsageError
from pichannels.exporting import line_of
from pichannels.message import Message
from pichannels.moving.pickles import PlainPickles
from pichannels.states import Entry, State
from pichannels.values import ticks_from_datetime

__all__ = ["Refusal", "Stored", "read_stored"]

# Versions before 0.5 had no seconds in their names.
_NAME: Final = re.compile(r"\d{8}_\d{4}(\d{8})?_[0-9a-zA-Z]*", re.ASCII)
_TIME: Final = "%Y-%m-%dT%H:%M:%S.%fZ"


class Refusal(NamedTuple):
    """A message that is left out, and why."""

    file: str
    reason: str


class Stored(NamedTuple):
    """A message that can be taken over, as the line of an exported file."""

    file: str
    line: str


def read_stored(folder: Path, zone: tzinfo | None = None) -> Iterator[Stored | Refusal]:
    """The messages of a channel, oldest first; it blocks.

    Args:
        folder: of the channel, in the path of pypeman's FileMessageStoreFactory.
        zone: of the machine that stored them; None for that of this one.

    Raises:
        OSError: the folder cannot be read.
        UsageError: it is no such folder.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}")
    files = sorted(
        (file for file in folder.glob("[0-9]*/[0-9]*/[0-9]*/*") if _is_message(file)),
        key=lambda file: file.name,
    )
    if not files:
        raise UsageError(
            f"{folder} holds no messages of pypeman; name the folder of one channel,"
            " with a folder for each year in it"
        )
    with PlainPickles() as pickles:
        for file in files:
            name = file.relative_to(folder).as_posix()
            try:
                yield Stored(name, line_of(_entry(file, zone, pickles)))
            except (CodecError, OSError) as exc:
                yield Refusal(name, str(exc))


def _is_message(file: Path) -> bool:
    return _NAME.fullmatch(file.name) is not None


def _entry(file: Path, zone: tzinfo | None, pickles: PlainPickles) -> Entry:
    msg = _message(_json(file), zone, pickles)
    state, facts = _meta(file.with_name(f"{file.name}.meta"))
    return {"id": file.name, "state": state, "message": msg, "meta": facts}


def _json(file: Path) -> dict[str, Any]:
    try:
        data = json.loads(file.read_text("utf-8"))
    except (ValueError, RecursionError) as exc:
        raise CodecError(f"it is no JSON: {exc or type(exc).__name__}") from exc
    if not isinstance(data, dict):
        raise CodecError("it is no stored message: no JSON object")
    return data


def _message(
    data: dict[str, Any], zone: tzinfo | None, pickles: PlainPickles
) -> Message:
    try:
        msg = Message(
            payload=_unpickled(data["payload"], pickles), meta=dict(data["meta"])
        )
        moment = datetime.strptime(data["timestamp"], _TIME)
        msg.uuid = str(data["uuid"])
        for key, part in (data.get("ctx") or {}).items():
            inner = _unpickled(part["payload"], pickles)
            msg.ctx[key] = {"meta": dict(part["meta"]), "payload": inner}
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise CodecError(f"it is no stored message: {exc!r}") from exc
    # The letter Z that pypeman writes is not meant.
    local = moment.astimezone() if zone is None else moment.replace(tzinfo=zone)
    msg.ticks = ticks_from_datetime(local.astimezone(UTC))
    return msg


def _unpickled(text: str, pickles: PlainPickles) -> Any:
    try:
        return pickles.read(base64.b64decode(text, validate=True))
    except binascii.Error as exc:
        raise CodecError(f"the payload is no base64: {exc}") from exc


def _meta(file: Path) -> tuple[str, dict[str, Any]]:
    """State and facts; of a message whose `.meta` is lost nothing is known."""
    try:
        text = file.read_text("utf-8").strip()
    except FileNotFoundError:
        return str(State.PENDING), {}
    except UnicodeDecodeError as exc:
        raise CodecError(f"{file.name} is no text: {exc}") from exc
    # Old versions wrote the bare state.
    facts = _json(file) if text.startswith("{") else {"state": text or State.PENDING}
    state = facts.pop("state", State.PENDING)
    if state not in list(State):
        raise CodecError(f"{file.name}: {state!r} is no state")
    return str(state), facts
