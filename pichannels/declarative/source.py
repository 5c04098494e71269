"""YAML text as values that know where they stand.

References in texts (`${env:NAME}` and the like) are replaced here, so that nothing
that reads a value meets them; what was written is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from pichannels.errors import SettingsError
from pichannels.secrets import Secret, expand

__all__ = ["At", "Problems", "kind_of", "read_yaml", "shown"]

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TEXT_TAG: Final = "tag:yaml.org,2002:str"
_MERGE_TAG: Final = "tag:yaml.org,2002:merge"
_MOST_NODES: Final = 2_000_000
_DEEPEST: Final = 100
_SHOWN_AT_MOST: Final = 60

Problems = list[SettingsError]


class At:
    """A value of a file, with its place.

    Attributes:
        value: a scalar, a `Secret`, a list of `At`, or a dict of keys to `At`.
        file: the file.
        line: where it begins, from 1.
        key_line: where its key stands, for values of a mapping.
        path: the keys that lead to it, such as `channels[0].nodes[2]`.
        raw: a scalar as it was written, with its references.
    """

    __slots__ = ("file", "key_line", "line", "path", "raw", "value")

    def __init__(self, value: Any, file: Path, line: int, path: str) -> None:
        self.value = value
        self.raw = value
        self.file = file
        self.line = self.key_line = line
        self.path = path

    @property
    def is_from_variable(self) -> bool:
        """Whether it is text because a variable stood there."""
        return self.raw is not self.value and isinstance(self.value, str)

    @property
    def where(self) -> str:
        """File and line."""
        return f"{self.file}:{self.line}"

    def problem(
        self,
        text: str,
        *,
        found: Any = None,
        allowed: str | None = None,
        at_key: bool = False,
    ) -> SettingsError:
        """What is wrong with this value."""
        line = self.key_line if at_key else self.line
        return SettingsError(
            text,
            file=f"{self.file}:{line}",
            key=self.path,
            found=found,
            allowed=allowed,
        )

    def plain(self) -> Any:
        """The value without places."""
        if isinstance(self.value, list):
            return [item.plain() for item in self.value]
        if isinstance(self.value, dict):
            return {key: item.plain() for key, item in self.value.items()}
        return self.value

    def walk(self) -> Iterator[tuple[Any, At]]:
        """All values in it with their keys; an item of a list has that of the list."""
        children = self.value if isinstance(self.value, dict) else {}
        for key, child in children.items():
            yield key, child
            yield from child.walk()
        for child in self.value if isinstance(self.value, list) else ():
            yield None, child
            yield from child.walk()


def kind_of(at: At) -> str:
    """What kind of value it is, in the words of YAML."""
    value = at.value
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return shown(value)


def shown(value: Any) -> str:
    """A scalar for an error."""
    if value is None:
        return "nothing"
    text = str(value) if isinstance(value, Secret) else repr(value)
    return text if len(text) <= _SHOWN_AT_MOST else f"{text[:_SHOWN_AT_MOST]}..."


def read_yaml(file: Path, folder: Path) -> tuple[At, Problems]:
    """The document in a file, and what is wrong with single values of it.

    Args:
        file: one YAML document.
        folder: what paths in references are relative to.

    Raises:
        SettingsError: the file cannot be read, or is no YAML.
    """
    try:
        loader = _Loader(file.read_text("utf-8"))
    except OSError as exc:
        raise SettingsError(f"cannot be read: {exc.strerror}", file=str(file)) from exc
    except (UnicodeDecodeError, yaml.YAMLError) as exc:
        raise SettingsError(f"this is no YAML: {_reason(exc)}", file=str(file)) from exc
    try:
        node = loader.get_single_node()
        if node is None:
            raise SettingsError("the file is empty", file=str(file))
        reader = _Reader(loader, file, folder)
        return reader.read(node, ""), reader.problems
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        where = f"{file}:{mark.line + 1}" if mark else str(file)
        raise SettingsError(f"this is no YAML: {_reason(exc)}", file=where) from exc
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        raise SettingsError(f"this is no YAML: {_reason(exc)}", file=str(file)) from exc
    finally:
        loader.dispose()


def _reason(exc: Exception) -> str:
    return getattr(exc, "problem", None) or str(exc).partition("\n")[0]


class _Reader:
    """Turns the nodes of one document into values with places."""

    def __init__(self, loader: Any, file: Path, folder: Path) -> None:
        self._loader = loader
        self._file = file
        self._folder = folder
        self._open: set[int] = set()
        self._left = _MOST_NODES
        self.problems: Problems = []

    def read(self, node: yaml.Node, path: str) -> At:
        at = At(None, self._file, node.start_mark.line + 1, path)
        self._left -= 1
        if self._left < 0 or len(self._open) > _DEEPEST or id(node) in self._open:
            raise at.problem("there is no end to this: aliases (*) repeat too much")
        if isinstance(node, yaml.ScalarNode):
            self._read_scalar(node, at)
            return at
        self._open.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            at.value = [
                self.read(item, f"{path}[{number}]")
                for number, item in enumerate(node.value)
            ]
        else:
            at.value = self._mapping(node, at)
        self._open.discard(id(node))
        return at

    def _mapping(self, node: yaml.Node, at: At) -> dict[Any, At]:
        own = [pair for pair in node.value if pair[0].tag != _MERGE_TAG]
        self._refuse_twice(own, at)
        if len(own) < len(node.value):
            self._loader.flatten_mapping(node)
        found: dict[Any, At] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, at)
            child = self.read(value_node, f"{at.path}.{key}" if at.path else str(key))
            child.key_line = key_node.start_mark.line + 1
            found[key] = child
        return found

    def _key(self, node: yaml.Node, at: At) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            raise at.problem("keys are texts or numbers")
        if node.tag == _TEXT_TAG:
            return node.value
        return self._loader.construct_object(node)

    def _refuse_twice(self, pairs: list[tuple[yaml.Node, yaml.Node]], at: At) -> None:
        first: dict[Any, int] = {}
        for key_node, _ in pairs:
            key = self._key(key_node, at)
            line = key_node.start_mark.line + 1
            if first.setdefault(key, line) != line:
                self.problems.append(
                    SettingsError(
                        f"{key!r} stands in line {first[key]} already; once is enough",
                        file=f"{self._file}:{line}",
                        key=f"{at.path}.{key}" if at.path else str(key),
                    )
                )

    def _read_scalar(self, node: yaml.ScalarNode, at: At) -> None:
        if node.tag != _TEXT_TAG:
            at.value = at.raw = self._loader.construct_object(node)
            return
        at.value = at.raw = node.value
        if "${" not in node.value:
            return
        try:
            at.value = expand(node.value, self._folder)
        except SettingsError as exc:
            self.problems.append(
                at.problem(exc.problem, found=exc.found, allowed=exc.allowed)
            )
