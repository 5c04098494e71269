"""One page that somebody looks at: who, where, its state, its parts and its actions."""

from __future__ import annotations

import asyncio
import inspect
import logging
import shlex
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, tzinfo
from typing import Any, Final
from urllib.parse import urlencode

from nicegui import ui

from pichannels.errors import PichannelsError
from pichannels.events import Event
from pichannels.ui.commands import CountNeeded
from pichannels.ui.console import Console
from pichannels.ui.guard import API
from pichannels.ui.links import Link
from pichannels.ui.operations import Operation
from pichannels.ui.pages import parts
from pichannels.ui.pages.command_lines import command_line
from pichannels.ui.pages.dialogs import Dialog, Toasts
from pichannels.ui.pages.formats import site_zone, time_text
from pichannels.ui.pages.fragment import Act, Fragment, Handler
from pichannels.ui.pages.markup import Child, Markup, tag
from pichannels.ui.pages.names import place_of
from pichannels.ui.pages.outcomes import outcome_text, outcome_tone
from pichannels.ui.pages.standing import Standing
from pichannels.ui.pages.watch import Watch, Watches
from pichannels.ui.roles import NotAllowed, NotLoggedIn, Principal, Role

__all__ = ["Page", "Region", "Render"]

logger: Final = logging.getLogger("pichannels.ui")

Render = Callable[[], Markup | Awaitable[Markup]]


class Region:
    """A part of a page that is written again when something has changed.

    Args:
        page: the page that it belongs to.
        render: writes it; may wait, and may raise any `PichannelsError`, which is then
            shown in its place.
    """

    def __init__(self, page: Page, render: Render) -> None:
        self._page = page
        self._render = render
        self._fragment = Fragment(page.handle)
        self._busy = asyncio.Lock()

    async def refresh(self) -> None:
        """Write it again."""
        async with self._busy:
            try:
                found = self._render()
                shown = await found if inspect.isawaitable(found) else found
            except NotLoggedIn:
                raise
            except PichannelsError as exc:
                shown = parts.error(str(exc))
            except Exception:
                # The other parts go on.
                logger.exception("a part of page %s", self._page.key)
                shown = parts.error("this part failed; the log of the pages tells why")
            self._fragment.show(shown)


