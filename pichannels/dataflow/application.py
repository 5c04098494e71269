"""Applications: what is bound by `handle`, and the run of all of it."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Coroutine, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, TypeVar

from pichannels.dataflow.handlers import Handler, OnError
from pichannels.dataflow.running import Run, terminable
from pichannels.dataflow.sources import Pipe, Source
from pichannels.errors import UsageError, nearest
from pichannels.retry import RetryPolicy

__all__ = [
    "Application",
    "Conf",
    "current",
    "exit_hook",
    "fresh",
    "handle",
    "pause",
    "resume",
    "stop",
    "stream",
]

logger: Final = logging.getLogger("pichannels.dataflow")

HOOK_TIMEOUT: Final = 10.0
"""Seconds that an exit hook may take."""

Hook = TypeVar("Hook", bound=Callable[[], Any])


class Conf(dict[str, Any]):
    """The settings of the current application, for its topics.

    Each call adds to them, and gives all of them. They are attributes, too:
    `Conf({"group.id": "a"}).group_id`. A topic takes them over when it is made.
    """

    def __new__(cls, conf: Mapping[str, Any] | None = None) -> Conf:
        return current().conf

    def __init__(self, conf: Mapping[str, Any] | None = None) -> None:
        self.update(conf or {})

    @classmethod
    def of(cls, conf: Mapping[str, Any]) -> Conf:
        """Settings of an application of one's own."""
        made = super().__new__(cls)
        made.update(conf)
        return made

    def __getattr__(self, name: str) -> Any:
        for key, value in self.items():
            if _as_name(key) == name:
                return value
        raise AttributeError(f"nothing is set as {name!r}{nearest(name, self)}")


def _as_name(key: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in key)


class Application:
    """Sources, handlers and sinks that run together.

    The functions of this module work on the one that is current.

    Args:
        conf: defaults for the topics of the application.
        drain_timeout: seconds that values under way get when the application stops.
    """

    def __init__(
        self, conf: Mapping[str, Any] | None = None, *, drain_timeout: float = 10.0
    ) -> None:
        self.conf = Conf.of(conf or {})
        self.drain_timeout = drain_timeout
        self._sources: dict[int, Source] = {}
        self._hooks: list[Callable[[], Any]] = []
        self._run: Run | None = None

    def reset(self) -> None:
        """Forget all that is bound and set.

        Raises:
            UsageError: it runs.
        """
        self._refuse_running()
        self.conf.clear()
        self._sources.clear()
        self._hooks.clear()

    def handle(
        self,
        *sources: Any,
        pipe: Sequence[Pipe] = (),
        sink: Sequence[Any] = (),
        retry: RetryPolicy | None = None,
        on_error: OnError = "stop",
    ) -> Callable[[Callable[..., Any]], Handler]:
        """Bind sources and sinks to a function.

        Args:
            sources: async iterables, functions that make them, channels, message
                stores, caches, proxies. Several functions may handle one source.
            pipe: what the values go through before, each an async iterable of an async
                iterable.
            sink: what gets that which is returned or yielded, one after the other: a
                cache or a topic (`key, value`), a channel, any function.
            retry: how often the function is called again for a value that it fails for.
            on_error: what follows: `stop` ends the stream, `skip` logs it, `fail` lets
                a message fail in the channel that it comes from, a function or a proxy
                gets the `Failure`.

        Raises:
            UsageError: something is no source or no sink, or `pipe` or `sink` no list.
        """
        self._refuse_running()
        bound = [self.source(each) for each in sources]
        if not bound:
            raise UsageError("handle is given one source at least")
        pipes, sinks = _listed("pipe", pipe), _listed("sink", sink)

        def bind(function: Callable[..., Any]) -> Handler:
            handler = Handler(function, sinks, retry, on_error)
            for source in bound:
                source.bind(handler, pipes)
            return handler

        return bind

    def source(self, origin: Any) -> Source:
        """What is known of a source.

        Raises:
            UsageError: it is none.
        """
        if id(origin) not in self._sources:
            self._sources[id(origin)] = Source(origin)
        return self._sources[id(origin)]

    @property
    def is_bound(self) -> bool:
        """Whether there are handlers, and so something to stream."""
        return any(source.handlers for source in self._sources.values())

    def pause(self, source: Any, by: Hashable = None) -> None:
        """Give no more values of a source, before or while it is streamed.

        Args:
            by: who pauses it. It goes on when each who has paused it resumes it.
        """
        self.source(source).pause(by)

    def resume(self, source: Any, by: Hashable = None) -> None:
        """Let a source go on, as far as it is up to this one."""
        self.source(source).resume(by)

    def exit_hook(self, hook: Hook) -> Hook:
        """Call a function, sync or async, when the stream has ended, however it did.

        The last one that was added is called first. One that fails, or takes longer
        than 10 s, is logged, and the others are called.
        """
        self._hooks.append(hook)
        return hook

    async def stream(self, **kwargs: Any) -> None:
        """Run all sources until they have ended.

        Caches and proxies end with the last other source, when what was published is
        worked off. SIGTERM stops all, finishes what is under way within
        `drain_timeout`, calls the exit hooks and exits; a second one stops at once.

        Args:
            kwargs: for handlers that take them by name, or by `**kwargs`.

        Raises:
            UsageError: no handler takes one of them, or it runs already.
            Exception: what a handler has raised whose `on_error` is `stop`.
        """
        self._refuse_running()
        sources = [source for source in self._sources.values() if source.handlers]
        _check_keywords(sources, kwargs)
        run = self._run = Run(sources, self.drain_timeout)
        try:
            with terminable(run):
                await run.until_ended(kwargs)
        finally:
            self._run = None
            await self._call_hooks()
        if run.was_terminated:
            raise SystemExit(0)

    def stop(self) -> None:
        """Let the stream end; values under way are finished, no others taken."""
        if self._run is not None:
            self._run.stop()

    async def _call_hooks(self) -> None:
        for hook in reversed(self._hooks):
            try:
                async with asyncio.timeout(HOOK_TIMEOUT):
                    done = hook()
                    if inspect.isawaitable(done):
                        await done
            except Exception:
                logger.exception("the exit hook %r has failed", hook)

    def _refuse_running(self) -> None:
        if self._run is not None:
            raise UsageError("the application is running")


