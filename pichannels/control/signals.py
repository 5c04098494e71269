"""The operating system's way to say stop or reload: SIGTERM, Ctrl-C, SIGHUP."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

__all__ = ["ABORTED", "stop_signals"]

ABORTED: Final = 1
"""The exit code of an instance that was not allowed to drain."""

_PATIENCE: Final = 3.0
_STOP: Final = ("SIGTERM", "SIGINT", "SIGBREAK")
_RELOAD: Final = ("SIGHUP",)


@contextmanager
def stop_signals(
    stop: Callable[[], None],
    abort: Callable[[], None],
    reload: Callable[[], None] | None = None,
) -> Iterator[None]:
    """Inside the block the first signal calls `stop`, a second one `abort`.

    SIGHUP, where the system has it, calls `reload`; but when the terminal that the
    process was started in is gone, it counts as one of the others.

    All are called in the running event loop. Where that is blocked, or something
    keeps the process from ending, it ends 3 s after the second signal all the same.
    Outside the main thread nothing is caught, as the system does not allow it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    caught = 0

    def catch(number: int, frame: FrameType | None) -> None:
        nonlocal caught
        caught += 1
        loop.call_soon_threadsafe(stop if caught == 1 else abort)
        if caught == 2:
            last = threading.Timer(_PATIENCE, os._exit, (ABORTED,))
            last.daemon = True
            last.start()

    def hang_up(number: int, frame: FrameType | None) -> None:
        if reload is None or (has_terminal and not _has_terminal()):
            catch(number, frame)
        else:
            loop.call_soon_threadsafe(reload)

    has_terminal = _has_terminal()
    # signal.signal and not the loop's own handlers: those do nothing while the
    # loop is blocked, and Windows does not have them.
    before = {number: signal.signal(number, catch) for number in _numbers(_STOP)}
    for number in _numbers(_RELOAD):
        before[number] = signal.signal(number, hang_up)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _has_terminal() -> bool:
    try:
        return os.isatty(0)
    except OSError:
        return False


def _numbers(names: Iterable[str]) -> list[signal.Signals]:
    return [signal.Signals[name] for name in names if hasattr(signal, name)]
