"""The checked settings of a project: every key, what it may be, what it means.

A user's `settings.py` holds upper-case names; `read_config` turns them into a
`Config` and tells everything that is wrong with them at once.
"""

from __future__ import annotations

import ipaddress
import os
import reprlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any, Final, Literal, TypeVar, get_args, get_origin

import msgspec

from pichannels.errors import SettingsError, nearest
from pichannels.limiter import Limits
from pichannels.remote_config import RemoteConfig, remote_rules
from pichannels.secrets import Secret
from pichannels.settings_file import DATA_DIR
from pichannels.telemetry_config import LEVELS, TracingConfig, logging_rules
from pichannels.ui_config import UIConfig, ui_rules

__all__ = [
    "Config",
    "ControlConfig",
    "JournalConfig",
    "LeaseConfig",
    "PILimitsConfig",
    "ServerLimitsConfig",
    "SettingsProblems",
    "SimulatorConfig",
    "TracingConfig",
    "is_loopback",
    "keys_of",
    "read_config",
]

Struct = TypeVar("Struct", bound=msgspec.Struct)

_WORTH_SHOWING: Final = 80
_SECRET: Final = ("token", "tokens", "url", "password")


class SettingsProblems(SettingsError):
    """Everything that is wrong with the settings.

    Attributes:
        errors: one for each problem.
    """

    def __init__(self, errors: Sequence[SettingsError]) -> None:
        self.errors = list(errors)
        super().__init__("\n".join(str(error) for error in self.errors))


def _says(text: str, **limits: Any) -> msgspec.Meta:
    """What a key may be, for the error and the documentation."""
    return msgspec.Meta(description=text, **limits)


_Bytes = Annotated[int, _says("a number of bytes, 1048576 or more", ge=2**20)]
_Days = Annotated[float, _says("a number of days above 0", gt=0)]
_DATABASE: Final = "postgresql://user@host:port/database, or a Secret"
_TOKEN: Final = "'' or 16 characters and more, or a Secret"
_Port = Annotated[int, _says("a port, 0 to 65535; 0 takes a free one", ge=0, le=65535)]


class JournalConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Where accepted messages are kept until, and after, they are settled.

    Attributes:
        durability: `full` survives power loss, `normal` a crash of the process.
        budget_bytes: what the journal may take on disk, unsettled messages too.
        retention_days: how long settled messages are kept.
        retention_bytes: how much of them is kept.
        dead_letter_days: how long messages that failed are kept.
        state_days: how long messages of other final states are kept, where that is
            not `retention_days`, such as `{"dropped": 1}`.
    """

    durability: Annotated[Literal["full", "normal"], _says("'full' or 'normal'")] = (
        "full"
    )
    budget_bytes: _Bytes = 20 * 2**30
    retention_days: _Days = 7.0
    retention_bytes: _Bytes = 10 * 2**30
    dead_letter_days: _Days = 30.0
    state_days: Annotated[
        dict[Literal["processed", "dropped", "rejected"], _Days] | None,
        _says("days above 0 for 'processed', 'dropped' or 'rejected'"),
    ] = None


class ControlConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The control server, which the commands and a monitoring system talk to.

    Attributes:
        enabled: whether there is one.
        host: where it listens; beyond this machine only with a token of yours.
        port: 0 takes a free port, which the commands find by themselves.
        token: who holds it may command; made anew at each start when empty. A secret
            (`Secret.env(...)`) is looked up at the start.
    """

    enabled: Annotated[bool, _says("True or False")] = True
    host: Annotated[str, _says("a host name or address", min_length=1)] = "127.0.0.1"
    port: _Port = 0
    token: Annotated[str, _says(_TOKEN, pattern="^$|.{16}")] | Secret = ""


class LeaseConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A lease in PostgreSQL, so that of several hosts only one takes values.

    Attributes:
        url: `postgresql://user@host:port/database`, or a secret.
        password: counts before one in the URL; a secret (`Secret.env(...)`).
        name: instances with the same name exclude each other; the project's name
            when empty.
        takeover: seconds after which another may take over from one that is gone.
    """

    url: Annotated[str, _says(_DATABASE, pattern="^postgres(ql)?://")] | Secret = ""
    password: Annotated[str, _says("a password, or a Secret")] | Secret = ""
    name: Annotated[str, _says("a name")] = ""
    takeover: Annotated[float, _says("seconds, 3 or more", ge=3)] = 30.0


class SimulatorConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A stand-in PI Web API server that runs inside the instance.

    Attributes:
        host: where it listens.
        port: where it listens; 0 takes a free one.
        tags: how many tags its plant has.
        seed: the same seed gives the same plant and the same values.
        speed: simulated seconds in a real one.
        poll: seconds between two messages of a PI channel.
    """

    host: Annotated[str, _says("a host name or address", min_length=1)] = "127.0.0.1"
    port: _Port = 8500
    tags: Annotated[int, _says("a number of tags, 1 to 100000", ge=1, le=10**5)] = 1000
    seed: Annotated[int, _says("a whole number")] = 1
    speed: Annotated[float, _says("a factor above 0", gt=0)] = 1.0
    poll: Annotated[float, _says("seconds, 0.01 or more", ge=0.01)] = 1.0


_Rate = Annotated[float, _says("requests in a second, above 0", gt=0, le=1e5)]
_Concurrency = Annotated[int, _says("a number of requests, 1 or more", ge=1)]
_Weight = Annotated[float, _says("0 to 1, 1 as PI counts them", ge=0, le=1)]
_Share = Annotated[float, _says("a part between 0 and 1", gt=0, lt=1)]


