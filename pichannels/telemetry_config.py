"""The settings of what an instance tells about itself: logs and traces."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal

import msgspec

from pichannels.errors import SettingsError, nearest
from pichannels.secrets import Secret

__all__ = ["LEVELS", "LoggingConfig", "TracingConfig", "logging_of", "logging_rules"]

LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_FORMATS: Final = ("text", "json")
_PARTS_OF_OTHERS: Final = frozenset(
    {"disable_existing_loggers", "filters", "formatters", "handlers", "incremental"}
    | {"loggers", "root", "version"}
)
_KEYS: Final = ("level", "format", "levels")


def _says(text: str, **limits: Any) -> msgspec.Meta:
    return msgspec.Meta(description=text, **limits)


class LoggingConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What is logged, and how.

    Attributes:
        level: from which level on, where nothing else is said.
        format: `text` for people, or `json`, one object on each line.
        levels: by the name of a logger, from which level on it is heard.
    """

    level: str = "INFO"
    format: Literal["text", "json"] = "text"
    levels: dict[str, str] = {}


class TracingConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Where the traces of messages go; needs the extra `otel`.

    Attributes:
        endpoint: what takes them by OTLP over HTTP; `/v1/traces` is added where the
            URL has no path.
        sample: the part of the traces that is recorded; of those that began
            elsewhere, those that are recorded there.
        service: what traces call this project; its name when empty.
        token: sent as a bearer token; a secret (`Secret.env(...)`).
    """

    endpoint: Annotated[
        str, _says("http://host:port or https://...", pattern="^https?://.")
    ] = "http://127.0.0.1:4318"
    sample: Annotated[float, _says("a part, 0 to 1", ge=0, le=1)] = 1.0
    service: Annotated[str, _says("a name")] = ""
    token: Annotated[str, _says("a token, or a Secret")] | Secret = ""


def logging_of(setting: str | Mapping[str, Any]) -> LoggingConfig | None:
    """What the setting `LOGGING` says; None where it is one for `dictConfig`."""
    if isinstance(setting, str):
        return LoggingConfig(level=setting.upper())
    if _PARTS_OF_OTHERS & set(setting):
        return None
    given = dict(setting)
    levels = {str(name): level.upper() for name, level in _levels(given).items()}
    level = str(given.get("level", "INFO")).upper()
    return LoggingConfig(level=level, format=given.get("format", "text"), levels=levels)


def _levels(setting: Mapping[str, Any]) -> Mapping[str, str]:
    found = setting.get("levels", {})
    return found if isinstance(found, Mapping) else {}


def logging_rules(setting: Any, file: str) -> Iterator[SettingsError]:
    """What is wrong with the setting `LOGGING`."""
    if isinstance(setting, str):
        yield from _level_rules("LOGGING", setting, file)
    elif isinstance(setting, Mapping) and _PARTS_OF_OTHERS & set(setting):
        if setting.get("version") != 1:
            yield SettingsError(
                "a dictConfig dictionary says which version it is",
                file=file,
                key="LOGGING['version']",
                found=setting.get("version"),
                allowed="1",
            )
    elif isinstance(setting, Mapping):
        yield from _own_rules(setting, file)


def _own_rules(setting: Mapping[str, Any], file: str) -> Iterator[SettingsError]:
    for key in setting:
        if key not in _KEYS:
            yield SettingsError(
                f"there is no such setting{nearest(str(key), _KEYS)}",
                file=file,
                key=f"LOGGING[{key!r}]",
                allowed=f"{', '.join(_KEYS)}, or a dictConfig dictionary",
            )
    if (form := setting.get("format", "text")) not in _FORMATS:
        yield SettingsError(
            "there is no such format",
            file=file,
            key="LOGGING['format']",
            found=form,
            allowed=", ".join(_FORMATS),
        )
    if "level" in setting:
        yield from _level_rules("LOGGING['level']", setting["level"], file)
    levels = setting.get("levels", {})
    if not isinstance(levels, Mapping):
        yield SettingsError(
            "this is no dictionary",
            file=file,
            key="LOGGING['levels']",
            allowed="{'pichannels.channels': 'DEBUG'}",
        )
        return
    for name, level in levels.items():
        yield from _level_rules(f"LOGGING['levels'][{name!r}]", level, file)


def _level_rules(key: str, level: Any, file: str) -> Iterator[SettingsError]:
    known = isinstance(level, str) and level.upper() in logging.getLevelNamesMapping()
    if not known:
        hint = nearest(level.upper(), LEVELS) if isinstance(level, str) else ""
        yield SettingsError(
            f"there is no such log level{hint}",
            file=file,
            key=key,
            found=level,
            allowed=", ".join(LEVELS),
        )
