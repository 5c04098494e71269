"""Single keys from the terminal: the one module that knows how systems differ there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from typing import Final

if sys.platform == "win32":
    import msvcrt
else:
    import termios
    import tty

__all__ = ["END", "keys_of", "pressed_keys"]

END: Final = "\x04"
"""What stands for a terminal that is gone."""
_KEY: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z~]|\x1bO.|[\x00\xe0].|.", re.S)
_Put = Callable[[str], None]
_WAITING: Final = 100
_EVERY: Final = 0.05


def keys_of(text: str) -> list[str]:
    """The keys in what a terminal gives at once."""
    return _KEY.findall(text)


@contextlib.contextmanager
def pressed_keys() -> Iterator[asyncio.Queue[str]]:
    """The keys that are pressed from now on; none where the input is no terminal.

    They are not shown, and Ctrl-C is what it always is.
    """
    keys: asyncio.Queue[str] = asyncio.Queue(_WAITING)

    def put(text: str) -> None:
        for key in keys_of(text):
            if not keys.full():
                keys.put_nowait(key)

    with _reading(put) if sys.stdin.isatty() else contextlib.nullcontext():
        yield keys


if sys.platform == "win32":

    @contextlib.contextmanager
    def _reading(put: _Put) -> Iterator[None]:
        polling = asyncio.create_task(_poll(put), name="keys")
        try:
            yield
        finally:
            polling.cancel()

    async def _poll(put: _Put) -> None:
        while True:
            while msvcrt.kbhit():
                key = msvcrt.getwch()
                put(key + msvcrt.getwch() if key in "\x00\xe0" else key)
            await asyncio.sleep(_EVERY)

else:

    @contextlib.contextmanager
    def _reading(put: _Put) -> Iterator[None]:
        fd = sys.stdin.fileno()
        before = termios.tcgetattr(fd)
        tty.setcbreak(fd, termios.TCSADRAIN)
        loop = asyncio.get_running_loop()

        def read() -> None:
            data = os.read(fd, 1024)
            if not data:
                loop.remove_reader(fd)
            put(data.decode(errors="replace") or END)

        loop.add_reader(fd, read)
        try:
            yield
        finally:
            loop.remove_reader(fd)
            termios.tcsetattr(fd, termios.TCSADRAIN, before)
