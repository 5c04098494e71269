"""Regular expressions of those who search, matched for a bounded time.

One that is written badly, or on purpose, takes years for a short text, and nothing else
in a process goes on meanwhile. So it is matched in a process of its own, which is
ended; only what cannot take long is matched here.
"""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any, Final

from pichannels import clock
from pichannels.errors import PichannelsError, UsageError

__all__ = ["BoundedPattern"]

_PROGRAM: Final = Path(__file__).with_name("matching_process.py")
_LOOKS: Final = 8
"""How often the watch looks within the time that a text may take."""
_QUICK: Final = re.compile(r"(?:[^*+?{}()|\\]|\\[^0-9])*")
"""What goes over each text once for each letter of its own, at most."""


class BoundedPattern:
    """A regular expression; methods may be called in any thread, and block.

    The process, where it takes one, ends with this object.

    Args:
        text: the expression.
        seconds: that one text may take.

    Raises:
        re.error: it is none.
    """

    def __init__(self, text: str, seconds: float = 1.0) -> None:
        self._here = re.compile(text)
        self._is_quick = _QUICK.fullmatch(text) is not None
        self._seconds = seconds
        self._working = threading.Lock()
        self._matcher: _Matcher | None = None

    def is_in(self, text: str) -> bool:
        """Whether it is found in a text.

        Raises:
            UsageError: it takes too long.
            PichannelsError: the process cannot be started.
        """
        if self._is_quick:
            return self._here.search(text) is not None
        with self._working:
            if self._matcher is None:
                self._matcher = _Matcher(self._here.pattern, self._seconds)
                weakref.finalize(self, self._matcher.close)
            return self._matcher.is_in(text)


class _Matcher:
    """The process, and what ends it where it works for too long."""

    def __init__(self, pattern: str, seconds: float) -> None:
        self._seconds = seconds
        self._since: float | None = None
        self._ended = threading.Event()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_PROGRAM)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                **_apart(),
            )
        except OSError as exc:
            raise PichannelsError(f"nothing can be matched: {exc}") from exc
        watch = threading.Thread(target=self._watch, name="matching", daemon=True)
        watch.start()
        # How long it takes to start says nothing of the expression.
        self._ask(pattern)

    def is_in(self, text: str) -> bool:
        self._since = clock.monotonic()
        answer = self._ask(text)
        self._since = None
        if not answer:
            raise UsageError(
                "the regular expression takes too long"
                f" (more than {self._seconds:g} s for one message); write another one"
            )
        return answer == b"1"

    def _ask(self, text: str) -> bytes:
        given, told = self._process.stdin, self._process.stdout
        assert given is not None and told is not None
        data = text.encode("utf-8", "surrogatepass")
        try:
            given.write(len(data).to_bytes(8, "big") + data)
            given.flush()
            answer: bytes = told.read(1)
        except OSError:
            return b""
        return answer

    def _watch(self) -> None:
        while not self._ended.wait(self._seconds / _LOOKS):
            since = self._since
            if since is not None and clock.monotonic() - since > self._seconds:
                self._process.kill()
                return

    def close(self) -> None:
        self._ended.set()
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except OSError:
                # What was not written yet is for nobody any more.
                continue
        self._process.wait()


def _apart() -> dict[str, Any]:
    # Signals of the terminal are not for it.
    if sys.platform == "win32":
        group = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        return {"creationflags": group}
    return {"process_group": 0}
