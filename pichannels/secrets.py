"""Secrets by reference: where a password is, in place of the password.

A `Secret` names an environment variable, a file or an entry of the system's keyring.
It is looked up when it is used, and never shown: as text it is `Secret(env:NAME)`.
In settings files that are no Python the same is written `${env:NAME}`,
`${file:path}` and `${keyring:service/user}`, alone or within a longer text.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, Self, TypeVar

import msgspec

from pichannels.errors import SettingsError, nearest
from pichannels.fingerprint import Defined

__all__ = ["Secret", "expand", "reveal", "reveal_in_thread"]

T = TypeVar("T")

_KINDS: Final = ("env", "file", "keyring")
_ALLOWED: Final = (
    "${env:NAME}, ${file:path} and ${keyring:service/user} for secrets, ${NAME} and"
    " ${NAME:-default} for other environment variables, $${ for ${ itself"
)
_REFERENCE: Final = re.compile(r"\$?\$\{([^{}]*)(\}?)")
_VARIABLE: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


class _Reference(NamedTuple):
    """One place where a secret is."""

    kind: str
    name: str
    user: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" + (f"/{self.user}" if self.user else "")


class Secret(Defined):
    """A text that is looked up when it is used, and never shown.

    Make it with `Secret.env`, `Secret.file` or `Secret.keyring`.
    """

    def __init__(self, *parts: str | _Reference) -> None:
        self._parts = parts

    @classmethod
    def env(cls, name: str) -> Self:
        """The value of an environment variable."""
        return cls(_Reference("env", name))

    @classmethod
    def file(cls, path: str | os.PathLike[str]) -> Self:
        """What a file holds, without line ends at its end.

        It is read each time anew, so that what it holds may change.
        """
        return cls(_Reference("file", os.fspath(path)))

    @classmethod
    def keyring(cls, service: str, user: str) -> Self:
        """A password of the system's keyring; needs the extra `keyring`."""
        return cls(_Reference("keyring", service, user))

    @property
    def is_slow(self) -> bool:
        """Whether `reveal` reads files or talks to the keyring."""
        return any(isinstance(p, _Reference) and p.kind != "env" for p in self._parts)

    def reveal(self) -> str:
        """The secret itself.

        Raises:
            SettingsError: there is none in that place; it is named.
        """
        return "".join(
            part if isinstance(part, str) else _looked_up(part) for part in self._parts
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._parts == other._parts

    def __hash__(self) -> int:
        return hash(self._parts)

    def __repr__(self) -> str:
        places = [str(part) for part in self._parts if isinstance(part, _Reference)]
        return f"Secret({', '.join(places)})"


def reveal(value: T) -> T:
    """The value with the secrets themselves in place of what names them.

    Mappings, lists, tuples and structs are looked through; the value stays as it is.

    Raises:
        SettingsError: a secret is missing.
    """
    return _revealed(value)  # type: ignore[no-any-return]


async def reveal_in_thread(value: T) -> T:
    """`reveal` for async code: what reads files does so in a thread.

    Raises:
        SettingsError: a secret is missing.
    """
    if _is_slow(value):
        return await asyncio.to_thread(reveal, value)
    return reveal(value)


def _revealed(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, Mapping):
        return {key: _revealed(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_revealed(item) for item in value)
    if isinstance(value, msgspec.Struct):
        found = {name: _revealed(item) for name, item in _fields(value)}
        return msgspec.structs.replace(value, **found)
    return value


def _is_slow(value: Any) -> bool:
    if isinstance(value, Secret):
        return value.is_slow
    if isinstance(value, Mapping):
        return any(map(_is_slow, value.values()))
    if isinstance(value, msgspec.Struct):
        return any(_is_slow(item) for _, item in _fields(value))
    return type(value) in (list, tuple) and any(map(_is_slow, value))


def _fields(value: msgspec.Struct) -> Iterator[tuple[str, Any]]:
    return ((name, getattr(value, name)) for name in value.__struct_fields__)


# Looking up


def _looked_up(reference: _Reference) -> str:
    found, why = _LOOK_UP[reference.kind](reference)
    if found:
        return found
    raise SettingsError(f"this secret is missing: {why}", key=repr(Secret(reference)))


def _of_env(reference: _Reference) -> tuple[str, str]:
    name = reference.name
    what = "is empty" if name in os.environ else "is not set"
    return os.environ.get(name, ""), f"the environment variable {name} {what}"


def _of_file(reference: _Reference) -> tuple[str, str]:
    try:
        text = Path(reference.name).read_text("utf-8").rstrip("\r\n")
    except (OSError, ValueError) as exc:
        # The words of a decoding error hold bytes of the file.
        reason = exc.strerror if isinstance(exc, OSError) else "it is no UTF-8 text"
        return "", f"the file cannot be read: {reason}"
    return text, "the file is empty"


def _of_keyring(reference: _Reference) -> tuple[str, str]:
    try:
        library = importlib.import_module("keyring")
    except ImportError as exc:
        raise SettingsError(
            "the keyring needs a library: pip install 'pichannels[keyring]'",
            key=repr(Secret(reference)),
        ) from exc
    try:
        found = library.get_password(reference.name, reference.user)
    except Exception as exc:
        # Its backends raise what they like, and may say too much.
        return "", f"the keyring failed with {type(exc).__name__}"
    return found or "", "the keyring has no such entry"


_LOOK_UP: Final = {"env": _of_env, "file": _of_file, "keyring": _of_keyring}


# References in texts


def expand(text: str, folder: Path | None = None) -> str | Secret:
    """The text with its references: a secret when one of them is.

    Variables (`${NAME}`, `${NAME:-default}`) are replaced at once, secrets are not
    looked up.

    Args:
        text: of a settings file.
        folder: what paths of files are relative to; by default the current folder.

    Raises:
        SettingsError: a reference is not understood, or a variable is not set.
    """
    parts: list[str | _Reference] = []
    end = 0
    for match in _REFERENCE.finditer(text):
        parts.append(text[end : match.start()])
        end = match.end()
        parts.append(_part(match, folder))
    parts.append(text[end:])
    if any(isinstance(part, _Reference) for part in parts):
        return Secret(*(part for part in parts if part))
    return "".join(map(str, parts))


def _part(match: re.Match[str], folder: Path | None) -> str | _Reference:
    if match[0].startswith("$$"):
        return match[0][1:]
    body = match[1]
    if match[2]:
        kind, colon, name = body.partition(":")
        if colon and kind in _KINDS and name and not name.startswith("-"):
            return _reference(kind, name, folder)
        variable = _VARIABLE.fullmatch(body)
        if variable:
            return _variable(variable)
    hint = nearest(body.partition(":")[0], _KINDS)
    raise SettingsError(
        f"this reference is not understood{hint}", found=match[0], allowed=_ALLOWED
    )


def _reference(kind: str, name: str, folder: Path | None) -> _Reference:
    if kind == "file" and folder is not None:
        return _Reference(kind, str(folder / name))
    if kind != "keyring":
        return _Reference(kind, name)
    service, slash, user = name.rpartition("/")
    if not (slash and service and user):
        raise SettingsError(
            "an entry of the keyring has a service and a user",
            found=f"${{keyring:{name}}}",
            allowed="${keyring:service/user}",
        )
    return _Reference(kind, service, user)


def _variable(match: re.Match[str]) -> str:
    name, default = match[1], match[2]
    found = os.environ.get(name) or default
    if found is None:
        raise SettingsError(
            f"the environment variable {name} is not set",
            found=f"${{{name}}}",
            allowed=f"a default, ${{{name}:-...}}",
        )
    return found
