"""Reading lists to their end: points, elements, event frames, whatever has pages."""

from __future__ import annotations

import copy
from collections.abc import AsyncGenerator
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from pichannels.errors import DecodeError
from pichannels.limiter import Priority
from pichannels.piwebasync.http import HTTPClient
from pichannels.piwebasync.requests import APIRequest
from pichannels.piwebasync.responses import HTTPResponse

__all__ = ["following", "items"]

_PAGE: Final = 1000


async def items(
    client: HTTPClient,
    request: APIRequest,
    *,
    page: int = _PAGE,
    priority: Priority | None = None,
) -> AsyncGenerator[dict[str, Any], None]:
    """The objects of a list, page after page, as PI describes them.

    ::

        async for point in items(client, pi.dataservers.get_points(server_id)):
            print(point["Path"])

    Args:
        client: sends the requests.
        request: for the list; it begins where this begins, at the first by default.
        page: objects of one page, where the request says no other `max_count`.
        priority: what the limiter of the client takes the requests for.

    Raises:
        HTTPClientError: a request got no answer.
        HTTPStatusError: a request was refused.
        DecodeError: an answer is no page of a list.
    """
    count = request.params.get("maxCount") or str(page)
    asked: APIRequest | None = _with(request, maxCount=count)
    while asked is not None:
        response = await client.get(asked, priority=priority)
        response.raise_for_status()
        found = _objects(response)
        for one in found:
            yield one
        asked = following(asked, response)


def following(request: APIRequest, response: HTTPResponse) -> APIRequest | None:
    """The request for the page after this answer; None where it was the last.

    PI's link to it tells the index only, as it may name a host that we cannot reach.
    Lists without links (points) go on until a page is not full.

    Raises:
        DecodeError: the answer is no page, or it is followed by an earlier one.
    """
    received = len(_objects(response))
    start = _number(request, "startIndex", 0)
    links = response.dict().get("Links")
    if isinstance(links, dict) and links:
        after = _index(links.get("Next"))
        if after is not None and after <= start:
            raise DecodeError("a page", f"it is followed by {after}, not a later")
    else:
        is_full = received and received >= _number(request, "maxCount", _PAGE)
        after = start + received if is_full else None
    return None if after is None else _with(request, startIndex=str(after))


def _objects(response: HTTPResponse) -> list[dict[str, Any]]:
    found = response.dict().get("Items", [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise DecodeError("a page of objects", "it has no Items", response.raw_response)
    return found


def _index(link: object) -> int | None:
    """Where the page of a link begins; None where there is no link."""
    if not isinstance(link, str):
        return None
    for name, values in parse_qs(urlsplit(link).query).items():
        if name.lower() == "startindex" and values[-1].isdecimal():
            return int(values[-1])
    return None


def _number(request: APIRequest, name: str, default: int) -> int:
    text = request.params.get(name)
    return int(text) if isinstance(text, str) and text.isdecimal() else default


def _with(request: APIRequest, **params: str | list[str]) -> APIRequest:
    """The request with other parameters, under PI's names."""
    changed = copy.copy(request)
    changed.params = {**request.params, **params}
    return changed