class ServerLimitsConfig(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """What one PI Web API server may be asked for, where that differs.

    Attributes:
        rate, concurrency, history_share, history_rate, batch_weight: as in
            `PILimitsConfig`.
    """

    rate: _Rate | None = None
    concurrency: _Concurrency | None = None
    history_share: _Share | None = None
    history_rate: _Rate | None = None
    batch_weight: _Weight | None = None


class PILimitsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What each PI Web API server may be asked for by all of the project together.

    Attributes:
        rate: requests in a second, at most; handshakes of PI channels count, too.
        concurrency: requests under way at once, at most.
        history_share: the part of the requests that history gets while live ones wait.
        history_rate: requests in a second that history gets at most; all of what live
            ones leave without.
        batch_weight: how much each request inside a PI batch counts.
        servers: what differs for some servers, by host or `host:port`.
    """

    rate: _Rate = 200.0
    concurrency: _Concurrency = 8
    history_share: _Share = 0.1
    history_rate: _Rate | None = None
    batch_weight: _Weight = 1.0
    servers: Annotated[
        dict[str, ServerLimitsConfig],
        _says(
            "by host, dictionaries with rate, concurrency, history_share, history_rate,"
            " batch_weight"
        ),
    ] = {}

    def limits(self, host: str = "") -> Limits:
        """The limits of the server at this host, or `host:port`."""
        own = self.servers.get(host, ServerLimitsConfig())
        weight = own.batch_weight
        return Limits(
            rate=own.rate or self.rate,
            concurrency=own.concurrency or self.concurrency,
            history_share=own.history_share or self.history_share,
            history_rate=self._history_rate(own),
            batch_weight=self.batch_weight if weight is None else weight,
        )

    def _history_rate(self, own: ServerLimitsConfig) -> float | None:
        asked = own.history_rate or self.history_rate
        return asked and min(asked, own.rate or self.rate)

    @property
    def special(self) -> dict[str, Limits]:
        """The limits of the servers that differ."""
        return {host: self.limits(host) for host in self.servers}


class Config(msgspec.Struct, frozen=True, kw_only=True, rename="upper"):
    """All settings but those that hold objects (`CHANNELS`, `MESSAGE_STORE`).

    Attributes:
        project_name: how logs and pages name the project.
        data_dir: folder for the journal and all else that is kept; relative to
            `settings.py`.
        journal: where accepted messages are kept.
        control: the control server.
        lease: what keeps instances on other hosts out, or None.
        drain_timeout: seconds that all channels together may take to finish at a
            stop; what is left runs again at the next start.
        logging: a level, a dictionary with level, format and levels, or one for
            `logging.config.dictConfig`.
        pi_limits: what each PI Web API server may be asked for.
        tracing: where the traces of messages go, or None.
        simulator: the embedded PI Web API server, or None.
        ui: the pages and the API, or None.
        remote: what is published for others.
        own_settings: patterns of names that are the project's own business.
    """

    project_name: Annotated[str, _says("a name", min_length=1)] = "pichannels"
    data_dir: Annotated[str, _says("a path", min_length=1)] = DATA_DIR
    journal: JournalConfig = JournalConfig()
    control: ControlConfig = ControlConfig()
    lease: LeaseConfig | None = None
    drain_timeout: Annotated[float, _says("seconds, 0 or more", ge=0)] = 30.0
    logging: Annotated[
        str | dict[str, Any],
        _says(f"one of {', '.join(LEVELS)}, or a dictionary"),
    ] = "INFO"
    pi_limits: PILimitsConfig = PILimitsConfig()
    tracing: TracingConfig | None = None
    simulator: SimulatorConfig | None = None
    ui: UIConfig | None = None
    remote: RemoteConfig = RemoteConfig()
    own_settings: Annotated[
        tuple[str, ...], _says("a list of names, or patterns such as 'PLANT_*'")
    ] = ()


_SWITCHED: Final = {
    "CONTROL": "enabled",
    "REMOTE": "enabled",
    "SIMULATOR": None,
    "TRACING": None,
    "UI": None,
}
"""Keys that also take True or False."""


def keys_of(kind: type[msgspec.Struct]) -> list[str]:
    """The names that are known in one part of the settings."""
    return [field.encode_name for field in msgspec.structs.fields(kind)]


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def read_config(
    values: Mapping[str, Any], file: str, objects: Collection[str] = ()
) -> tuple[Config, list[SettingsError]]:
    """Check plain settings by name: the config, and all that is wrong.

    What is wrong has its default in the config.

    Args:
        values: setting -> value.
        file: named in each problem.
        objects: further names that somebody else checks.
    """
    reader = _Reader(file)
    own = _own(values.get("OWN_SETTINGS"), {*keys_of(Config), *objects})
    plain = {k: v for k, v in values.items() if k not in objects and not own(k)}
    config = reader.read(Config, _switched(plain), "", objects)
    told = {problem.key for problem in reader.problems}
    more = [problem for problem in _rules(config, file) if problem.key not in told]
    return config, reader.problems + more


def _own(patterns: Any, known: Collection[str]) -> Callable[[str], bool]:
    """Whether a setting is the project's own: known names are never."""
    named = patterns if isinstance(patterns, list | tuple) else ()
    texts = [each for each in named if isinstance(each, str)]
    return lambda name: (
        name not in known and any(fnmatchcase(name, text) for text in texts)
    )


def _switched(values: Mapping[str, Any]) -> dict[str, Any]:
    """True and False in place of a part of the settings, written out."""
    result = dict(values)
    for key, flag in _SWITCHED.items():
        value = result.get(key)
        if isinstance(value, bool):
            if flag is None:
                result[key] = {} if value else None
            else:
                result[key] = {flag: value}
    return result


class _Reader:
    """Converts field by field, so that one problem does not hide another."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[SettingsError] = []

    def read(
        self,
        kind: type[Struct],
        values: Mapping[Any, Any],
        inside: str,
        also: Collection[str] = (),
    ) -> Struct:
        fields = {f.encode_name: f for f in msgspec.structs.fields(kind)}
        known = [*fields, *also]
        found: dict[str, Any] = {}
        for key, value in values.items():
            name = f"{inside}[{key!r}]" if inside else str(key)
            if key not in fields:
                self._tell_unknown(name, key, known)
                continue
            field = fields[key]
            try:
                found[field.name] = self._convert(name, field.type, value)
            except msgspec.ValidationError as exc:
                self._tell_invalid(name, key, field.type, value, exc)
        return kind(**found)

    def _convert(self, name: str, kind: Any, value: Any) -> Any:
        if get_origin(kind) is dict and (part := _part(kind)) is not None:
            return self._read_each(part, value, name)
        part = _part(kind)
        if part is not None and isinstance(value, Mapping):
            return self.read(part, value, name)
        if part is not None and not (value is None and type(None) in get_args(kind)):
            raise msgspec.ValidationError(f"{name} is no dictionary")
        if Secret in get_args(kind):
            is_secret = isinstance(value, Secret)
            return value if is_secret else msgspec.convert(value, _plain(kind))
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        return msgspec.convert(value, kind)

    def _read_each(self, kind: type[Struct], value: Any, name: str) -> Any:
        """Parts by names that are the user's own."""
        if not isinstance(value, Mapping):
            raise msgspec.ValidationError(f"{name} is no dictionary")
        found: dict[str, Struct] = {}
        # What stands in the place of such a part may be the secret itself.
        shown = next((key for key in keys_of(kind) if key in _SECRET), "")
        for key, part in value.items():
            inside = f"{name}[{key!r}]"
            try:
                found[str(key)] = self._convert(inside, kind, part)
            except msgspec.ValidationError as exc:
                self._tell_invalid(inside, shown, kind, part, exc)
        return found

    def _tell_unknown(self, name: str, key: object, known: list[str]) -> None:
        hint = nearest(str(key), known)
        self.problems.append(
            SettingsError(
                f"there is no such setting{hint}",
                file=self.file,
                key=name,
                allowed=", ".join(sorted(known)),
            )
        )

    def _tell_invalid(
        self, name: str, key: str, kind: Any, value: Any, exc: Exception
    ) -> None:
        problem = SettingsError(
            "this value cannot be used",
            file=self.file,
            key=name,
            found="(not shown)" if key in _SECRET else _shown(value),
            allowed=_allowed(kind),
        )
        problem.__cause__ = exc
        self.problems.append(problem)


def _part(kind: Any) -> type[msgspec.Struct] | None:
    """The struct that a mapping is read into, where the type is one."""
    for option in getattr(kind, "__args__", (kind,)):
        if isinstance(option, type) and issubclass(option, msgspec.Struct):
            return option
    return None


def _plain(kind: Any) -> Any:
    """What a setting may be besides a secret."""
    options = get_args(kind) if Secret in get_args(kind) else (kind,)
    return next(option for option in options if option is not Secret)


def _allowed(kind: Any) -> str:
    kind = _plain(kind)
    if get_origin(kind) is Annotated:
        for meta in kind.__metadata__:
            if isinstance(meta, msgspec.Meta) and meta.description:
                return meta.description
    part = _part(kind)
    if part is None:
        return str(kind)
    by_name = "by name, dictionaries" if get_origin(kind) is dict else "a dictionary"
    return f"{by_name} with {', '.join(keys_of(part))}"


def _shown(value: Any) -> Any:
    """The value, or what kind of thing it is when it is too long to show."""
    if value is None:
        return "None"
    return value if len(repr(value)) <= _WORTH_SHOWING else reprlib.repr(value)


def _rules(config: Config, file: str) -> Iterator[SettingsError]:
    """What no single key tells."""
    yield from ui_rules(config.ui, file, is_loopback)
    yield from remote_rules(config.remote, file, is_loopback)
    control = config.control
    if not is_loopback(control.host) and not control.token:
        yield SettingsError(
            "beyond this machine the control server needs a token of yours",
            file=file,
            key="CONTROL['token']",
            allowed=f"a secret, or a loopback host instead of {control.host!r}",
        )
    if config.remote.port is not None and not control.enabled:
        yield SettingsError(
            "what is published needs the control server",
            file=file,
            key="CONTROL",
        )
    if config.lease is not None and not config.lease.url:
        yield SettingsError(
            "a lease needs a database",
            file=file,
            key="LEASE['url']",
            allowed=_DATABASE,
        )
    yield from logging_rules(config.logging, file)
