"""Where the log of a running instance goes."""

from __future__ import annotations

import logging
import logging.config
import logging.handlers
import queue
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from pichannels.errors import SettingsError

__all__ = [
    "change_logging",
    "check_logging",
    "configure_logging",
    "log_beside_tables",
]

_FORMAT: Final = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
_SHORT: Final = "%(asctime)s %(levelname)-7s %(message)s"
_WAITING_AT_MOST: Final = 10_000


def configure_logging(setting: str | dict[str, Any]) -> None:
    """Log to the error output from this level on, or as a dictionary says.

    Raises:
        SettingsError: the dictionary is no configuration.
    """
    if isinstance(setting, str):
        logging.basicConfig(level=setting.upper(), format=_FORMAT)
        return
    try:
        logging.config.dictConfig(setting)
    except (ValueError, TypeError, AttributeError, ImportError) as exc:
        cause = exc.__cause__ or exc
        raise SettingsError(f"{exc}: {cause}", key="LOGGING") from exc


def check_logging(setting: str | dict[str, Any], file: str) -> None:
    """Look whether all classes that a dictionary names are there.

    Raises:
        SettingsError: one is not.
    """
    if isinstance(setting, str):
        return
    resolve = logging.config.DictConfigurator(setting).resolve
    for key, name in _classes(setting):
        try:
            resolve(name)
        except (ValueError, ImportError, AttributeError) as exc:
            cause = exc.__cause__ or exc
            raise SettingsError(
                f"cannot be imported: {cause}", file=file, key=key, found=name
            ) from exc


def _classes(setting: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The names of classes, each with where it stands."""
    for part in ("formatters", "filters", "handlers"):
        for name, each in dict(setting.get(part) or {}).items():
            for key in ("()", "class"):
                found = each.get(key) if isinstance(each, dict) else None
                if isinstance(found, str):
                    yield f"LOGGING[{part!r}][{name!r}][{key!r}]", found


def change_logging(setting: str | dict[str, Any]) -> None:
    """Log from this level on, or as a dictionary says, from now on.

    Raises:
        SettingsError: the dictionary is no configuration.
    """
    if isinstance(setting, str):
        logging.getLogger().setLevel(setting.upper())
    else:
        configure_logging(setting)


@contextmanager
def log_beside_tables(setting: str | dict[str, Any]) -> Iterator[None]:
    """`configure_logging` for a terminal: short lines, which nobody waits for.

    Raises:
        SettingsError: the dictionary is no configuration.
    """
    if not isinstance(setting, str):
        configure_logging(setting)
        yield
        return
    shown = logging.StreamHandler()
    shown.setFormatter(logging.Formatter(_SHORT, "%H:%M:%S"))
    waiting: queue.Queue[Any] = queue.Queue(_WAITING_AT_MOST)
    handler, listener = _Handler(waiting), _Listener(waiting, shown)
    root = logging.getLogger()
    root.setLevel(setting.upper())
    root.addHandler(handler)
    listener.start()
    try:
        yield
    finally:
        root.removeHandler(handler)
        listener.stop()


class _Handler(logging.handlers.QueueHandler):
    """Leaves out what a terminal that stands still has no room for."""

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            return


class _Listener(logging.handlers.QueueListener):
    """Ends also where the queue is full."""

    def __init__(self, waiting: queue.Queue[Any], handler: logging.Handler) -> None:
        super().__init__(waiting, handler)
        self._waiting = waiting

    def enqueue_sentinel(self) -> None:
        while True:
            try:
                self._waiting.put_nowait(None)
            except queue.Full:
                with suppress(queue.Empty):
                    self._waiting.get_nowait()
            else:
                return
