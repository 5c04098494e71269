"""The settings of the pages and the API."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Final

import msgspec

from pichannels.errors import SettingsError

__all__ = ["UIConfig", "missing_extra", "ui_rules"]

_NEEDED: Final = ("fastapi", "nicegui", "uvicorn")


def _says(text: str, **limits: Any) -> msgspec.Meta:
    return msgspec.Meta(description=text, **limits)


_Port = Annotated[int, _says("a port, 0 to 65535; 0 takes a free one", ge=0, le=65535)]


class UIConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The pages and the API, which run in a process of their own beside the instance.

    Attributes:
        host: where they are served; beyond this machine only with users, and with a
            certificate or behind a proxy.
        port: 0 takes a free one.
        folder: where users and the audit log are kept, relative to `settings.py`; `ui`
            in `DATA_DIR` when empty.
        cert, key: files of a certificate and its key, for TLS, relative to
            `settings.py`.
        behind_proxy: whether a proxy that speaks TLS stands before it, whose headers
            are to be believed.
        session_hours: after so long one has to log in again.
        requests: how many are answered at once; more get 429.
        searches: how many searches run at once.
        search_seconds: how long one may take; it then gives what it has found.
        search_share: the part of the time of one processor that searches may take.
        mask: names of fields, with `*` and `?`, whose values only administrators see.
        mask_text: regular expressions of what only administrators see of texts.
    """

    host: Annotated[str, _says("a host name or address", min_length=1)] = "127.0.0.1"
    port: _Port = 8600
    folder: Annotated[str, _says("a path")] = ""
    cert: Annotated[str, _says("a path")] = ""
    key: Annotated[str, _says("a path")] = ""
    behind_proxy: Annotated[bool, _says("True or False")] = False
    session_hours: Annotated[float, _says("hours above 0", gt=0)] = 12.0
    requests: Annotated[int, _says("a number of requests, 1 or more", ge=1)] = 64
    searches: Annotated[int, _says("a number of searches, 1 to 16", ge=1, le=16)] = 2
    search_seconds: Annotated[float, _says("seconds, 0.1 to 60", ge=0.1, le=60)] = 5.0
    search_share: Annotated[float, _says("a part, 0.01 to 1", ge=0.01, le=1)] = 0.5
    mask: Annotated[tuple[str, ...], _says("a list of names of fields")] = ()
    mask_text: Annotated[tuple[str, ...], _says("a list of regular expressions")] = ()


def missing_extra() -> str:
    """What to install for the pages and the API; "" where all is there."""
    if all(importlib.util.find_spec(name) for name in _NEEDED):
        return ""
    return "the pages and the API need the extra `ui`: pip install 'pichannels[ui]'"


def ui_rules(
    ui: UIConfig | None, file: str, is_loopback: Callable[[str], bool]
) -> Iterator[SettingsError]:
    """What no single key tells."""
    if ui is None:
        return
    if missing := missing_extra():
        yield SettingsError(missing, file=file, key="UI")
    if bool(ui.cert) != bool(ui.key):
        yield SettingsError(
            "a certificate needs its key, and a key its certificate",
            file=file,
            key="UI['key']" if ui.cert else "UI['cert']",
        )
    if not (is_loopback(ui.host) or ui.cert or ui.behind_proxy):
        yield SettingsError(
            "beyond this machine the pages need TLS",
            file=file,
            key="UI['cert']",
            allowed=f"a certificate, behind_proxy, or a loopback host, not {ui.host!r}",
        )
    for pattern in ui.mask_text:
        try:
            re.compile(pattern)
        except re.error as exc:
            yield SettingsError(
                f"this is no regular expression: {exc}",
                file=file,
                key="UI['mask_text']",
                found=pattern,
            )