class Page:
    """What a page is built with.

    Attributes:
        console: what answers: `data`, `commands`, `settings`, `tracer`, ...
        watch: the instance that is looked at: its status, rates and incidents.
        watches: of all instances.
        who: who looks.
        key: of this page.
        query: the state of the page, as its address has it.
        zone: the time zone in which times are shown.
        dialog: asks something, above the page.
        toasts: tells what came of something.
    """

    def __init__(
        self,
        console: Console,
        watches: Watches,
        who: Principal,
        key: str,
        query: Mapping[str, str],
        *,
        is_utc: bool = True,
    ) -> None:
        self.console = console
        self.watches = watches
        self.watch: Watch = watches.get(query.get("instance", ""))
        self.who = who
        self.key = key
        self.query = dict(query)
        self.is_utc = is_utc
        self.zone: tzinfo = UTC if is_utc else site_zone()
        self._client = ui.context.client
        self._handlers: dict[str, tuple[Role, Handler]] = {}
        self._live: list[Region] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._ends: list[Callable[[], None]] = []
        self.dialog = Dialog(self.handle)
        self.toasts = Toasts(self.handle)
        self._client.on_delete(self._close)

    # Who and where

    @property
    def instance(self) -> str:
        """The name of the instance."""
        return self.watch.link.name

    @property
    def link(self) -> Link:
        """The instance."""
        return self.watch.link

    def may(self, role: Role) -> bool:
        """Whether who looks may do what takes this role."""
        return self.who.role.may(role)

    async def current(self) -> Principal:
        """Who looks, if that still holds, with the role that it has now.

        Raises:
            NotLoggedIn: it has ended.
        """
        found = await self.console.again(self.who)
        if found is None:
            raise NotLoggedIn
        self.who = found
        return found

    # Addresses: every state of a page is in its own

    def href(self, key: str, **query: object) -> str:
        """The address of a page of this instance; what is None or "" is left out."""
        given: dict[str, object] = dict(query)
        if len(self.watches.names()) > 1:
            given = {"instance": self.instance, **given}
        wanted = {k: v for k, v in given.items() if v is not None and v != ""}
        path = place_of(key).path
        return f"{path}?{urlencode(wanted)}" if wanted else path

    def here(self, **changes: object) -> str:
        """The address of this page with another state; None leaves something out."""
        kept = {k: v for k, v in self.query.items() if k != "instance"}
        return self.href(self.key, **{**kept, **changes})

    def go(self, address: str) -> None:
        """Let the browser go there."""
        self._client.open(address)

    def command(self, *words: str) -> str:
        """What does the same on a command line, for `parts.copy_button`."""
        settings = self.link.settings
        where = ("--settings", str(settings)) if settings is not None else ()
        return command_line(("pichannels", *words, *where))

    def cli(self, *words: str) -> Markup:
        """A button that copies a command which does or shows the same."""
        return parts.copy_button(self.command(*words))

    def api(self, path: str, **query: object) -> Markup:
        """A button that copies what asks the API for the same, where no command does.

        Args:
            path: behind that of the API.
            query: what is None or "" is left out.
        """
        base = self._client.request.base_url
        scheme = "https" if self.console.is_secure else base.scheme
        given = {k: v for k, v in query.items() if v is not None and v != ""}
        more = f"?{urlencode(given)}" if given else ""
        address = shlex.quote(f"{scheme}://{base.netloc}{API}{path}{more}")
        header = "Authorization: Bearer $PICHANNELS_TOKEN"
        return parts.copy_button(f'curl -H "{header}" {address}', "Copy as curl")

    def time(self, time: int | str, *, is_long: bool = True) -> Markup:
        """A time in the zone that was chosen; the other one is its title."""
        zone = site_zone() if self.is_utc else UTC
        other = f"{time_text(time, zone)} {'site' if self.is_utc else 'UTC'}"
        return tag("time", time_text(time, self.zone, is_long=is_long), title=other)

    # Parts

    async def add(self, render: Render, *, live: bool = False) -> Region:
        """Add a part below the others; a live one is written again after each poll."""
        region = Region(self, render)
        await region.refresh()
        if live:
            self._live.append(region)
        return region

    def follow(self, name: str, told: Callable[[Event], None]) -> None:
        """Call `told` for each event whose name begins so, while somebody looks."""

        def heard(event: Event) -> None:
            if event.name.startswith(name):
                told(event)

        self._ends.append(self.link.events.subscribe(heard))

    def begin(self, work: Awaitable[None], name: str) -> None:
        """Do something beside the page; it ends with the page at the latest."""

        async def run() -> None:
            await self._guarded(work)

        task = asyncio.create_task(run(), name=f"{name} of page {self.key}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Actions

    def on(self, act: str, handler: Handler, role: Role = Role.VIEW) -> None:
        """Call `handler` for what has `data-act` of this name.

        Args:
            role: what it takes; from others it is refused, and written down.
        """
        self._handlers[act] = (role, handler)

    def action(
        self,
        label: str,
        act: str,
        data: Mapping[str, Any] | None = None,
        *,
        kind: str = "",
        mark: str = "",
        title: str | None = None,
    ) -> Child:
        """A button for an act, or nothing for who may not do it."""
        role, _ = self._handlers[act]
        if not self.may(role):
            return None
        return parts.button(label, act, data, kind=kind, mark=mark, title=title)

    async def handle(self, act: Act) -> None:
        """Somebody has clicked."""
        if act.name not in self._handlers:
            return
        role, handler = self._handlers[act.name]

        async def work() -> None:
            who = await self.current()
            if not who.role.may(role):
                given = {"page": self.key}
                note = self.console.commands.note
                await note(
                    who, act.name, given, instance=self.instance, result="refused"
                )
                raise NotAllowed(who.name, who.role, role)
            await handler(act)

        await self._guarded(work())

    async def run(
        self, action: str, arguments: Mapping[str, Any] | None = None, done: str = ""
    ) -> Any:
        """Do something to the instance at once, and tell that it is done.

        Raises:
            PichannelsError: as `Commands.run`; the page tells it where nobody catches.
        """
        who = await self.current()
        found = await self.console.commands.run(who, self.instance, action, arguments)
        self.console.data.forget()
        self.watch.ask_soon()
        self.toasts.tell(done or f"{action}: done", "good")
        return found

    async def bulk(
        self,
        action: str,
        arguments: Mapping[str, Any],
        title: str,
        text: str = "",
        *,
        aside: Child = None,
        verb: str = "Do it",
        danger: bool = False,
    ) -> Operation | None:
        """Do something to many: tells how many, and takes the typed number first.

        One alone is asked about, and nothing is typed. What comes meanwhile is not
        concerned.

        Returns when it has begun; the strip of operations shows how far it is, and
        what came of it is told at its end. None where it was not confirmed, or there
        is nothing to do.

        Args:
            aside: what the question shows besides.

        Raises:
            PichannelsError: as `Commands.begin`.
        """
        commands, who = self.console.commands, await self.current()
        standing = Standing(action, arguments)
        given = standing.arguments()
        count = await commands.preview(who, self.instance, action, given)
        while True:
            if count == 0:
                self.toasts.tell(f"{title}: there is nothing to do", "off")
                return None
            typed = count if count > 1 else None
            if not await self.dialog.confirm(
                title, text, aside, count=typed, verb=verb, danger=danger
            ):
                return None
            try:
                who = await self.current()
                given = standing.arguments()
                found = await commands.begin(who, self.instance, action, given, count)
            except CountNeeded as exc:
                count = exc.count
                continue
            self.tell_end(found, title)
            return found

    def tell_end(self, operation: Operation, title: str) -> None:
        """Tell that something has begun, and what came of it when it has ended."""
        operations = self.console.commands.operations

        async def tell() -> None:
            ended = (await operations.wait(operation.id)).seen(
                self.console.data.mask_for(await self.current())
            )
            told = ": ".join(
                filter(None, [f"{title}: {ended.state}", outcome_text(ended)])
            )
            self.toasts.tell(told, outcome_tone(ended))
            self.watch.ask_soon()

        self.toasts.tell(f"{title}: begun", "busy")
        self.watch.ask_soon()
        self.begin(tell(), f"the end of {operation.action}")

    # How

    def start(self) -> None:
        """Let live parts follow the polls of the instance."""
        wanted = asyncio.Event()
        self._ends.append(self.watch.subscribe(wanted.set))
        self.begin(self._follow(wanted), "refreshing")

    async def _follow(self, wanted: asyncio.Event) -> None:
        while True:
            await wanted.wait()
            wanted.clear()
            await self.current()
            self.toasts.fade()
            for region in self._live:
                await region.refresh()

    async def _guarded(self, work: Awaitable[None]) -> None:
        try:
            await work
        except NotLoggedIn:
            self.go(f"/login?{urlencode({'next': self.here()})}")
            # A browser that stays is told nothing more.
            self._close()
        except PichannelsError as exc:
            self.toasts.tell(str(exc), "bad")
        except Exception:
            logger.exception("page %s", self.key)
            self.toasts.tell("this failed; the log of the pages tells why", "bad")

    def _close(self) -> None:
        while self._ends:
            self._ends.pop()()
        for task in self._tasks:
            task.cancel()
