"""Faults on demand: what goes wrong, for how long, and for whom."""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import msgspec

from pichannels import clock
from pichannels.errors import UsageError, nearest

__all__ = ["Faults", "HttpFault", "MessageFaults", "TagFault"]

FAULT_NAMES: Final = (
    "drop",
    "stall",
    "resume",
    "half_message",
    "duplicate",
    "disorder",
    "fragment",
    "oversize",
    "status",
    "slow",
    "truncate",
    "web_exception",
    "tag",
    "mute",
    "refuse",
    "expire",
    "withdraw",
    "clear",
)
"""What `inject` takes; each is a method of `Faults`."""

_TAG_SENTENCES: Final = {
    403: "Access to '{path}' is denied.",
    404: "PI Point not found '{path}'.",
    409: "The object '{path}' does not support this operation.",
}
_VALUE_SENTENCES: Final = {
    403: "[-10401] No Write Access - Secure Object",
    409: "The value could not be written.",
}

_MessageFault = Literal["half", "duplicate", "disorder", "fragment", "oversize"]


class HttpFault(msgspec.Struct):
    """Something that happens to HTTP requests whose path contains `path`.

    With a `method` such as POST only to those. Channel handshakes are requests too.
    The first `after` of them pass; then it happens `count` times (None: always), at
    most until `until` (monotonic s).
    """

    kind: Literal["status", "slow", "truncate", "web_exception"]
    status: int = 0
    seconds: float = 0.0
    retry_after: float | None = None
    abort: bool = False
    path: str = ""
    method: str = ""
    after: int = 0
    count: int | None = 1
    until: float | None = None

    @property
    def spent(self) -> bool:
        """Whether it can happen no more."""
        late = self.until is not None and clock.monotonic() > self.until
        return late or self.count == 0

    def strikes(self, path: str, method: str) -> bool:
        """Whether this request is hit; counts it."""
        if self.spent or self.path.lower() not in path.lower():
            return False
        if self.method not in ("", method):
            return False
        if self.after:
            self.after -= 1
            return False
        if self.count is not None:
            self.count -= 1
        return True


class TagFault(msgspec.Struct, frozen=True):
    """A tag that the server refuses; on a channel it is silent."""

    status: int
    sentence: str


class ValueFault(msgspec.Struct):
    """Written values that the server refuses: of one tag, or of any.

    The first `after` of them are taken; then `count` are refused (None: all).
    """

    refusal: TagFault
    path: str = ""
    after: int = 0
    count: int | None = None

    def strikes(self, path: str) -> bool:
        """Whether a value of this tag is refused; counts it."""
        if self.count == 0 or self.path not in ("", path.upper()):
            return False
        if self.after:
            self.after -= 1
            return False
        if self.count is not None:
            self.count -= 1
        return True


class MessageFaults(msgspec.Struct):
    """What happens to the next so many messages on any channel."""

    half: int = 0
    duplicate: int = 0
    disorder: int = 0
    fragment: int = 0
    fragment_size: int = 1024
    oversize: int = 0
    oversize_bytes: int = 5 * 1024 * 1024


