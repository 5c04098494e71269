"""pypeman's node that asks web servers."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any, Final

from nodes import request
from pichannels.errors import MessageError, SettingsError
from pichannels.message import Message
from pichannels.pypeman.lenient import Lenient, callable_or_value

__all__ = ["HttpRequest"]

_UNPREFIXED: Final = re.compile(r"%\((?!meta\.|payload\.)([^()]*)\)s")
_LATER: Final = "http://localhost/"


class HttpRequest(Lenient, request.HTTP):
    """Ask a web server; an answer of any status becomes the payload.

    What is not given (`url`, `method`, `headers`, `cookies`, `params`) is taken from
    the meta of the message. In the URL `%(name)s` is a value of its meta, and
    `%(payload.name)s` one of its payload. `meta["status_code"]` and `meta["url"]` tell
    of the answer; with `add_meta` also `meta["headers"]` and `meta["cookies"]`.

    Raises:
        MessageError: there is no URL, or it is none.
        NotConnected: the server was not reached.
    """

    def __init__(
        self,
        *args: Any,
        url: str | None = None,
        method: str | None = None,
        headers: Mapping[str, Any] | None = None,
        cookies: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        add_meta: bool = False,
        old_url_parsing: bool = True,
        **options: Any,
    ) -> None:
        url = _prefixed(url) if url is not None else None
        super().__init__(
            *args,
            url=url or _LATER,
            method=method or "GET",
            redirects=10,
            any_status=True,
            add_meta=True,
            **options,
        )
        self.tells_all = add_meta
        self.given: dict[str, Any] = {
            "url": url,
            "method": method,
            "headers": headers,
            "cookies": cookies,
            "params": params,
        }

    async def process(self, msg: Message) -> Message:
        self.requests += 1
        try:
            await request.HTTP.process(await self._opened_for(msg), msg)
        except Exception:
            self.errors += 1
            raise
        response = msg.meta.pop("response")
        msg.meta["status_code"] = response["status"]
        msg.meta["url"] = response["url"]
        if self.tells_all:
            msg.meta["headers"] = dict(response["headers"])
            msg.meta["cookies"] = response["cookies"]
        return msg

    async def _opened_for(self, msg: Message) -> request.HTTP:
        """This node with what the message asks for, and the same connections."""
        if self._session is None:
            self._session = await self._opened()
        one = copy.copy(self)
        found = {
            name: msg.meta.get(name) if value is None else value
            for name, value in self.given.items()
        }
        headers = {k: callable_or_value(v, msg) for k, v in _items(found["headers"])}
        try:
            one.ask_for(
                url=_prefixed(found["url"]) if found["url"] else "",
                method=found["method"] or "GET",
                headers=headers,
                cookies=dict(_items(found["cookies"])),
                params=dict(_items(found["params"])),
            )
        except SettingsError as exc:
            raise MessageError(f"{self.fullpath()}: {exc}") from exc
        return one


def _prefixed(url: str) -> str:
    return _UNPREFIXED.sub(r"%(meta.\1)s", url)


def _items(found: Any) -> Any:
    return found.items() if isinstance(found, Mapping) else ()
