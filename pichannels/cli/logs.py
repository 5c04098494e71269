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
from pichannels.loglines import LogRing
from pichannels.logs import ContextFilter, JSONFormatter, TextFormatter
from pichannels.telemetry_config import LoggingConfig, logging_of

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
    own = logging_of(setting)
    if own is not None:
        handler = _Output()
        handler.follow(own)
        logging.basicConfig(level=own.level, handlers=[handler])
        return
    assert not isinstance(setting, str)
    root = logging.getLogger()
    rings = [each for each in root.handlers if isinstance(each, LogRing)]
    try:
        logging.config.dictConfig(setting)
    except (ValueError, TypeError, AttributeError, ImportError) as exc:
        cause = exc.__cause__ or exc
        raise SettingsError(f"{exc}: {cause}", key="LOGGING") from exc
    finally:
        # What a dictionary says takes the place of all handlers that there were.
        for ring in rings:
            root.addHandler(ring)


def check_logging(setting: str | dict[str, Any], file: str) -> None:
    """Look whether all classes that a dictionary names are there.

    Raises:
        SettingsError: one is not.
    """
    if isinstance(setting, str) or logging_of(setting) is not None:
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
    own, root = logging_of(setting), logging.getLogger()
    if own is None:
        configure_logging(setting)
        return
    root.setLevel(own.level)
    for handler in root.handlers:
        if isinstance(handler, _Output | _Handler):
            handler.follow(own)


@contextmanager
def log_beside_tables(setting: str | dict[str, Any]) -> Iterator[None]:
    """`configure_logging` for a terminal: short lines, which nobody waits for.

    Raises:
        SettingsError: the dictionary is no configuration.
    """
    own = logging_of(setting)
    if own is None:
        configure_logging(setting)
        yield
        return
    shown = logging.StreamHandler()
    shown.setFormatter(TextFormatter(_SHORT, "%H:%M:%S"))
    waiting: queue.Queue[Any] = queue.Queue(_WAITING_AT_MOST)
    handler, listener = _Handler(waiting), _Listener(waiting, shown)
    root = logging.getLogger()
    root.setLevel(own.level)
    handler.follow(own)
    root.addHandler(handler)
    listener.start()
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.follow(LoggingConfig())
        listener.stop()


class _Levels:
    """Sets the levels of single loggers, and takes back those that are set no more."""

    def __init__(self) -> None:
        self._set: set[str] = set()

    def follow(self, config: LoggingConfig) -> None:
        for name in self._set - set(config.levels):
            logging.getLogger(name).setLevel(logging.NOTSET)
        for name, level in config.levels.items():
            logging.getLogger(name).setLevel(level)
        self._set = set(config.levels)


class _Output(logging.StreamHandler[Any]):
    """The error output, for people or for programs."""

    def __init__(self) -> None:
        super().__init__()
        self._levels = _Levels()
        self.addFilter(ContextFilter())

    def follow(self, config: LoggingConfig) -> None:
        """Log so from now on."""
        is_json = config.format == "json"
        self.setFormatter(JSONFormatter() if is_json else TextFormatter(_FORMAT))
        self._levels.follow(config)


class _Handler(logging.handlers.QueueHandler):
    """Leaves out what a terminal that stands still has no room for."""

    def __init__(self, waiting: queue.Queue[Any]) -> None:
        super().__init__(waiting)
        self._levels = _Levels()

    def follow(self, config: LoggingConfig) -> None:
        """Log so from now on; a terminal has lines for people alone."""
        self._levels.follow(config)

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
