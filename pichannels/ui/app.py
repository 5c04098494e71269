"""The application: the API, what stands before it, and pages that others add."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from fastapi import FastAPI, Request
from fastapi.middleware import Middleware
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from pichannels import __version__
from pichannels.ui.api import doing, jobs, live, log, looking, nodes, own
from pichannels.ui.api.document import openapi_document
from pichannels.ui.api.errors import answer_errors
from pichannels.ui.api.live import Feeds
from pichannels.ui.api.routing import Ask, Declared, Routes, reply
from pichannels.ui.console import Console
from pichannels.ui.guard import API, Guard
from pichannels.ui.proxy import BehindProxy
from pichannels.ui.roles import Role

__all__ = ["DECLARED", "Pages", "make_app"]

_PARTS: Final = (
    own.routes,
    looking.routes,
    looking.one,
    doing.routes,
    jobs.routes,
    live.routes,
    log.routes,
    nodes.routes,
)

DECLARED: Final[Sequence[Declared]] = [
    each for part in _PARTS for each in part.declared
]
"""All routes of the API, with the roles that they take."""


class Pages(NamedTuple):
    """Pages on top of the API.

    Attributes:
        add: called with the application, and what answers; adds the pages.
        open_paths: beginnings of paths that take no login.
        login: the page to log in.
    """

    add: Callable[[FastAPI, Console], None]
    open_paths: tuple[str, ...] = ("/login",)
    login: str = "/login"


def make_app(console: Console, pages: Pages | None = None) -> FastAPI:
    """The application; it opens and closes the console.

    Args:
        console: what answers. Pages find it as `app.state.console`, and who asks as
            `request.state.who`.
        pages: what else is served.
    """
    open_paths = pages.open_paths if pages else ()
    login = pages.login if pages else "/login"
    guard: Any = Middleware(Guard, console=console, open_paths=open_paths, login=login)
    before: Any = [Middleware(BehindProxy)] if console.config.behind_proxy else []

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await console.open()
        try:
            yield
        finally:
            await console.close()

    app = FastAPI(
        title="pichannels",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lifespan,
        middleware=[*before, guard],
    )
    app.state.console = console
    app.state.feeds = Feeds()
    answer_errors(app)
    for part in _PARTS:
        app.include_router(part.router)
    app.include_router(live.router)
    _add_document(app)
    # Before the pages, which answer all that is left with a page.
    _add_rest(app)
    if pages is not None:
        pages.add(app, console)
    return app


def _add_document(app: FastAPI) -> None:
    routes = Routes("console")
    # It takes a while, and few ask for it.
    document = cache(lambda: openapi_document(app, [*DECLARED, *routes.declared]))

    @routes.add("GET", "/openapi.json", role=Role.VIEW, answer=dict[str, Any])
    async def get_document(ask: Ask) -> Any:
        """This document."""
        return reply(await asyncio.to_thread(document))

    app.include_router(routes.router)

    async def is_live() -> Any:
        return reply({"live": True})

    app.add_api_route("/live", is_live, response_model=None, include_in_schema=False)


def _add_rest(app: FastAPI) -> None:
    """Tell in JSON that the API has no such route, or not with this method."""
    known = [(compile_path(each.path)[0], each.method) for each in DECLARED]

    async def get_nothing(request: Request) -> Any:
        path, method = request.url.path, request.method
        allowed = sorted({one for fits, one in known if fits.match(path)})
        where = f"{API}/openapi.json has all routes"
        if allowed:
            said = f"{path} takes {', '.join(allowed)}, not {method}; {where}"
            raise HTTPException(405, said, {"Allow": ", ".join(allowed)})
        raise HTTPException(404, f"there is no route {path}; {where}")

    app.add_api_route(
        f"{API}/{{rest:path}}",
        get_nothing,
        methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
        response_model=None,
        include_in_schema=False,
    )
