"""The channels of a project, for `CHANNELS` in its settings."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from pichannels.channels import BaseChannel
from pichannels.errors import SettingsError
from pichannels.pypeman.conf import settings
from pichannels.pypeman.registry import fresh

__all__ = ["load", "load_project"]

_IMPORTED: Final = "_pichannels_imported"
"""Where a module keeps the names of those beside it that it has imported."""


def load(module: str = "project") -> list[BaseChannel]:
    """Run a module and give the channels that it makes, in their order.

    It runs anew each time, with what it imports from its own folder: channels are
    made where a module runs.

    Args:
        module: its dotted name, as in pypeman's `PROJECT_MODULE`.

    Raises:
        SettingsError: there is no such module, or it makes no channels.
    """
    spec = importlib.util.find_spec(module)
    if spec is None or spec.loader is None or spec.origin is None:
        raise SettingsError(
            f"there is no module {module!r} beside the settings", key="CHANNELS"
        )
    with fresh() as registry, _anew(spec) as found:
        spec.loader.exec_module(found)
        if not registry.channels:
            raise SettingsError(
                f"{spec.origin} makes no channels; are they made with"
                " `from pichannels.pypeman import channels`?",
                key="CHANNELS",
            )
    return list(registry.channels)


def load_project() -> list[BaseChannel]:
    """`load` of the module that the setting `PROJECT_MODULE` names.

    Raises:
        ConfigError: there are no settings.
        SettingsError: there is no such module, or it makes no channels.
    """
    settings.raise_for_missing()
    return load(settings.PROJECT_MODULE)


@contextmanager
def _anew(spec: ModuleSpec) -> Iterator[ModuleType]:
    """A module without those of its folder that it imported the last time.

    They are there again where this fails.
    """
    found = importlib.util.module_from_spec(spec)
    before: Any = sys.modules.get(spec.name)
    gone = [spec.name, *getattr(before, _IMPORTED, ())]
    kept = {name: sys.modules.pop(name) for name in gone if name in sys.modules}
    others = {*sys.modules, spec.name}
    sys.modules[spec.name] = found
    try:
        yield found
    except BaseException:
        for name in [spec.name, *_beside(found, others)]:
            sys.modules.pop(name, None)
        sys.modules.update(kept)
        raise
    setattr(found, _IMPORTED, _beside(found, others))


def _beside(module: ModuleType, others: set[str]) -> list[str]:
    """The modules in its folder that are new."""
    folder = Path(str(module.__file__)).parent
    return [
        name
        for name, each in sys.modules.items()
        if name not in others and _is_in(folder, getattr(each, "__file__", None))
    ]


def _is_in(folder: Path, file: str | None) -> bool:
    return file is not None and Path(file).parent.is_relative_to(folder)
