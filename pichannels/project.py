"""The project: a user's channels with the settings around them.

`load` runs `settings.py` by its path, checks everything in it as a whole, and
gives the `Project`, which owns its channels. Channels of the same name may so
exist in two projects of one process.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.machinery import SourceFileLoader
from importlib.util import cache_from_source
from itertools import filterfalse
from pathlib import Path
from py_compile import PycInvalidationMode, PyCompileError, compile as py_compile
from types import CodeType, ModuleType
from typing import Any, Final

from pichannels.channels import BaseChannel
from pichannels.channels.arrivals import let_unpack_all
from pichannels.channels.listening import share_endpoints, taken_twice
from pichannels.config import Config, SettingsProblems, read_config
from pichannels.declarative import Declared, read_files
from pichannels.errors import NoSuchName, PichannelsError, SettingsError, nearest
from pichannels.extras import missing_extras
from pichannels.persistence import Persistence
from pichannels.remote_config import unknown_channels
from pichannels.settings_file import SETTINGS_VARIABLE, find_settings
from pichannels.shared_names import check_shared_names
from pichannels.store import MessageStoreFactory

__all__ = [
    "OBJECTS",
    "SETTINGS_MODULE",
    "SETTINGS_VARIABLE",
    "Project",
    "find_settings",
    "load",
    "open_folder",
]

# The user's own modules keep every other name; `import settings` finds nothing
# of ours.
SETTINGS_MODULE: Final = "_pichannels_settings"
"""The name of the module that a settings file becomes."""
OBJECTS: Final = ("CHANNELS", "MESSAGE_STORE", "PERSISTENCE")
"""Settings that hold objects; all others are in the config."""
_WORTH_KEEPING: Final = 2**18
"""Bytes of a settings file from which on compiling takes a while."""
_BY_HASH: Final = b"\x03\0\0\0"
"""The flags of compiled code that is compared with its text by a hash."""
_KINDS: Final[dict[str, tuple[type, str, str]]] = {
    "MESSAGE_STORE": (MessageStoreFactory, "makes no message stores", "msgstore"),
    "PERSISTENCE": (Persistence, "keeps no data of nodes", "pichannels.saved"),
}


class Project:
    """Channels with unique names, and the settings that they run under.

    Args:
        channels: in the order in which they start.
        config: the checked settings; the defaults without.
        path: the settings file; what is relative is relative to its folder.
        message_store: makes the stores of channels that have none of their own.
        declared: the YAML files that some of the channels are from.

    Attributes:
        persistence: where nodes keep their data; None for the journal.
        files: the YAML files of the project.
        origins: full name of a channel, branch or node -> its file and line, for
            those from YAML.
        ignored: parts of YAML files in which some lints do not count.

    Raises:
        SettingsProblems: all that is wrong with the channels.
    """

    def __init__(
        self,
        channels: Sequence[BaseChannel],
        config: Config | None = None,
        path: Path | None = None,
        message_store: MessageStoreFactory | None = None,
        declared: Declared | None = None,
    ) -> None:
        problems = list(_channel_problems(channels, str(path or "the project")))
        if problems:
            raise SettingsProblems(problems)
        self.channels = list(channels)
        share_endpoints(self.channels)
        self.config = config or Config()
        self.path = path
        self.files = declared.files if declared else []
        self.origins = declared.origins if declared else {}
        self.ignored = declared.ignored if declared else []
        self.persistence: Persistence | None = None
        self.given: Mapping[str, Any] = {}
        """The settings as the file has them, before they were checked."""
        if message_store is not None:
            _give_stores(self.channels, message_store)
        let_unpack_all(self.channels, self.config.remote.inboxes)

    @property
    def name(self) -> str:
        """How logs and pages name the project."""
        return self.config.project_name

    @property
    def folder(self) -> Path:
        """Where the settings are; the current folder without."""
        return self.path.parent if self.path else Path.cwd()

    @property
    def data_dir(self) -> Path:
        """Where the journal and all else that is kept is."""
        return self.folder / self.config.data_dir

    def all_channels(self) -> list[BaseChannel]:
        """The channels, each followed by its sub-channels."""
        return list(_with_subchannels(self.channels))

    def channel(self, name: str) -> BaseChannel:
        """The channel, or sub-channel, with this full name.

        Raises:
            UsageError: there is none; offers the nearest name.
        """
        known = {channel.name: channel for channel in self.all_channels()}
        if name not in known:
            raise NoSuchName(f"there is no channel {name!r}{nearest(name, known)}")
        return known[name]


def load(path: str | os.PathLike[str] | None = None) -> Project:
    """Run and check a settings file.

    The file's folder becomes the first place that its imports are looked up in.

    Raises:
        SettingsError: the file is missing or cannot be run, or something hides
            the packages `nodes` or `msgstore`.
        SettingsProblems: all that is wrong with what it says.
    """
    file = find_settings(path)
    open_folder(file.parent)
    values = _settings_of(_run(file), file)
    return _build(values, file)


def open_folder(folder: Path) -> None:
    """Look imports up in a project's folder first.

    Raises:
        SettingsError: something hides the packages `nodes` or `msgstore`.
    """
    check_shared_names(folder)
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _build(values: Mapping[str, Any], file: Path) -> Project:
    config, problems = read_config(
        {"PROJECT_NAME": file.parent.name or "pichannels", **values},
        str(file),
        OBJECTS,
    )
    channels, places, declared = _with_declared(values.get("CHANNELS"), file)
    problems += declared.problems
    if channels or not declared.problems:
        problems += _channels_problems(channels, str(file), places)
    problems += _object_problems(values, str(file))
    problems += missing_extras(config, str(file))
    if problems:
        raise SettingsProblems(problems)
    store = values.get("MESSAGE_STORE")
    project = Project(list(channels or ()), config, file, store, declared)
    names = [channel.name for channel in project.all_channels()]
    if problems := list(unknown_channels(config.remote, names, str(file))):
        raise SettingsProblems(problems)
    project.persistence = values.get("PERSISTENCE")
    project.given = values
    return project


def _object_problems(values: Mapping[str, Any], file: str) -> Iterator[SettingsError]:
    for key, (kind, problem, place) in _KINDS.items():
        found = values.get(key)
        if found is not None and not isinstance(found, kind):
            allowed = f"a {kind.__name__}, such as {place} has"
            told: dict[str, Any] = {"file": file, "key": key, "found": _kind(found)}
            yield SettingsError(f"this {problem}", allowed=allowed, **told)


def _with_declared(channels: Any, file: Path) -> tuple[Any, list[str], Declared]:
    """The channels, with those of YAML files in place of what names the files.

    With what each is called in errors, and what was found in the files.
    """
    if not isinstance(channels, list | tuple):
        return channels, [], Declared()
    names = {
        number: entry
        for number, entry in enumerate(channels)
        if isinstance(entry, str | os.PathLike)
    }
    patterns = [(f"CHANNELS[{number}]", name) for number, name in names.items()]
    declared = read_files(patterns, file)
    found = iter(declared.channels)
    result: list[Any] = []
    places: list[str] = []
    for number, entry in enumerate(channels):
        more = next(found) if number in names else [entry]
        result += more
        places += [f"CHANNELS[{number}]"] * len(more)
    return result, places, declared


def _give_stores(channels: Iterable[BaseChannel], factory: MessageStoreFactory) -> None:
    for channel in channels:
        if channel.message_store is None:
            channel.message_store_factory = factory
            channel.message_store = factory.get_store(channel.name)


def _with_subchannels(channels: Iterable[BaseChannel]) -> Iterator[BaseChannel]:
    for channel in channels:
        yield channel
        yield from _with_subchannels(channel.subchannels())


# Running the file


def _run(file: Path) -> ModuleType:
    if file.suffix != ".py":
        raise SettingsError("no Python file; its name ends in .py", file=str(file))
    loader = _SettingsLoader(SETTINGS_MODULE, str(file))
    spec = importlib.util.spec_from_file_location(SETTINGS_MODULE, file, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    # Classes that are defined in the file have to be found by their module; those
    # of an earlier run too, when this one fails.
    before = sys.modules.get(SETTINGS_MODULE)
    sys.modules[SETTINGS_MODULE] = module
    importlib.invalidate_caches()
    try:
        loader.exec_module(module)
    except BaseException as exc:
        if before is not None:
            sys.modules[SETTINGS_MODULE] = before
        if isinstance(exc, KeyboardInterrupt):
            raise
        raise _explain(exc, file) from exc
    return module


class _SettingsLoader(SourceFileLoader):
    """Never takes code that was compiled of another state of the file.

    By its time and size, as Python does by default, a file that was changed within
    the same second would pass for the one before. Code of large files is kept with a
    hash of the text that it stands for.
    """

    def get_code(self, fullname: str) -> CodeType:
        source = self.get_data(self.path)
        if len(source) >= _WORTH_KEEPING and self._is_kept():
            kept = super().get_code(fullname)
            if kept is not None:
                return kept
        code: CodeType = self.source_to_code(source, self.path)
        return code

    def _is_kept(self) -> bool:
        """Whether compiled code is there that is known by its hash."""
        place = Path(cache_from_source(self.path))
        try:
            if place.is_file() and place.read_bytes()[4:8] == _BY_HASH:
                return True
            if sys.dont_write_bytecode:
                return False
            mode = PycInvalidationMode.CHECKED_HASH
            py_compile(self.path, doraise=True, invalidation_mode=mode)
        except (OSError, PyCompileError, NotImplementedError):
            # It cannot be kept, or compiled, which is told elsewhere.
            return False
        return True


def _explain(exc: BaseException, file: Path) -> SettingsError:
    """What went wrong while the file ran, with the line of the user's code."""
    if isinstance(exc, SyntaxError) and exc.filename:
        return SettingsError(
            f"{type(exc).__name__}: {exc.msg}", file=f"{exc.filename}:{exc.lineno}"
        )
    where = str(file)
    for frame in traceback.extract_tb(exc.__traceback__):
        if Path(frame.filename).is_relative_to(file.parent):
            where = f"{frame.filename}:{frame.lineno}"
    text = str(exc) or "no more is said"
    if not isinstance(exc, PichannelsError):
        text = f"{type(exc).__name__}: {text}"
    return SettingsError(text + _hint(exc), file=where)


