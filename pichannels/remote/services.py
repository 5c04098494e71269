"""Methods of an object that can be called from another process.

Only methods that the class marks with `@method` are offered. Arguments are checked
against the annotations, and travel typed as messages do; nothing else of the object
can be reached.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_type_hints

import msgspec

from pichannels import codecs
from pichannels.errors import CodecError, PichannelsError, UsageError, nearest
from pichannels.remote.access import EVERYTHING, Access
from pichannels.remote.errors import CallFailed, RemoteError, StreamNotFound
from pichannels.remote.sources import ByteSource, EntitySource

if TYPE_CHECKING:
    from pichannels.remote.hub import Hub

__all__ = ["Service", "caller", "method"]

logger: Final = logging.getLogger("pichannels.remote")

_MARK: Final = "_pichannels_remote"

F = TypeVar("F", bound=Callable[..., Any])

_CALLER: Final[ContextVar[Access]] = ContextVar("caller", default=EVERYTHING)


def caller() -> Access:
    """What the client may do whose call runs now; everything in one from within."""
    return _CALLER.get()


def method(function: F) -> F:
    """Mark a method that may be called from another process.

    Each of its arguments needs an annotation. It is called in the event loop, so that
    it has to be async where it waits. What it returns travels as messages do; a source
    (such as `fixed(...)`) is published once, for the caller, who gets a `StreamRef`.
    """
    setattr(function, _MARK, True)
    return function


class _Method:
    """One method, with what its arguments have to be."""

    def __init__(self, service: str, name: str, function: Callable[..., Any]) -> None:
        self.function = function
        self._signature = inspect.signature(function)
        hints = get_type_hints(function)
        self._types: dict[str, Any] = {}
        for parameter in self._signature.parameters.values():
            if parameter.name not in hints:
                raise UsageError(
                    f"{service}.{name}: argument {parameter.name!r} has no annotation"
                )
            self._types[parameter.name] = _whole(parameter, hints[parameter.name])

    def bound(
        self, args: list[Any], kwargs: Mapping[str, Any]
    ) -> inspect.BoundArguments:
        """The arguments, of the types that are wanted; a call with others raises."""
        bound = self._signature.bind(*args, **kwargs)
        for name, value in bound.arguments.items():
            bound.arguments[name] = msgspec.convert(value, self._types[name])
        return bound


def _whole(parameter: inspect.Parameter, kind: Any) -> Any:
    if parameter.kind is parameter.VAR_POSITIONAL:
        return tuple[kind, ...]
    if parameter.kind is parameter.VAR_KEYWORD:
        return dict[str, kind]
    return kind


class Service:
    """The methods of an object that may be called.

    Args:
        name: under which it is exposed.
        target: the object.

    Raises:
        UsageError: no method is marked, or one is not annotated.
    """

    def __init__(self, name: str, target: object) -> None:
        self.name = name
        self._methods = {
            each: _Method(name, each, getattr(target, each))
            for each in dir(type(target))
            if getattr(getattr(type(target), each), _MARK, False)
        }
        if not self._methods:
            kind = type(target).__name__
            raise UsageError(f"{kind} marks no method with @method, so none is exposed")

    async def call(
        self, hub: Hub, access: Access, name: str, arguments: bytes
    ) -> bytes:
        """Call a method for a client, in a task of its own: what it returns, encoded.

        Raises:
            CallFailed: it has raised, or the arguments are not what it takes.
            StreamNotFound: there is no such method.
        """
        found = self._methods.get(name)
        if found is None:
            hint = nearest(name, self._methods)
            raise StreamNotFound(self.name, f"it has no method {name!r}{hint}")
        bound = self._bound(found, name, arguments)
        _CALLER.set(access)
        try:
            result = found.function(*bound.args, **bound.kwargs)
            if inspect.isawaitable(result):
                result = await result
            if isinstance(result, EntitySource | ByteSource):
                result = hub.publish_once(result)
            return codecs.encode(result)
        except RemoteError:
            raise
        except Exception as exc:
            raise self._failed(name, exc) from exc

    def _bound(
        self, found: _Method, name: str, arguments: bytes
    ) -> inspect.BoundArguments:
        try:
            args, kwargs = codecs.decode(arguments)
            return found.bound(args, kwargs)
        except (CodecError, TypeError, ValueError, msgspec.ValidationError) as exc:
            reason = f"{name} does not take these arguments: {exc}"
            raise CallFailed(self.name, reason, type=type(exc).__name__) from exc

    def _failed(self, name: str, exc: Exception) -> CallFailed:
        kind = type(exc).__name__
        if isinstance(exc, PichannelsError):
            return CallFailed(self.name, f"{name} has failed: {exc}", type=kind)
        logger.error("%s.%s has failed", self.name, name, exc_info=exc)
        return CallFailed(self.name, f"{name} has failed", type=kind)
