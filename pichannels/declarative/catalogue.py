"""Names in YAML files to classes: ours, those of plug-ins, and the project's own."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

from pichannels.channels import BaseChannel
from pichannels.errors import SettingsError, nearest
from pichannels.node import BaseNode
from pichannels.plugins import Plugin, find_plugins
from pichannels.store import MessageStoreFactory

__all__ = ["CHANNELS", "NODES", "STORES", "Catalogue", "Family"]


class Family(NamedTuple):
    """One kind of classes: what they are, and where ours are."""

    what: str
    base: type
    package: str
    plugins: str
    has_short_names: bool


NODES: Final = Family("node", BaseNode, "nodes", "nodes", False)
CHANNELS: Final = Family("source", BaseChannel, "pichannels.channels", "channels", True)
STORES: Final = Family("store", MessageStoreFactory, "msgstore", "stores", True)

_INSTALLED: Final = ("site-packages", "dist-packages")


class Catalogue:
    """Finds classes by the names that files give them.

    `decode.PI` is `nodes.decode.PI`; the same goes for sources in
    `pichannels.channels` and stores in `msgstore`, where the module alone will do
    (`pi`, `sqlite`) as long as it has one class. Plug-ins have the names of their
    entry points. Other modules have to be the project's own.

    Args:
        folder: of the project; what lies in it is its own.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._found: dict[tuple[str, str], type] = {}
        self._plugins: dict[str, list[Plugin]] = {}

    def find(self, family: Family, name: str) -> type:
        """The class with this name.

        Raises:
            SettingsError: there is none; offers the nearest name.
        """
        key = (family.what, name)
        if key not in self._found:
            self._found[key] = self._looked_up(family, name)
        return self._found[key]

    def _looked_up(self, family: Family, name: str) -> type:
        plugin = self._plugin(family, name)
        if plugin is not None:
            return _checked(family, plugin.load(), name)
        short = name.removeprefix(f"{family.package}.")
        module_name, _, attribute = short.rpartition(".")
        if any(part.startswith("_") for part in short.split(".")):
            raise self._unknown(family, name)
        if not module_name:
            return self._only_one(family, short)
        module = _imported(f"{family.package}.{module_name}")
        if module is None and self._is_own(module_name):
            module = _imported(module_name)
        if module is None:
            raise self._unknown(family, name)
        wanted: object = vars(module).get(attribute)
        for found in _classes_in(module, family):
            if found is wanted:
                return found
        raise self._unknown(family, name)

    def _plugin(self, family: Family, name: str) -> Plugin | None:
        found = [p for p in self._installed(family) if p.name == name]
        if len(found) > 1:
            names = " and ".join(plugin.distribution for plugin in found)
            raise SettingsError(
                f"{names} both have a {family.what} {name!r}; uninstall one of them"
            )
        return found[0] if found else None

    def _installed(self, family: Family) -> list[Plugin]:
        if family.plugins not in self._plugins:
            self._plugins[family.plugins] = find_plugins(family.plugins)
        return self._plugins[family.plugins]

    def _only_one(self, family: Family, name: str) -> type:
        """The one class of a module, which may stand for it."""
        module = None
        if family.has_short_names and name.isidentifier():
            module = _imported(f"{family.package}.{name}")
        found = list(_classes_in(module, family)) if module else []
        if len(found) != 1:
            raise self._unknown(family, name)
        return found[0]

    def _unknown(self, family: Family, name: str) -> SettingsError:
        known = [*self.names(family)]
        hint = nearest(name, known)
        allowed = ", ".join(known)
        return SettingsError(
            f"there is no {family.what} {name!r}{hint}", allowed=allowed
        )

    def names(self, family: Family) -> dict[str, type]:
        """All names and their classes; modules that cannot be imported are left out."""
        found: dict[str, type] = {}
        for module in _modules_in(family.package):
            short = module.__name__.removeprefix(f"{family.package}.")
            classes = list(_classes_in(module, family))
            if family.has_short_names and len(classes) == 1:
                found[short] = classes[0]
            found |= {f"{short}.{kind.__name__}": kind for kind in classes}
        for plugin in self._installed(family):
            try:
                found[plugin.name] = self.find(family, plugin.name)
            except SettingsError:
                continue
        return found

    # The project's own

    def own_object(self, name: str) -> Any:
        """The object with this dotted name in a module of the project's own.

        Raises:
            SettingsError: there is none, or it is not the project's own.
        """
        module_name, _, attribute = name.rpartition(".")
        shared = module_name.startswith(("nodes.", "msgstore."))
        if not module_name or not (shared or self._is_own(module_name)):
            raise SettingsError(
                f"{name!r} is in no module of this project",
                allowed=f"module.name, for a module in {self.folder}",
            )
        module = _imported(module_name)
        if module is None:
            raise SettingsError(f"there is no module {module_name!r}")
        if not hasattr(module, attribute) or attribute.startswith("_"):
            hint = nearest(attribute, vars(module))
            raise SettingsError(f"{module_name} has no {attribute!r}{hint}")
        return getattr(module, attribute)

    def _is_own(self, name: str) -> bool:
        """Whether the module lies in the project's folder."""
        root = name.partition(".")[0]
        try:
            spec = importlib.util.find_spec(root)
        except (ImportError, ValueError):
            return False
        if spec is None:
            return False
        places = [spec.origin] if spec.has_location else []
        places += list(spec.submodule_search_locations or ())
        return any(
            place is not None
            and Path(place).is_relative_to(self.folder)
            and not set(Path(place).parts) & set(_INSTALLED)
            for place in places
        )