class Faults:
    """The faults that a simulator has now.

    Each method sets one; `inject` does the same by name, as the admin route and
    the command line do. `clear` ends them all. `counts` tells how often each has
    happened.
    """

    def __init__(self) -> None:
        self.http: list[HttpFault] = []
        self.tags: dict[str, TagFault] = {}
        self.muted: set[str] = set()
        self.values: list[ValueFault] = []
        self.messages = MessageFaults()
        self.counts: Counter[str] = Counter()
        self.flowing = asyncio.Event()
        self.flowing.set()
        self._timer: asyncio.TimerHandle | None = None
        self._on_drop: Callable[[str, int], None] | None = None
        self._on_expire: Callable[[str | None], None] | None = None
        self._on_withdraw: Callable[[], None] | None = None
        self._paths: Callable[[str], str] = str

    def attach(
        self,
        on_drop: Callable[[str, int], None],
        paths: Callable[[str], str],
        on_expire: Callable[[str | None], None],
        on_withdraw: Callable[[], None],
    ) -> None:
        """Have `drop`, `expire` and `withdraw` done by the server, and paths found."""
        self._on_drop = on_drop
        self._on_expire = on_expire
        self._on_withdraw = on_withdraw
        self._paths = paths

    def drop(
        self, how: Literal["close", "fin", "reset"] = "close", code: int = 1001
    ) -> None:
        """End all open channels: with a close frame, by FIN, or by RST."""
        if how not in ("close", "fin", "reset"):
            raise UsageError(f"a channel is dropped by close, fin or reset, not {how}")
        self.counts["drop"] += 1
        if self._on_drop is not None:
            self._on_drop(how, code)

    def stall(self, seconds: float | None = None) -> None:
        """Send nothing on any channel for `seconds`, or until `resume`."""
        self.flowing.clear()
        self.counts["stall"] += 1
        self._forget_timer()
        if seconds is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(seconds, self.resume)

    def resume(self) -> None:
        """End a stall."""
        self._forget_timer()
        self.flowing.set()

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def half_message(self, count: int = 1) -> None:
        """Cut the next message of `count` channels in half and drop them."""
        self.messages.half = count

    def duplicate(self, count: int = 1) -> None:
        """Send each of the next `count` messages twice."""
        self.messages.duplicate = count

    def disorder(self, count: int = 1) -> None:
        """Turn the order of events round in the next `count` messages."""
        self.messages.disorder = count

    def fragment(self, size: int = 1024, count: int = 1) -> None:
        """Send the next `count` messages in frames of `size` bytes."""
        self.messages.fragment = count
        self.messages.fragment_size = max(size, 1)

    def oversize(self, size: int = 5 * 1024 * 1024, count: int = 1) -> None:
        """Make the next `count` messages at least `size` bytes long.

        They carry an unknown key beside `Links` and `Items`.
        """
        self.messages.oversize = count
        self.messages.oversize_bytes = size

    def status(
        self,
        code: int,
        count: int | None = 1,
        *,
        seconds: float | None = None,
        path: str = "",
        method: str = "",
        after: int = 0,
        retry_after: float | None = None,
    ) -> None:
        """Answer `code` to the next `count` requests, or all for `seconds`.

        With `seconds` and no count given the number does not matter. Only paths
        that contain `path` are meant, and requests of this `method`; the first
        `after` of them pass.
        """
        fault = HttpFault("status", status=code, retry_after=retry_after)
        self._add(fault, count, seconds, (path, method, after))

    def slow(
        self,
        delay: float,
        count: int | None = None,
        *,
        seconds: float | None = None,
        path: str = "",
        method: str = "",
        after: int = 0,
    ) -> None:
        """Answer after `delay` seconds."""
        fault = HttpFault("slow", seconds=delay)
        self._add(fault, count, seconds, (path, method, after))

    def truncate(
        self,
        count: int | None = 1,
        *,
        abort: bool = False,
        seconds: float | None = None,
        path: str = "",
        method: str = "",
        after: int = 0,
    ) -> None:
        """Send half of the JSON body; with `abort` the connection ends there.

        Without `abort` the answer is complete as HTTP, and not as JSON.
        """
        fault = HttpFault("truncate", abort=abort)
        self._add(fault, count, seconds, (path, method, after))

    def web_exception(
        self,
        count: int | None = 1,
        *,
        code: int = 502,
        seconds: float | None = None,
        path: str = "",
        method: str = "",
        after: int = 0,
    ) -> None:
        """Answer 200 with a `WebException` in the body."""
        fault = HttpFault("web_exception", status=code)
        self._add(fault, count, seconds, (path, method, after))

    def _add(
        self,
        fault: HttpFault,
        count: int | None,
        seconds: float | None,
        which: tuple[str, str, int],
    ) -> None:
        fault.count = count
        fault.path, fault.method, fault.after = which
        if seconds is not None:
            fault.until = clock.monotonic() + seconds
            fault.count = None if count == 1 else count
        self.http = [old for old in self.http if not old.spent]
        self.http.append(fault)

    def tag(self, name: str, status: int | None = 404) -> None:
        """Refuse a tag with 403, 404 or 409; None ends it."""
        path = self._paths(name)
        if status is None:
            self.tags.pop(path.upper(), None)
            return
        sentence = _TAG_SENTENCES.get(status, "The object '{path}' failed.")
        self.tags[path.upper()] = TagFault(status, sentence.format(path=path))

    def mute(self, name: str, on: bool = True) -> None:
        """Let events of a tag reach the archive and no channel; `on=False` ends it."""
        path = self._paths(name).upper()
        if on:
            self.muted.add(path)
        else:
            self.muted.discard(path)

    def is_muted(self, path: str) -> bool:
        """Whether events of the tag with this path come on no channel; counts it."""
        is_muted = path.upper() in self.muted if self.muted else False
        if is_muted:
            self.counts["mute"] += 1
        return is_muted

    def refuse(
        self,
        name: str | None = None,
        status: int | None = 403,
        count: int | None = None,
        *,
        after: int = 0,
    ) -> None:
        """Refuse written values with this status: of a tag, or of any.

        The first `after` of them are taken, then `count` refused, all by default.
        None in place of the status ends it.
        """
        path = self._paths(name).upper() if name else ""
        self.values = [old for old in self.values if old.path != path]
        if status is not None:
            sentence = _VALUE_SENTENCES.get(status, "An error has occurred.")
            fault = ValueFault(TagFault(status, sentence), path, after, count)
            self.values.append(fault)

    def of_value(self, path: str) -> TagFault | None:
        """Why a value of the tag with this path is refused; counts it."""
        for fault in self.values:
            if fault.strikes(path):
                self.counts["refuse"] += 1
                return fault.refusal
        return None

    def expire(self, name: str | None = None) -> None:
        """Forget the signups for stream updates: all, or those of a tag."""
        self.counts["expire"] += 1
        if self._on_expire is not None:
            self._on_expire(self._paths(name) if name else None)

    def withdraw(self) -> None:
        """Let no token be good any more, and each connection log in anew."""
        self.counts["withdraw"] += 1
        if self._on_withdraw is not None:
            self._on_withdraw()

    def of_tag(self, path: str) -> TagFault | None:
        """The fault of the tag with this path."""
        return self.tags.get(path.upper()) if self.tags else None

    def strikes(self, path: str, method: str = "GET") -> list[HttpFault]:
        """What happens to this request: delays, and the oldest other fault."""
        found: list[HttpFault] = []
        for fault in self.http:
            taken = fault.kind != "slow" and any(f.kind != "slow" for f in found)
            if not taken and fault.strikes(path, method):
                self.counts[fault.kind] += 1
                found.append(fault)
        return found

    def take(self, name: _MessageFault) -> bool:
        """Whether the next message has this fault; counts it."""
        left: int = getattr(self.messages, name)
        if left <= 0:
            return False
        setattr(self.messages, name, left - 1)
        self.counts[name] += 1
        return True

    def clear(self) -> None:
        """End all faults."""
        self.http.clear()
        self.tags.clear()
        self.muted.clear()
        self.values.clear()
        self.messages = MessageFaults()
        self.resume()

    def inject(self, fault: str, **options: Any) -> None:
        """Set the fault with this name.

        Raises:
            UsageError: the name or an option is unknown.
        """
        name = fault.replace("-", "_")
        if name not in FAULT_NAMES:
            raise UsageError(f"there is no fault {fault!r}{nearest(name, FAULT_NAMES)}")
        method = getattr(self, name)
        try:
            bound = inspect.signature(method).bind(**options)
        except TypeError as exc:
            raise UsageError(f"fault {fault!r}: {exc}") from exc
        method(*bound.args, **bound.kwargs)

    def active(self) -> dict[str, Any]:
        """The faults that are set, as plain data."""
        return {
            "http": [msgspec.to_builtins(f) for f in self.http if not f.spent],
            "tags": {path: fault.status for path, fault in self.tags.items()},
            "muted": sorted(self.muted),
            "values": msgspec.to_builtins(self.values),
            "messages": msgspec.to_builtins(self.messages),
            "stalled": not self.flowing.is_set(),
            "counts": dict(self.counts),
        }


def parse_fault(text: str) -> tuple[str, dict[str, Any]]:
    """`name:option=value,option=value` of the command line.

    Raises:
        UsageError: an option has no value.
    """
    name, _, rest = text.partition(":")
    pairs: Sequence[str] = [part for part in rest.split(",") if part]
    options: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"fault {text!r}: {pair!r} has no value")
        options[key.strip()] = _plain(value.strip())
    return name.strip(), options


def _plain(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