def _hint(exc: BaseException) -> str:
    name = getattr(exc, "name", None)
    if isinstance(exc, NameError) and name:
        trace = list(traceback.walk_tb(exc.__traceback__))
        return nearest(name, [*trace[-1][0].f_globals]) if trace else ""
    if isinstance(exc, ModuleNotFoundError) and name:
        parent, _, _ = name.rpartition(".")
        return nearest(name, _modules_in(parent)) if parent else ""
    return ""


def _modules_in(package: str) -> list[str]:
    folders = getattr(sys.modules.get(package), "__path__", ())
    return [
        f"{package}.{file.stem}"
        for folder in folders
        for file in Path(folder).glob("*.py")
    ]


def _settings_of(module: ModuleType, file: Path) -> dict[str, Any]:
    """The upper-case names, without those that were only imported."""
    found = {
        name: value
        for name, value in vars(module).items()
        if name.isupper() and not name.startswith("_")
    }
    if not all(map(_is_setting, found)):
        for name in filterfalse(_is_setting, _imported_names(file)):
            found.pop(name, None)
    return found


def _is_setting(name: str) -> bool:
    return name in OBJECTS or name.lower() in Config.__struct_fields__


def _imported_names(file: Path) -> set[str]:
    tree = ast.parse(file.read_bytes())
    return {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }


# Checking the channels


def _channels_problems(
    channels: Any, file: str, places: Sequence[str]
) -> list[SettingsError]:
    allowed = "a list of channels and paths of YAML files, CHANNELS = [...]"
    if channels is None:
        return [
            SettingsError(
                "this setting is missing", file=file, key="CHANNELS", allowed=allowed
            )
        ]
    if not isinstance(channels, list | tuple):
        return [
            SettingsError(
                "this is no list",
                file=file,
                key="CHANNELS",
                found=_kind(channels),
                allowed=allowed,
            )
        ]
    if not channels:
        return [
            SettingsError(
                "the list is empty, so there is nothing to run",
                file=file,
                key="CHANNELS",
            )
        ]
    return list(_channel_problems(channels, file, places))


def _channel_problems(
    channels: Sequence[Any], file: str, places: Sequence[str] = ()
) -> Iterator[SettingsError]:
    names: dict[str, int] = {}
    seen: list[BaseChannel] = []
    seen_at: list[int] = []
    for number, channel in enumerate(channels):
        key = _place(places, number)
        problem = _wrong_kind(channel)
        if problem:
            yield SettingsError(
                problem, file=file, key=key, found=_kind(channel), allowed="channels"
            )
            continue
        if any(channel is other for other in seen):
            yield SettingsError(
                f"channel {channel.name!r} is listed twice", file=file, key=key
            )
            continue
        seen.append(channel)
        seen_at.append(number)
        for each in _with_subchannels([channel]):
            first = names.setdefault(each.name, number)
            if first != number:
                yield SettingsError(
                    f"{_place(places, first)} has a channel {each.name!r} too; names"
                    " are unique in a project: name='...'",
                    file=file,
                    key=key,
                )
    for number, told in taken_twice(seen):
        yield SettingsError(told, file=file, key=_place(places, seen_at[number]))


def _place(places: Sequence[str], number: int) -> str:
    return places[number] if places else f"CHANNELS[{number}]"


def _wrong_kind(channel: Any) -> str:
    if isinstance(channel, BaseChannel):
        if channel.parent is None:
            return ""
        return (
            f"{channel.name!r} is a sub-channel; list the channel that it belongs to,"
            f" {channel.parent.name!r}"
        )
    if isinstance(channel, type) and issubclass(channel, BaseChannel):
        return f"{channel.__name__} is a class; call it: {channel.__name__}(...)"
    return "this is no channel"


def _kind(value: object) -> object:
    """The value, or what kind of thing it is when it is too long to show."""
    return value if len(repr(value)) <= 60 else f"a {type(value).__name__}"
