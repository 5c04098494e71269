"""The users of the pages and the API, in a file that only its owner can read.

Passwords are kept as scrypt makes them, tokens as their hash: neither can be read back.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, TypeVar

import msgspec

from pichannels import clock
from pichannels.errors import PichannelsError, UsageError, nearest
from pichannels.private_files import write_private
from pichannels.ui.roles import Role
from pichannels.values import TICKS_PER_SECOND, format_ticks

__all__ = ["SHORTEST_PASSWORD", "Token", "User", "Users", "hash_password"]

P = ParamSpec("P")
T = TypeVar("T")

SHORTEST_PASSWORD: Final = 12
_N, _R, _P = 2**15, 8, 3
_MEMORY: Final = 64 * 2**20
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_PREFIX: Final = "pch_"
_DAY: Final = 86_400 * TICKS_PER_SECOND


class Token(msgspec.Struct, frozen=True):
    """A token of a program that asks for a user.

    Attributes:
        id: tells it in lists.
        hash: SHA-256 of it; it has 256 random bits, so that this is enough.
        about: what it is for.
        made: when, ISO 8601.
        expires: ticks from which it is no longer taken, or None.
        role: no more than this, or None for what the user may.
    """

    id: str
    hash: str
    about: str = ""
    made: str = ""
    expires: int | None = None
    role: Role | None = None


class User(msgspec.Struct, frozen=True):
    """One user.

    Attributes:
        name: what to log in with.
        role: what the user may do.
        password: as `hash_password` made it; "" lets nobody log in with one.
        tokens: of programs.
    """

    name: str
    role: Role
    password: str = ""
    tokens: list[Token] = []

    @property
    def password_hash(self) -> str:
        """Of what is kept of the password: tells whether it is another one by now."""
        return hashlib.sha256(self.password.encode()).hexdigest()


def hash_password(password: str) -> str:
    """What is kept of a password.

    Raises:
        UsageError: it is too short.
    """
    if len(password) < SHORTEST_PASSWORD:
        raise UsageError(f"a password has {SHORTEST_PASSWORD} characters and more")
    salt = secrets.token_bytes(16)
    found = _scrypt(password, salt, _N, _R, _P)
    parts = (b64encode(each).decode() for each in (salt, found))
    return "$".join(("scrypt", str(_N), str(_R), str(_P), *parts))


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    data = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(data, salt=salt, n=n, r=r, p=p, maxmem=_MEMORY)


def _nobody() -> str:
    """What is kept of a password that nobody knows."""
    parts = (b64encode(secrets.token_bytes(size)).decode() for size in (16, 64))
    return "$".join(("scrypt", str(_N), str(_R), str(_P), *parts))


def _is_password(password: str, kept: str) -> bool:
    try:
        _, n, r, p, salt, wanted = kept.split("$")
        found = _scrypt(password, b64decode(salt), int(n), int(r), int(p))
        return hmac.compare_digest(found, b64decode(wanted))
    except ValueError:
        return False


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _alone(
    method: Callable[Concatenate[Users, P], T],
) -> Callable[Concatenate[Users, P], T]:
    """Let changes come one after the other, each to what the one before has left."""

    @wraps(method)
    def alone(self: Users, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with self.changing:
            return method(self, *args, **kwargs)

    return alone


class Users:
    """The users in a file; changes of others to it are seen.

    All methods read or write the file, or work for a while; event loops call them in
    threads.

    Args:
        path: of the file, which need not exist yet.

    Attributes:
        changing: held while they are changed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._users: dict[str, User] = {}
        self.changing = threading.Lock()

    def all(self) -> list[User]:
        """The users, by name.

        Raises:
            PichannelsError: the file cannot be read.
        """
        self._read()
        return sorted(self._users.values(), key=lambda user: user.name)

    def get(self, name: str) -> User | None:
        """The user of this name."""
        self._read()
        return self._users.get(name)

    def check(self, name: str, password: str) -> User | None:
        """The user whose password this is; takes a while, whoever it is."""
        user = self.get(name)
        # Who does not exist takes as long as who has a wrong password.
        kept = user.password if user and user.password else _nobody()
        fits = _is_password(password, kept)
        return user if fits and user and user.password else None

    def of_token(self, shown: str) -> tuple[User, Role, str] | None:
        """The user whose token this is, what it may with it, and its number."""
        self._read()
        found = _hash(shown)
        for user in self._users.values():
            for token in user.tokens:
                if hmac.compare_digest(token.hash, found) and _is_good(token):
                    return user, _lower(user.role, token.role), token.id
        return None

    def role_of_token(self, name: str, id: str) -> Role | None:
        """What a user may with the token of this number; None where it has ended."""
        user = self.get(name)
        for token in user.tokens if user else ():
            if token.id == id and _is_good(token):
                return _lower(user.role, token.role) if user else None
        return None

    @_alone
    def add(self, name: str, role: Role, password: str = "") -> User:
        """Add a user; without a password only tokens are taken.

        Raises:
            UsageError: there is one, or name or password are not usable.
        """
        self._read()
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name!r} is no name of a user: letters, digits, . _ @ -")
        if name in self._users:
            raise UsageError(f"there is a user {name!r} already")
        user = User(name, role, hash_password(password) if password else "")
        self._put(user)
        return user

    @_alone
    def change(
        self, name: str, *, role: Role | None = None, password: str | None = None
    ) -> User:
        """Give a user another role, or another password.

        Raises:
            UsageError: there is none, or the password is not usable.
        """
        user = self._known(name)
        user = msgspec.structs.replace(
            user,
            role=role or user.role,
            password=user.password if password is None else hash_password(password),
        )
        self._put(user)
        return user

    @_alone
    def remove(self, name: str) -> None:
        """Remove a user, whose sessions and tokens end.

        Raises:
            UsageError: there is none.
        """
        self._known(name)
        self._write({k: v for k, v in self._users.items() if k != name})

    @_alone
    def make_token(
        self,
        name: str,
        *,
        about: str = "",
        days: float | None = None,
        role: Role | None = None,
    ) -> str:
        """A new token of a user; it is shown this once.

        Args:
            about: what it is for.
            days: how long it is taken.
            role: no more than this.

        Raises:
            UsageError: there is no such user.
        """
        user = self._known(name)
        shown = _PREFIX + secrets.token_urlsafe(32)
        token = Token(
            secrets.token_hex(4),
            _hash(shown),
            about,
            format_ticks(clock.now()),
            None if days is None else clock.now() + int(days * _DAY),
            role,
        )
        self._put(msgspec.structs.replace(user, tokens=[*user.tokens, token]))
        return shown

    @_alone
    def remove_token(self, name: str, id: str) -> None:
        """Take a token back.

        Raises:
            UsageError: there is none.
        """
        user = self._known(name)
        left = [token for token in user.tokens if token.id != id]
        if len(left) == len(user.tokens):
            raise UsageError(f"user {name!r} has no token {id!r}")
        self._put(msgspec.structs.replace(user, tokens=left))

    def _known(self, name: str) -> User:
        self._read()
        if name not in self._users:
            hint = nearest(name, self._users)
            raise UsageError(f"there is no user {name!r}{hint}")
        return self._users[name]

    def _put(self, user: User) -> None:
        self._write({**self._users, user.name: user})

    def _read(self) -> None:
        try:
            state = self._path.stat()
            stamp = (state.st_mtime_ns, state.st_size)
            if stamp == self._stamp:
                return
            users = msgspec.json.decode(self._path.read_bytes(), type=list[User])
        except FileNotFoundError:
            self._users, self._stamp = {}, None
            return
        except (OSError, msgspec.DecodeError) as exc:
            raise PichannelsError(f"{self._path} cannot be read: {exc}") from exc
        self._users, self._stamp = {user.name: user for user in users}, stamp

    def _write(self, changed: dict[str, User]) -> None:
        users = [changed[name] for name in sorted(changed)]
        data = msgspec.json.format(msgspec.json.encode(users))
        write_private(self._path, data)
        # Others read without waiting: what is there is replaced as a whole.
        self._users, self._stamp = changed, None


def _is_good(token: Token) -> bool:
    return token.expires is None or token.expires > clock.now()


def _lower(own: Role, bound: Role | None) -> Role:
    return own if bound is None or bound.may(own) else bound