def _checked(family: Family, found: Any, name: str) -> type:
    if isinstance(found, type) and issubclass(found, family.base):
        if inspect.isabstract(found):
            raise SettingsError(f"{name!r} is abstract; name a class made from it")
        return found
    raise SettingsError(
        f"{name!r} is no {family.what}", allowed=f"classes of {family.base.__name__}"
    )


def _classes_in(module: ModuleType, family: Family) -> Iterator[type]:
    """The classes that a module offers, without those that it only uses."""
    offered = getattr(module, "__all__", None)
    for name, found in vars(module).items():
        is_offered = (
            name in offered
            if offered is not None
            else getattr(found, "__module__", "") == module.__name__
        )
        if (
            is_offered
            and not name.startswith("_")
            and isinstance(found, type)
            and issubclass(found, family.base)
            and found is not family.base
            and not inspect.isabstract(found)
        ):
            yield found


def _modules_in(package: str) -> Iterator[ModuleType]:
    parent = importlib.import_module(package)
    for info in sorted(pkgutil.iter_modules(parent.__path__), key=lambda i: i.name):
        if info.name.startswith("_"):
            continue
        try:
            module = _imported(f"{package}.{info.name}")
        except SettingsError:
            # Mostly one whose library is not installed.
            continue
        if module is not None:
            yield module


def _imported(name: str) -> ModuleType | None:
    """The module, or None when there is none.

    Raises:
        SettingsError: there is one, and its import fails.
    """
    if not all(part.isidentifier() for part in name.split(".")):
        return None
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name and (name == exc.name or name.startswith(f"{exc.name}.")):
            return None
        raise _failed(name, exc) from exc
    except Exception as exc:
        raise _failed(name, exc) from exc


def _failed(name: str, exc: Exception) -> SettingsError:
    told = f"{type(exc).__name__}: {exc}"
    if isinstance(exc, SyntaxError) and exc.filename:
        return SettingsError(f"{exc.filename}:{exc.lineno}: {told}")
    frames = traceback.extract_tb(exc.__traceback__)
    last = next((f for f in reversed(frames) if _belongs(f.filename, name)), None)
    where = f" ({last.filename}:{last.lineno})" if last else ""
    return SettingsError(f"module {name!r} cannot be imported{where}: {told}")


def _belongs(file: str, module: str) -> bool:
    """Whether it is the file of the module, as far as its name tells."""
    last = module.rpartition(".")[2]
    return Path(file).stem == last or Path(file).parent.name == last