def _check_keywords(sources: list[Source], kwargs: Mapping[str, Any]) -> None:
    handlers = [handler for source in sources for handler in source.handlers]
    for keyword in kwargs:
        if not any(handler.takes(keyword) for handler in handlers):
            known = {name for handler in handlers for name in handler.keywords}
            raise UsageError(f"no handler takes {keyword!r}{nearest(keyword, known)}")


# The default is there in every context, so that what one part binds the others see.
_default: Final = Application()
_current: Final[ContextVar[Application]] = ContextVar(
    "pichannels_dataflow", default=_default
)


def current() -> Application:
    """The application that `handle`, `stream` and the others work on."""
    return _current.get()


@contextmanager
def fresh() -> Iterator[Application]:
    """Inside the block an application of its own is the current one."""
    application = Application()
    token = _current.set(application)
    try:
        yield application
    finally:
        _current.reset(token)


def _listed(name: str, found: Any) -> tuple[Any, ...]:
    """What is given as a list; a cache alone would be taken for its keys."""
    if not isinstance(found, list | tuple):
        raise UsageError(f"{name} is a list, such as {name}=[{_named(found)}]")
    return tuple(found)


def _named(found: Any) -> str:
    return getattr(found, "__name__", type(found).__name__.lower())


def handle(
    *sources: Any,
    pipe: Sequence[Pipe] = (),
    sink: Sequence[Any] = (),
    retry: RetryPolicy | None = None,
    on_error: OnError = "stop",
) -> Callable[[Callable[..., Any]], Handler]:
    """Bind sources and sinks to a function; see `Application.handle`."""
    return current().handle(
        *sources, pipe=pipe, sink=sink, retry=retry, on_error=on_error
    )


def stream(**kwargs: Any) -> Coroutine[Any, Any, None]:
    """Run all that is bound; see `Application.stream`."""
    return current().stream(**kwargs)


def stop() -> None:
    """Let the stream end; see `Application.stop`."""
    current().stop()


def pause(source: Any, by: Hashable = None) -> None:
    """Give no more values of a source; see `Application.pause`."""
    current().pause(source, by)


def resume(source: Any, by: Hashable = None) -> None:
    """Let a source go on; see `Application.resume`."""
    current().resume(source, by)


def exit_hook(hook: Hook) -> Hook:
    """Call a function when the stream has ended; see `Application.exit_hook`."""
    return current().exit_hook(hook)
