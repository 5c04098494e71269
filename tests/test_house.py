"""What every module of the three packages keeps to; ruff and mypy see to the rest."""

from __future__ import annotations

import ast
import functools
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
FILES = sorted(
    file.relative_to(ROOT)
    for package in ("pichannels", "nodes", "msgstore")
    for file in (ROOT / package).rglob("*.py")
)
OURS = {"pichannels", "nodes", "msgstore"}
# What `install_requires` brings, by the names that are imported; yarl has the URLs
# of aiohttp.
REQUIRED = {"aiocron", "aiohttp", "click", "msgspec", "rich", "yaml", "yarl"}
UNSAFE = {"dill", "marshal", "pickle", "shelve"}
# A program of its own, which takes plain data alone and which nothing imports.
READS_PICKLES = "pichannels.moving.unpickle"
# What systems differ in: it imports what the one that it runs on has.
READS_KEYS = "pichannels.cli.keyboard"
POSIX_ONLY = {"fcntl", "grp", "pwd", "resource", "syslog", "termios"}
LONGEST_MODULE, LONGEST_FUNCTION = 500, 60

Function = ast.FunctionDef | ast.AsyncFunctionDef


def named(file: Path) -> str:
    parts = file.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {named(file): file for file in FILES}


@functools.cache
def parsed(name: str) -> ast.Module:
    return ast.parse((ROOT / MODULES[name]).read_text("utf-8"))


def imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Module and name of each import; the name is "" where the module is meant."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)


def roots(name: str) -> set[str]:
    return {module.partition(".")[0] for module, _ in imported(parsed(name))}


def functions(name: str) -> Iterator[Function]:
    for node in ast.walk(parsed(name)):
        if isinstance(node, Function):
            yield node


def is_public(name: str) -> bool:
    has_code = len(parsed(name).body) > 1
    return has_code and not name.rpartition(".")[2].startswith("_")


def public_names(name: str) -> list[str]:
    return list(importlib.import_module(name).__all__)


def test_every_public_module_declares_its_names() -> None:
    modules = {n: importlib.import_module(n) for n in filter(is_public, MODULES)}
    assert [n for n, found in modules.items() if not hasattr(found, "__all__")] == []


def test_declared_names_exist() -> None:
    missing = [
        f"{name}.{each}"
        for name in filter(is_public, MODULES)
        for each in public_names(name)
        if not hasattr(importlib.import_module(name), each)
    ]
    assert missing == []


def test_names_that_other_folders_import_are_declared() -> None:
    missing = [
        f"{name} imports {other}.{wanted}"
        for name in MODULES
        for other, wanted in imported(parsed(name))
        if other in MODULES
        and MODULES[other].parent != MODULES[name].parent
        and f"{other}.{wanted}" not in MODULES
        and wanted not in public_names(other)
    ]
    assert missing == []


def test_only_what_is_required_is_imported() -> None:
    allowed = OURS | REQUIRED | sys.stdlib_module_names
    foreign = {name: roots(name) - allowed for name in MODULES}
    foreign["pichannels.pytest_plugin"] -= {"pytest"}
    foreign["pichannels.adapters.asgi"] -= {"starlette", "uvicorn"}
    foreign["pichannels.adapters.avro_records"] -= {"fastavro"}
    foreign["pichannels.adapters.ftp"] -= {"aioftp"}
    foreign["pichannels.adapters.hl7_messages"] -= {"hl7"}
    foreign["pichannels.adapters.notify"] -= {"watchfiles"}
    foreign["pichannels.adapters.otel"] -= {"opentelemetry"}
    foreign["pichannels.adapters.pandas_tables"] -= {"pandas"}
    foreign["pichannels.adapters.pint_units"] -= {"pint"}
    foreign["pichannels.adapters.polars_tables"] -= {"polars"}
    foreign["pichannels.adapters.postgres"] -= {"asyncpg"}
    foreign["pichannels.adapters.protobuf_messages"] -= {"google"}
    foreign["pichannels.adapters.protobuf_sources"] -= {"google"}
    foreign["pichannels.adapters.protobuf_texts"] -= {"google"}
    foreign["pichannels.adapters.rocks"] -= {"rocksdict"}
    foreign["pichannels.adapters.xml_documents"] -= {"defusedxml", "xmltodict"}
    foreign["pichannels.streaming.filesystem"] -= {"fsspec"}
    # All of it is the adapter of what serves it; nothing else imports it.
    for name in [n for n in foreign if n.startswith("pichannels.ui.")]:
        foreign[name] -= {"fastapi", "nicegui", "starlette", "uvicorn"}
    assert {name: found for name, found in foreign.items() if found} == {}


def test_nothing_unsafe_or_unportable_is_imported() -> None:
    refused = UNSAFE | POSIX_ONLY
    found = {name for name in MODULES if roots(name) & refused}
    assert found == {READS_KEYS, READS_PICKLES}


def test_nothing_imports_what_reads_pickles() -> None:
    modules = {f"{m}.{n}" for name in MODULES for m, n in imported(parsed(name))}
    assert not {name for name in modules if name.startswith(READS_PICKLES)}


def test_no_text_is_run_as_code() -> None:
    found = [
        f"{name}, line {node.lineno}: {node.func.id}"
        for name in MODULES
        for node in ast.walk(parsed(name))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"compile", "eval", "exec", "__import__"}
    ]
    assert found == []


def test_imports_stand_at_the_top() -> None:
    late = [
        f"{name}.{function.name}"
        for name in MODULES
        for function in functions(name)
        if any(imported(function))
    ]
    assert late == []


def test_modules_are_short() -> None:
    lines = {
        name: len((ROOT / file).read_text("utf-8").splitlines())
        for name, file in MODULES.items()
    }
    assert {n: count for n, count in lines.items() if count > LONGEST_MODULE} == {}


def test_functions_are_short() -> None:
    long = [
        f"{name}.{function.name}: {length(function)} lines"
        for name in MODULES
        for function in functions(name)
        if length(function) > LONGEST_FUNCTION
    ]
    assert long == []


def length(function: Function) -> int:
    """Lines of the body, without the docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    if not body:
        return 0
    return (body[-1].end_lineno or 0) - body[0].lineno + 1


def test_modules_say_what_they_are_for() -> None:
    docs = {name: ast.get_docstring(parsed(name)) or "" for name in MODULES}
    silent = [
        n for n, doc in docs.items() if not doc.partition("\n\n")[0].endswith(".")
    ]
    assert silent == []


def test_each_error_of_a_docstring_says_when_it_is_raised() -> None:
    # The generated reference has a row for each.
    item = re.compile(r"^[A-Za-z][\w.]*(, [A-Z][\w.]*)*: \S")
    loose = [
        f"{name}: {line}"
        for name in MODULES
        for doc in docstrings(parsed(name))
        for line in raised(doc)
        if not item.match(line)
    ]
    assert loose == []


def docstrings(tree: ast.Module) -> Iterator[str]:
    for one in ast.walk(tree):
        if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield ast.get_docstring(one) or ""


def raised(doc: str) -> list[str]:
    """The items of the section `Raises:`, without the lines that go on."""
    section = doc.partition("\nRaises:\n")[2].partition("\n\n")[0]
    return [x[4:] for x in section.split("\n") if x.startswith("    ") and x[4] != " "]
