"""Secrets that are written in clear, in the settings file and what belongs to it.

What counts is the text of the files: a password that comes from elsewhere is none.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pichannels.declarative.source import At, read_yaml
from pichannels.errors import SettingsError
from pichannels.lints.finding import Finding
from pichannels.project import SETTINGS_MODULE, Project

__all__ = ["CODE", "find_clear_secrets"]

CODE: Final = "PC103"

_SECRET_KEY: Final = re.compile(
    r"(^|[^a-z])(auth|authori[sz]ation|bearer|credentials?|pass(word|wd|phrase)?|pwd"
    r"|secret|token|cookie|api[^a-z]?key|access[^a-z]?key|private[^a-z]?key)([^a-z]|$)",
    re.IGNORECASE,
)
# Where a token is had from is no secret, nor is the name of a way to have one.
_PLACE: Final = re.compile(r"ur[il]$|^client_credentials$", re.IGNORECASE)
# The arguments of logins that are secret, by their place.
_LOGINS: Final = {
    "Basic": (1, "password"),
    "Bearer": (0, "token"),
    "ClientCredentials": (2, "client_secret"),
    "NTLM": (1, "password"),
    "Negotiate": (1, "password"),
}
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_USER_IN_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s@]+@", re.I)
_REFERENCE: Final = "${"
_OURS: Final = ("pichannels", "nodes", "msgstore")
_INSTALLED: Final = ("site-packages", "dist-packages")
_IN_CLEAR: Final = "this is in clear; refer to it instead: {}"
_IN_URL: Final = "this URL has a password in clear; give it with auth, as a reference"
_PYTHON_WAY: Final = 'Secret.env("NAME")'
_YAML_WAY: Final = "${env:NAME}"


def is_secret_key(key: object) -> bool:
    """Whether what has this name is a secret, as far as the name tells."""
    if not isinstance(key, str) or _PLACE.search(key):
        return False
    return bool(_SECRET_KEY.search(_CAMEL.sub("_", key)))


def find_clear_secrets(project: Project) -> Iterator[Finding]:
    """Literal secrets in the settings, in the project's modules and YAML files."""
    for file in _python_files(project):
        yield from _in_python(file)
    for file in project.files:
        yield from _in_yaml(file, project.folder)


def _python_files(project: Project) -> Iterator[Path]:
    """The settings file, and the modules of the project that are imported."""
    if project.path is None:
        return
    yield project.path
    ours = [Path(__file__).parents[2] / name for name in _OURS]
    for name, module in sorted(sys.modules.items()):
        found = getattr(module, "__file__", None)
        file = Path(found) if isinstance(found, str) else Path()
        if (
            name != SETTINGS_MODULE
            and file.suffix == ".py"
            and file.is_relative_to(project.folder)
            and not any(file.is_relative_to(folder) for folder in ours)
            and not set(file.parts) & set(_INSTALLED)
            and file != project.path
        ):
            yield file


# Python


def _in_python(file: Path) -> Iterator[Finding]:
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    for key, value in _named_values(tree):
        for literal in _literals(value) if is_secret_key(key) else ():
            text = _IN_CLEAR.format(_PYTHON_WAY)
            yield _finding(file, literal.lineno, key, text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and _has_user(node.value):
            yield _finding(file, node.lineno, "URL", _IN_URL)


def _named_values(tree: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Arguments, entries of dictionaries, and what is assigned."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg:
            yield node.arg, node.value
        elif isinstance(node, ast.Call):
            yield from _secret_argument(node)
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    yield key.value, value
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name | ast.Attribute):
                    yield getattr(target, "id", getattr(target, "attr", "")), node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            if node.value is not None:
                yield node.target.id, node.value


def _secret_argument(call: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    """The password of a login that is made with it, without its name."""
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    place, argument = _LOGINS.get(name, (len(call.args), ""))
    if place < len(call.args):
        yield argument, call.args[place]


def _literals(value: ast.expr) -> Iterator[ast.Constant]:
    """The secret in a literal: the last of a pair, any of a mapping."""
    if isinstance(value, ast.Constant):
        if isinstance(value.value, str | bytes) and value.value:
            yield value
    elif isinstance(value, ast.Tuple | ast.List) and value.elts:
        yield from _literals(value.elts[-1])
    elif isinstance(value, ast.Dict):
        # Entries with telling names are found by themselves.
        for key, item in zip(value.keys, value.values, strict=True):
            name = key.value if isinstance(key, ast.Constant) else None
            if not is_secret_key(name):
                yield from _literals(item)


def _has_user(text: object) -> bool:
    return isinstance(text, str) and bool(_USER_IN_URL.search(text))


def _finding(file: Path, line: int, key: object, text: str) -> Finding:
    return Finding(CODE, f"{file}:{line}", str(key), text)


# YAML


def _in_yaml(file: Path, folder: Path) -> Iterator[Finding]:
    try:
        document, _ = read_yaml(file, folder)
    except SettingsError:
        return
    for key, at in document.walk():
        if is_secret_key(key):
            for found in _clear(at):
                yield _at(found, _IN_CLEAR.format(_YAML_WAY))
        elif _has_user(at.raw) and not _is_reference(at.raw):
            yield _at(at, _IN_URL)


def _clear(at: At) -> Iterator[At]:
    if isinstance(at.value, list) and at.value:
        yield from _clear(at.value[-1])
    elif isinstance(at.value, dict):
        for key, child in at.value.items():
            # The parts of a login have names that tell.
            if not is_secret_key(key) and not isinstance(child.value, dict):
                yield from _clear(child)
    elif isinstance(at.raw, str) and at.raw and not _is_reference(at.raw):
        yield at


def _is_reference(raw: Any) -> bool:
    return isinstance(raw, str) and _REFERENCE in raw


def _at(at: At, text: str) -> Finding:
    return Finding(CODE, at.where, at.path, text)
