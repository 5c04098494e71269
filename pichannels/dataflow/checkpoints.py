"""Streams that depend on others: what to do when one of those is down, and after."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

from pichannels.dataflow.application import Application, current
from pichannels.dataflow.interfaces import ICache
from pichannels.errors import UsageError, nearest
from pichannels.message import isolate

__all__ = ["Checkpoint", "Dependency"]

logger: Final = logging.getLogger("pichannels.dataflow")

Check = Callable[["Checkpoint", "Dependency"], Any]


class Dependency:
    """A stream that another one depends on.

    Args:
        name: kept in the cache; do not change it.
        dependency: the source.
        downtime_threshold: how far it may lag behind before it is down.
        downtime_check: in the place of comparing the markers: a function, sync or
            async, of checkpoint and dependency, whose result is true when it is down.
        recovery_check: the same for when it is up again.

    Attributes:
        checkpoint_marker: where it was last; None before it was heard of.
        checkpoint_state: the state of the dependent stream from which what it made
            may rest on old values of this one: from the first pulse after the last
            heartbeat on. While the dependency is down, and when it has recovered, this
            is where to begin again.
        downtime_state: the state when it was found to be down; None while it is up.
        is_down: whether it is down.
        is_replayed_from: whether it was down and the recovery has not been dealt with.
    """

    def __init__(
        self,
        name: str,
        dependency: Any,
        downtime_threshold: Any = timedelta(minutes=10),
        downtime_check: Check | None = None,
        recovery_check: Check | None = None,
    ) -> None:
        self.name = name
        self.dependency = dependency
        self.downtime_threshold = downtime_threshold
        self.downtime_check = downtime_check or _lag
        self.recovery_check = recovery_check or _has_caught_up
        self.checkpoint_state: dict[str, Any] | None = None
        self.checkpoint_marker: Any = None
        self.downtime_state: dict[str, Any] | None = None
        self.is_down = False
        self.is_replayed_from = False
        self._pulsed: set[str] = set()

    def beat(self, marker: Any, state: Mapping[str, Any]) -> None:
        """It was heard of: what came before does not rest on old values of it."""
        if self.checkpoint_marker is None or not _is_less(
            marker, self.checkpoint_marker
        ):
            self.checkpoint_marker = marker
        if not self.is_replayed_from:
            self.forget(state)

    def pulse(self, change: Mapping[str, Any]) -> None:
        """The dependent stream goes on without having heard of it."""
        state = self.checkpoint_state or {}
        new = {k: v for k, v in change.items() if k not in self._pulsed}
        self.checkpoint_state = {**state, **isolate(new)}
        self._pulsed.update(new)

    def fall(self, state: Mapping[str, Any]) -> None:
        """It is down."""
        self.is_down = self.is_replayed_from = True
        self.downtime_state = isolate(dict(state))

    def forget(self, state: Mapping[str, Any]) -> None:
        """Nothing has to be done again."""
        self.checkpoint_state = isolate(dict(state))
        self.downtime_state = None
        self.is_replayed_from = False
        self._pulsed.clear()

    def dump(self) -> dict[str, Any]:
        """What is kept of it."""
        return {name: getattr(self, name) for name in _KEPT} | {
            "pulsed": sorted(self._pulsed)
        }

    def load(self, kept: Mapping[str, Any]) -> None:
        """Take over what was kept."""
        for name in _KEPT:
            setattr(self, name, kept[name])
        self._pulsed = set(kept["pulsed"])

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        yield "checkpoint_state", self.checkpoint_state
        yield "checkpoint_marker", self.checkpoint_marker

    def __repr__(self) -> str:
        return str(dict(self))


_KEPT: Final = (
    "checkpoint_state",
    "checkpoint_marker",
    "downtime_state",
    "is_down",
    "is_replayed_from",
)


class Checkpoint:
    """Where a stream stands towards those that it depends on.

    The handlers of the dependencies call `heartbeat`, that of the dependent stream
    calls `check_pulse`.

    Args:
        name: kept in the cache; do not change it.
        dependent: the source that depends on the others.
        dependencies: the others.
        downtime_callback: a function, sync or async, of checkpoint and dependency,
            called when one goes down.
        recovery_callback: called when none is down any more, for each one that was, the
            first that went down last; here what was made meanwhile is made again, from
            `dependency.checkpoint_state`. The dependent stream goes on after that.
        cache: where all of it is kept over restarts.
        cache_key_prefix: of its key there.
        pause_dependent: pause the dependent stream while a dependency is down.
        application: whose sources these are; the current one by default.

    Attributes:
        state: what `check_pulse` was told.
        state_marker: where the dependent stream is.
    """

    def __init__(
        self,
        name: str,
        dependent: Any,
        dependencies: Iterable[Dependency],
        downtime_callback: Check | None = None,
        recovery_callback: Check | None = None,
        cache: ICache | None = None,
        cache_key_prefix: str = "_",
        pause_dependent: bool = True,
        application: Application | None = None,
    ) -> None:
        self.name = name
        self.dependent = dependent
        self.dependencies = {each.name: each for each in dependencies}
        self.pause_dependent = pause_dependent
        self.state: dict[str, Any] = {}
        self.state_marker: Any = None
        self._application = application or current()
        self._downtime_callback = downtime_callback
        self._recovery_callback = recovery_callback
        self._fallen: list[str] = []
        self._cache = cache
        self._key = f"{cache_key_prefix}_{name}_checkpoint"
        self._load()

    def __getitem__(self, name: str) -> Dependency:
        return self.dependencies[name]

    def __repr__(self) -> str:
        return f"<Checkpoint {self.name} {self.dependencies}>"

    async def heartbeat(
        self, marker: Any, dependency_name: str | None = None
    ) -> dict[str, Any]:
        """A dependency was heard of.

        Args:
            marker: where it is: typically the time of its event.
            dependency_name: which one, where there are several.

        Returns:
            `is_late` (whether it is still down), `dependent_marker` and
            `dependency_marker`.

        Raises:
            UsageError: there is no such dependency, or it was not said which one.
        """
        dependency = self._named(dependency_name)
        dependency.beat(marker, self.state)
        if dependency.is_down and await _done(
            dependency.recovery_check(self, dependency)
        ):
            dependency.is_down = False
            logger.info("%s: %s has recovered", self.name, dependency.name)
        await self._save()
        if self._fallen and not any(d.is_down for d in self.dependencies.values()):
            await self._recover()
        return {
            "is_late": dependency.is_down,
            "dependent_marker": self.state_marker,
            "dependency_marker": dependency.checkpoint_marker,
        }

    async def check_pulse(self, marker: Any, **state: Any) -> Any:
        """The dependent stream goes on; look whether a dependency is down.

        Args:
            marker: where it is: typically the time of its event.
            state: what is needed to make this again: offsets, say.

        Returns:
            What the check of the one that is farthest behind has found, such as how
            far; None where none is down.
        """
        self.state.update(state)
        self.state_marker = marker
        for dependency in self.dependencies.values():
            if dependency.checkpoint_marker is None:
                dependency.beat(marker, {})
            dependency.pulse(state)
        return await self._look()

    async def check(self, marker: Any) -> Any:
        """Look whether a dependency is down while the dependent stream rests.

        For a timer: `await checkpoint.check(datetime.now(UTC))`. The result is that of
        `check_pulse`.
        """
        before, self.state_marker = self.state_marker, marker
        try:
            return await self._look()
        finally:
            self.state_marker = before

    async def _look(self) -> Any:
        found = []
        for dependency in self.dependencies.values():
            if dependency.checkpoint_marker is None:
                continue
            downtime = await _done(dependency.downtime_check(self, dependency))
            if downtime:
                found.append(downtime)
                if not dependency.is_down:
                    await self._fall(dependency)
        await self._save()
        return _worst(found) if found else None

    async def _fall(self, dependency: Dependency) -> None:
        logger.warning("%s: %s is down", self.name, dependency.name)
        dependency.fall(self.state)
        if dependency.name not in self._fallen:
            self._fallen.append(dependency.name)
        self._pause()
        await self._save()
        if self._downtime_callback is not None:
            await _done(self._downtime_callback(self, dependency))

    async def _recover(self) -> None:
        while self._fallen:
            dependency = self.dependencies[self._fallen[-1]]
            if self._recovery_callback is not None:
                await _done(self._recovery_callback(self, dependency))
            self._fallen.pop()
            dependency.forget(self.state)
            await self._save()
        self._application.resume(self.dependent, by=self._key)

    def _pause(self) -> None:
        if self.pause_dependent:
            self._application.pause(self.dependent, by=self._key)

    def _named(self, name: str | None) -> Dependency:
        if name is None and len(self.dependencies) == 1:
            return next(iter(self.dependencies.values()))
        if name is None:
            raise UsageError(
                f"checkpoint {self.name!r} has several dependencies; say which one by"
                " dependency_name"
            )
        if name not in self.dependencies:
            hint = nearest(name, self.dependencies)
            raise UsageError(
                f"checkpoint {self.name!r} has no dependency {name!r}{hint}"
            )
        return self.dependencies[name]

    async def _save(self) -> None:
        if self._cache is not None:
            kept = {
                "state": self.state,
                "state_marker": self.state_marker,
                "fallen": self._fallen,
                "dependencies": {n: d.dump() for n, d in self.dependencies.items()},
            }
            await self._cache.store(self._key, kept)

    def _load(self) -> None:
        kept = None if self._cache is None else self._cache[self._key]
        if kept is None:
            return
        self.state, self.state_marker = kept["state"], kept["state_marker"]
        for name, each in kept["dependencies"].items():
            if name in self.dependencies:
                self.dependencies[name].load(each)
        self._fallen = [name for name in kept["fallen"] if name in self.dependencies]
        if self._fallen:
            self._pause()


async def _done(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


def _is_less(one: Any, other: Any) -> bool:
    try:
        return bool(one < other)
    except TypeError:
        return False


def _worst(found: list[Any]) -> Any:
    try:
        return max(found)
    except TypeError:
        return found[0]


def _lag(checkpoint: Checkpoint, dependency: Dependency) -> Any:
    """How far a dependency lags behind, if that is more than its threshold."""
    try:
        lag = checkpoint.state_marker - dependency.checkpoint_marker
        return lag if lag > dependency.downtime_threshold else None
    except TypeError as exc:
        raise _incomparable(checkpoint, dependency) from exc


def _has_caught_up(checkpoint: Checkpoint, dependency: Dependency) -> bool:
    """Whether a dependency is ahead of the dependent stream."""
    try:
        return bool(dependency.checkpoint_marker > checkpoint.state_marker)
    except TypeError as exc:
        raise _incomparable(checkpoint, dependency) from exc


def _incomparable(checkpoint: Checkpoint, dependency: Dependency) -> UsageError:
    return UsageError(
        f"the markers {checkpoint.state_marker!r} and {dependency.checkpoint_marker!r}"
        f" of {checkpoint.name!r} and {dependency.name!r} cannot be compared with the"
        " threshold; give the dependency checks of its own"
    )
