"""pypeman's nodes: the nodes of pichannels, by pypeman's names.

Options that a node does not have are ignored, and logged. What pypeman calls
`auto_retry_exceptions` is `pause_on` here: the channel pauses until the message has
gone through.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nodes import (
    context,
    decode,
    encode,
    files,
    flow,
    ftp,
    log,
    mapping,
    meta as meta_nodes,
    publish,
    python,
    split,
)
from pichannels import node
from pichannels.errors import CodecError, UsageError
from pichannels.message import Message
from pichannels.pypeman.exceptions import Dropped, Rejected
from pichannels.pypeman.lenient import Lenient, callable_or_value
from pichannels.pypeman.map_item import JoinMapItem, MapItem
from pichannels.pypeman.registry import current
from pichannels.pypeman.requests import HttpRequest

__all__ = [
    "B64Decode",
    "B64Encode",
    "BaseNode",
    "CSV2Python",
    "CSVstr2Python",
    "CombineCtx",
    "Decode",
    "Drop",
    "DropNode",
    "Dropped",
    "Email",
    "Empty",
    "EmptyMeta",
    "Encode",
    "FTPFileDeleter",
    "FTPFileReader",
    "FTPFileWriter",
    "FileCleaner",
    "FileMover",
    "FileReader",
    "FileWriter",
    "FuncNode",
    "HL7ToPython",
    "HttpRequest",
    "JoinMapItem",
    "JsonToPython",
    "Lenient",
    "Log",
    "Map",
    "MapItem",
    "MappingNode",
    "MessageStore",
    "MsgFuncNode",
    "NodeException",
    "Python2CSVstr",
    "PythonToHL7",
    "PythonToJson",
    "PythonToXML",
    "RaiseError",
    "Reject",
    "Rejected",
    "Save",
    "SaveFileBackend",
    "SaveNullBackend",
    "SetCtx",
    "Sleep",
    "ThreadNode",
    "ToOrderedDict",
    "UseMetaFromCtx",
    "XMLToPython",
    "YielderNode",
    "callable_or_value",
    "choose_first_not_none",
    "find_node",
    "get_context",
    "reset_pypeman_nodes",
]

NodeException = UsageError


class BaseNode(Lenient):
    """One step of a channel; inherit from it and implement `process`."""

    def process(self, msg: Message) -> Any:
        """The message as it is, unless a class says otherwise."""
        return msg


class ThreadNode(Lenient, node.ThreadNode):
    """A node whose `process` runs in a thread."""

    def process(self, msg: Message) -> Any:
        """The message as it is, unless a class says otherwise."""
        return msg


class RaiseError(Lenient, flow.RaiseError):
    """Fail."""


class Drop(Lenient, flow.Drop):
    """Ignore the message on purpose."""


class DropNode(Drop):
    """`Drop` by its old name."""


class Reject(Lenient, flow.Reject):
    """Refuse the message."""


class Empty(Lenient, flow.Empty):
    """A message with nothing in it."""


class SetCtx(Lenient, context.SetCtx):
    """Go on with payload and meta that were kept in the context."""


class CombineCtx(Lenient, context.CombineCtx):
    """One payload of several that were kept in the context."""


class UseMetaFromCtx(Lenient, context.UseMetaFromCtx):
    """Go on with meta that were kept in the context."""


class EmptyMeta(Lenient, meta_nodes.EmptyMeta):
    """Forget all meta."""


class Log(Lenient, log.Log):
    """Write the message to the log."""


class Sleep(Lenient, flow.Sleep):
    """Wait."""


class JsonToPython(Lenient, decode.JSON):
    """JSON to plain data."""


class PythonToJson(Lenient):
    """Plain data to JSON text, spaced as Python's `json` does."""

    def __init__(
        self,
        *args: Any,
        encoding: str = "utf-8",
        indent: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self.indent = indent

    def process(self, msg: Message) -> Message:
        try:
            msg.payload = json.dumps(msg.payload, indent=self.indent)
        except (TypeError, ValueError, RecursionError) as exc:
            raise CodecError(f"the payload cannot be JSON: {exc}") from exc
        msg.content_type = "application/json"
        return msg


class Encode(Lenient, encode.Text):
    """Text to bytes."""


class Decode(Lenient, decode.Text):
    """Bytes to text."""


class B64Encode(Lenient, encode.Base64):
    """Bytes to base64."""


class B64Decode(Lenient, decode.Base64):
    """Base64 to bytes."""


class SaveNullBackend:
    """Keeps nothing."""

    def store(self, message: Message) -> None:
        """Forget the message."""


class SaveFileBackend:
    """Writes messages to files with names by pattern; `Save` does so by itself.

    It waits where it is called: use it in a `ThreadNode`.

    Args:
        path: the folder.
        filename: as of `Save`, with `%(counter)s`, `%(year)s`, `%(muid)s`, ...
        channel: not used.
    """

    def __init__(self, path: str, filename: str, channel: Any = None) -> None:
        self.path = path
        self.filename = filename
        self.channel = channel
        self.counter = 0

    def store(self, message: Message) -> None:
        """Write the payload, which is text.

        Raises:
            OSError: it cannot be written.
        """
        known = get_context(message, counter=self.counter)
        known |= {"muid": message.uuid, "cuid": "???"}
        file = Path(self.path) / (self.filename % known)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(message.payload, encoding="utf-8")
        self.counter += 1


class Save(Lenient, files.Save):
    """Write the payload to a file with a name by pattern."""


class MessageStore(Save):
    """`Save` by its old name."""


class FileReader(Lenient, files.Read):
    """The content of a file as the payload."""


class FileWriter(Lenient, files.Write):
    """Write the payload to a file."""


class FileMover(Lenient, files.Move):
    """Move the file that the message came from."""


class FileCleaner(Lenient, files.Clean):
    """Delete the file that the message came from."""


class Map(Lenient, mapping.Map):
    """A mapping of fields to other names."""


class MappingNode(Map):
    """`Map` by its old name."""


class ToOrderedDict(Lenient, mapping.ToOrderedDict):
    """Fields in a given order."""


class Email(Lenient, publish.Email):
    """Send a mail for each message; what is not given is taken from its meta."""

    def __init__(
        self,
        *args: Any,
        host: str | None = None,
        start_tls: bool = False,
        subject: str | None = None,
        sender: str | None = None,
        recipients: str | Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            host or "localhost",
            start_tls=start_tls or None,
            subject=subject or (lambda msg: msg.meta.get("subject", "No subject")),
            sender=sender or (lambda msg: msg.meta.get("sender", "pypeman@localhost")),
            recipients=recipients or (lambda msg: msg.meta.get("recipients", ())),
            **options,
        )


class YielderNode(Lenient, split.Items):
    """A message for each item of the payload."""


class FuncNode(Lenient, python.Function):
    """The payload that a function makes of the payload; it may be None."""

    def __init__(
        self, fn: Callable[..., Any], *, name: str = "", **options: Any
    ) -> None:
        super().__init__(fn, name=name or _name_by(type(self), fn), **options)

    def _with_result(self, msg: Message, result: Any) -> Message:
        msg.payload = result
        return msg


class MsgFuncNode(Lenient, python.MessageFunction):
    """The message that a function has changed; what it returns is ignored."""

    def __init__(
        self, fn: Callable[..., Any], *, name: str = "", **options: Any
    ) -> None:
        super().__init__(fn, name=name or _name_by(type(self), fn), **options)

    def _checked(self, msg: Message, result: Any) -> Message:
        return msg


def _name_by(kind: type, fn: Callable[..., Any]) -> str | None:
    """The name of a node by its function, with a number where it is taken."""
    function = getattr(fn, "__name__", "<lambda>")
    if function == "<lambda>":
        return None
    name, known = f"{kind.__name__}_{function}", current().nodes
    is_taken = any(each.name == name for each in known)
    return f"{name}_{len(known)}" if is_taken else name


class XMLToPython(Lenient, decode.XML):
    """XML to plain data."""


class PythonToXML(Lenient, encode.XML):
    """Plain data to XML."""


class HL7ToPython(Lenient, decode.HL7):
    """HL7 text to a parsed message."""


class PythonToHL7(Lenient, encode.HL7):
    """A parsed message to HL7 text."""


class CSV2Python(Lenient, decode.CSVFile):
    """Rows of a CSV file; dicts of them where the first one has headers."""

    def __init__(
        self, *args: Any, to_dict: bool = False, headers: bool = False, **options: Any
    ) -> None:
        options = {"quoting": "none", **options}
        super().__init__(*args, to_dict=to_dict and headers, headers=headers, **options)


class CSVstr2Python(Lenient, decode.CSV):
    """Rows of CSV text; dicts of them where the first one has headers."""

    def __init__(
        self, *args: Any, to_dict: bool = False, headers: bool = False, **options: Any
    ) -> None:
        options = {"quoting": "none", **options}
        super().__init__(*args, to_dict=to_dict and headers, headers=headers, **options)


class Python2CSVstr(Lenient, encode.CSV):
    """CSV text of rows."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"quoting": "none", **options})


class FTPFileReader(Lenient, ftp.Read):
    """The content of a file on an FTP server."""


class FTPFileWriter(Lenient, ftp.Write):
    """Write the payload to an FTP server."""


class FTPFileDeleter(Lenient, ftp.Delete):
    """Delete a file on an FTP server."""


def find_node(name: str = "", match: str | None = None) -> node.BaseNode | None:
    """The first node whose name is like a pattern such as `read_*`; None without."""
    found = (n for n in current().nodes if fnmatch.fnmatch(n.name, match or name))
    return next(found, None)


def reset_pypeman_nodes() -> None:
    """Know no nodes any more."""
    current().nodes.clear()


def choose_first_not_none(*values: Any) -> Any:
    """The first of them that is not None; None without."""
    return next((value for value in values if value is not None), None)


def get_context(
    msg: Message, date: datetime | None = None, counter: int | None = None
) -> dict[str, Any]:
    """What patterns of file names may have: times, the uuid and a counter."""
    now, sent = date or datetime.now(UTC), msg.timestamp
    found = {"counter": counter, "msg_uid": msg.uuid}
    for name in ("year", "month", "day", "hour", "second"):
        found[name] = getattr(now, name)
        found[f"msg_{name}"] = getattr(sent, name)
    return found


def __getattr__(name: str) -> Any:
    """`all_nodes` and `node_by_name`, which are those of the present project."""
    if name == "all_nodes":
        return current().nodes
    if name == "node_by_name":
        return {each.name: each for each in current().nodes}
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
