"""The generated reference has every node, source and store, with every option."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import re
from collections.abc import Iterator, Mapping
from types import ModuleType

import click
import pytest

from pichannels.channels import BaseChannel
from pichannels.cli import cli
from pichannels.config import Config, keys_of
from pichannels.declarative.catalogue import CHANNELS, NODES, STORES, Family
from pichannels.declarative.signatures import Signature
from pichannels.node import BaseNode
from tests.docs.pages import DOCS

FAMILIES = {"nodes": NODES, "channels": CHANNELS, "stores": STORES}
COMMON: dict[str, type] = {"nodes": BaseNode, "channels": BaseChannel, "stores": object}


def hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generated", DOCS / "generated.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generated = hook()


def offered(family: Family) -> Iterator[type]:
    """The classes that modules offer, found without the catalogue."""
    package = importlib.import_module(family.package)
    for info in pkgutil.iter_modules(package.__path__):
        if info.name.startswith("_"):
            continue
        module = importlib.import_module(f"{family.package}.{info.name}")
        for name in getattr(module, "__all__", []):
            found = getattr(module, name)
            if isinstance(found, type) and issubclass(found, family.base):
                yield found


def part(name: str) -> str:
    return "\n".join(generated.PARTS[name]())


def section(name: str, title: str) -> str:
    found = re.search(rf"^#+ \S*{title}\n(.*?)(?=^#|\Z)", part(name), re.M | re.S)
    assert found, f"{name} has no section {title!r}"
    return found[1]


CLASSES = [
    pytest.param(name, title, kind, id=f"{name}:{title}")
    for name, family in FAMILIES.items()
    for title, kind in generated.public_classes(family).items()
    if kind is not BaseChannel
]


@pytest.mark.parametrize("name", FAMILIES)
def test_every_public_class_is_in_the_reference(name: str) -> None:
    shown = set(generated.public_classes(FAMILIES[name]).values())
    family = FAMILIES[name]
    made = {kind for kind in offered(family) if not inspect.isabstract(kind)}
    assert made - {family.base} == shown


@pytest.mark.parametrize(("name", "title", "kind"), CLASSES)
def test_every_option_is_in_the_reference(name: str, title: str, kind: type) -> None:
    own = set(Signature(kind).fields) - set(Signature(COMMON[name]).fields)
    rows = set(re.findall(r"^\| `(\w+)` \|", section(name, title), re.M))
    assert own <= rows


@pytest.mark.parametrize(("name", "title", "kind"), CLASSES)
def test_every_option_has_a_meaning(name: str, title: str, kind: type) -> None:
    fields = Signature(kind).fields
    assert [option for option, field in fields.items() if not field.help] == []


@pytest.mark.parametrize("name", ["common_node_options", "common_channel_options"])
def test_common_options_have_a_meaning(name: str) -> None:
    rows = re.findall(r"^\| `\w+` \|.*\| (.*) \|$", part(name), re.M)
    assert len(rows) > 6 and all(rows)


def test_every_node_has_a_section_of_its_own() -> None:
    page = (DOCS / "nodes.md").read_text("utf-8")
    told = re.findall(r"^### (\w+\.\w+)$", page, re.M)
    assert sorted(told) == sorted(generated.public_classes(NODES))


@pytest.mark.parametrize(("title", "kind"), generated.public_classes(NODES).items())
def test_the_section_of_a_node_tells_its_options(title: str, kind: type) -> None:
    page = (DOCS / "nodes.md").read_text("utf-8")
    told = page.partition(f"### {title}\n")[2].partition("\n### ")[0]
    own = set(Signature(kind).fields) - set(Signature(BaseNode).fields)
    assert [option for option in own if f"`{option}`" not in told] == []


def test_stores_and_channels_have_a_page() -> None:
    pages = "".join(page.read_text("utf-8") for page in DOCS.rglob("*.md"))
    kinds = [*generated.public_classes(STORES).values()]
    kinds += [*generated.public_classes(CHANNELS).values()]
    assert [kind for kind in kinds if kind.__name__ not in pages] == []


def test_every_setting_is_in_the_reference() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \|", part("settings"), re.M)
    assert rows == keys_of(Config)


def test_every_command_is_in_the_reference() -> None:
    told = set(re.findall(r"^#+ pichannels (.+)$", part("commands"), re.M))
    assert told == set(calls_of(cli.commands))


def calls_of(commands: Mapping[str, click.Command], start: str = "") -> Iterator[str]:
    """How each command is called, and those below it."""
    for name, command in commands.items():
        yield f"{start}{name}"
        if isinstance(command, click.Group):
            yield from calls_of(command.commands, f"{start}{name} ")


def test_notes_for_tests_are_not_shown() -> None:
    page = "<!-- example: code\nx = 1\n-->\n\ntext\n"
    assert generated.on_page_markdown(page) == "\ntext\n"


def test_bars_in_code_are_shown_as_bars() -> None:
    row = r"| `str \| None` | a \| b |"
    assert generated.on_page_markdown(row) == r"| `str | None` | a \| b |"
