"""Plug-ins: found by entry points, and broken ones cost themselves alone."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pichannels.declarative.catalogue import NODES, Catalogue
from pichannels.errors import SettingsError
from pichannels.plugins import Plugin, find_plugins

if TYPE_CHECKING:
    from tests.cli.folders import Folder

ACME = """\
import click
from pichannels.channels import BaseChannel
from pichannels.node import BaseNode
from msgstore.memory import MemoryMessageStoreFactory

class Source(BaseChannel):
    def __init__(self, *args, rate: float = 1.0, **options):
        super().__init__(*args, **options)
        self.rate = rate

class Smooth(BaseNode):
    def __init__(self, window: int, **options):
        super().__init__(**options)
        self.window = window

class Stores(MemoryMessageStoreFactory):
    pass

@click.command(short_help="Say hello.")
def hello():
    click.echo("hello from acme")
"""
POINTS = """\
[pichannels.channels]
acme = acme_plugin:Source
[pichannels.nodes]
acme.Smooth = acme_plugin:Smooth
[pichannels.stores]
acme = acme_plugin:Stores
[pichannels.commands]
hello = acme_plugin:hello
"""
BROKEN = """\
[pichannels.nodes]
broken.Node = broken_plugin:Node
[pichannels.commands]
broken = broken_plugin:command
check = acme_plugin:hello
odd = acme_plugin:ACME
"""
YAML = """\
channels:
- name: a
  source: {acme: {rate: 2}}
  store: acme
  nodes:
  - acme.Smooth: {window: 3}
"""


def install(site: Path, name: str, points: str, module: str) -> None:
    """A distribution, as pip leaves it."""
    info = site / f"{name}-0.3.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.3")
    (info / "entry_points.txt").write_text(points)
    (site / f"{name}_plugin.py").write_text(module)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the plug-in, on the path."""
    found = tmp_path / "site"
    install(found, "acme", POINTS, f"{ACME}ACME = 3\n")
    monkeypatch.syspath_prepend(found)
    monkeypatch.delitem(sys.modules, "acme_plugin", raising=False)
    return found


@pytest.fixture
def broken(site: Path) -> Path:
    """The same with a plug-in that cannot be imported."""
    install(site, "broken", BROKEN, "raise SystemExit('no licence')\n")
    return site


def run(folder: Folder, site: Path, *args: str) -> tuple[int, str, str]:
    paths = [str(site), os.environ.get("PYTHONPATH", "")]
    env = {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    result = folder.run(*args, env=env)
    return result.code, result.out, result.err


def test_what_is_installed_is_found_with_its_distribution(site: Path) -> None:
    (found,) = [p for p in find_plugins("nodes") if p.distribution == "acme"]
    value = "acme_plugin:Smooth"
    assert found == Plugin("nodes", "acme.Smooth", value, "acme", "0.3", str(site))


def test_finding_imports_nothing(site: Path) -> None:
    assert len(find_plugins()) >= 4 and "acme_plugin" not in sys.modules


@pytest.mark.usefixtures("broken")
def test_a_broken_one_is_told_with_its_distribution() -> None:
    with pytest.raises(SettingsError, match="^broken 0.3: .*SystemExit: no licence"):
        Catalogue(Path.cwd()).find(NODES, "broken.Node")


@pytest.mark.usefixtures("broken")
def test_a_broken_one_is_left_out_of_what_there_is() -> None:
    names = Catalogue(Path.cwd()).names(NODES)
    assert "acme.Smooth" in names and "broken.Node" not in names


def test_two_of_one_name_are_told(site: Path) -> None:
    install(site, "other", "[pichannels.nodes]\nacme.Smooth = x:Y\n", "")
    with pytest.raises(SettingsError, match="acme and other both have a node"):
        Catalogue(Path.cwd()).find(NODES, "acme.Smooth")


def test_yaml_uses_what_plug_ins_add(site: Path, empty: Folder) -> None:
    empty.write("settings.py", 'CHANNELS = ["a.yaml"]')
    empty.write("a.yaml", YAML)
    assert run(empty, site, "check")[:2] == (
        0,
        f"{empty.path / 'settings.py'}: all is well, 1 channel\n",
    )


def test_options_of_plug_ins_are_checked(site: Path, empty: Folder) -> None:
    empty.write("settings.py", 'CHANNELS = ["a.yaml"]')
    empty.write("a.yaml", YAML.replace("window: 3", "window: x"))
    code, _, err = run(empty, site, "check")
    assert code == 1 and "this is 'x'; allowed: a whole number" in err


def test_commands_of_plug_ins_run(site: Path, empty: Folder) -> None:
    assert run(empty, site, "hello") == (0, "hello from acme\n", "")


def test_the_help_lists_them_and_tells_broken_ones(broken: Path, empty: Folder) -> None:
    code, out, err = run(empty, broken, "--help")
    assert code == 0 and "Say hello." in out and "Check the settings." in out
    assert "Warning: broken 0.3: broken_plugin:command: the plug-in 'broken'" in err
    assert "is no command (found 'int')" in err


def test_our_commands_need_no_plug_in(broken: Path, empty: Folder) -> None:
    code, _, err = run(empty, broken, "version")
    assert (code, err) == (0, "")


def test_plugins_are_listed(site: Path, empty: Folder) -> None:
    code, out, _ = run(empty, site, "plugins")
    assert code == 0
    rows = [line.split()[:5] for line in out.splitlines() if "acme" in line]
    assert rows == [
        ["channels", "acme", "acme_plugin:Source", "acme", "0.3"],
        ["nodes", "acme.Smooth", "acme_plugin:Smooth", "acme", "0.3"],
        ["stores", "acme", "acme_plugin:Stores", "acme", "0.3"],
        ["commands", "hello", "acme_plugin:hello", "acme", "0.3"],
    ]


def test_programs_learn_what_is_broken(broken: Path, empty: Folder) -> None:
    result = empty.run("plugins", "--json", env={"PYTHONPATH": str(broken)})
    problems = {row["name"]: row["problem"] or "" for row in result.json}
    assert result.code == 1
    assert "no licence" in problems["broken"] and not problems["hello"]
    assert "has a command 'check' of its own" in problems["check"]


def test_without_plug_ins_that_is_said(empty: Folder) -> None:
    assert empty.run("plugins").out == "no plug-ins are installed\n"
