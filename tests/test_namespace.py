"""`nodes` and `msgstore` are shared with the user, from a checkout and from a wheel."""

from __future__ import annotations

import fnmatch
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("pichannels", "nodes", "msgstore")

SETTINGS = """
from nodes import decode, mine
from msgstore import memory, mine as my_store
from pichannels.channels import BaseChannel

mine_too = BaseChannel("mine")
mine_too.add(decode.JSON(), mine.Mine())
CHANNELS = [mine_too]
"""
MINE = """
from pichannels.node import BaseNode

class Mine(BaseNode):
    def process(self, msg):
        return msg
"""


def run(python: Path | str, *args: str | Path, folder: Path) -> tuple[int, str]:
    """Exit code and all that is said, without anything of these tests around."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PICH"))}
    done = subprocess.run(
        [python, *args], cwd=folder, env=env, capture_output=True, text=True, timeout=50
    )
    return done.returncode, done.stdout + done.stderr


def checked(python: Path | str, *args: str | Path, folder: Path) -> str:
    code, said = run(python, *args, folder=folder)
    assert code == 0, said
    return said


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built from a copy so that nothing is left here."""
    source = tmp_path_factory.mktemp("source")
    rubbish = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*")
    for folder in (*PACKAGES, "tests"):
        shutil.copytree(ROOT / folder, source / folder, ignore=rubbish)
    for file in ROOT.iterdir():
        if file.is_file():
            shutil.copy(file, source)
    build = ("-m", "build", "--wheel", "--no-isolation", "--outdir", source / "dist")
    checked(sys.executable, *build, folder=source)
    (found,) = (source / "dist").glob("*.whl")
    return found


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh environment that has the wheel and what it needs."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder / "venv")
    python = folder / "venv" / Path(sys.executable).relative_to(sys.prefix)
    pip = ("-m", "pip", "--python", python, "install", "--no-deps", "--no-index")
    checked(sys.executable, *pip, wheel, folder=folder)
    # The requirements are there already, so nothing has to be downloaded. What a
    # .pth file names is searched, but its own .pth files, such as the one of our
    # editable install, are not followed.
    ours = checked(
        python,
        "-c",
        "import sysconfig as s; print(s.get_path('purelib'))",
        folder=folder,
    ).strip()
    theirs = {sysconfig.get_path(kind) for kind in ("purelib", "platlib")}
    Path(ours, "requirements.pth").write_text("\n".join(theirs))
    return python


@pytest.fixture(params=["checkout", "wheel"])
def python(request: pytest.FixtureRequest) -> Path:
    """A Python that has pichannels, in both ways."""
    if request.param == "checkout":
        return Path(sys.executable)
    found: Path = request.getfixturevalue("installed")
    return found


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project elsewhere, with a node and a store module of its own."""
    for name in ("nodes", "msgstore"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.py").write_text(MINE)
    (tmp_path / "settings.py").write_text(SETTINGS)
    return tmp_path


def test_a_project_adds_to_nodes_and_stores(python: Path, project: Path) -> None:
    code = "import nodes.mine, nodes.decode, msgstore.mine, msgstore.memory"
    checked(python, "-c", code, folder=project)


def test_a_project_with_nodes_of_its_own_loads(python: Path, project: Path) -> None:
    checked(python, "-m", "pichannels", "check", folder=project)


def test_a_plug_in_adds_to_nodes_too(python: Path, project: Path) -> None:
    plug_in = project / "elsewhere" / "nodes"
    plug_in.mkdir(parents=True)
    (plug_in / "plugged.py").write_text(MINE)
    code = f"import sys; sys.path.append({str(plug_in.parent)!r}); import nodes.plugged"
    checked(python, "-c", f"{code}, nodes.mine, nodes.decode", folder=project)


@pytest.mark.parametrize("name", ["nodes", "msgstore"])
def test_an_init_file_that_hides_ours_is_told(
    python: Path, project: Path, name: str
) -> None:
    (project / name / "__init__.py").touch()
    code, said = run(python, "-m", "pichannels", "check", folder=project)
    words = " ".join(said.split())
    assert code != 0 and "delete this file: the folder works without it" in words
    assert f"pichannels' own '{name}'" in words


def test_the_wheel_is_what_is_imported(installed: Path, project: Path) -> None:
    code = (
        "import pichannels, nodes.decode as d; print(pichannels.__file__, d.__file__)"
    )
    said = checked(installed, "-c", code, folder=project)
    assert str(ROOT) not in said


def test_the_wheel_has_all_that_the_packages_have(wheel: Path) -> None:
    ours = {
        file.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    packed = {
        name for name in zipfile.ZipFile(wheel).namelist() if "-info/" not in name
    }
    assert packed == ours


@pytest.mark.parametrize(
    "pattern",
    [
        *(f"{package}/py.typed" for package in PACKAGES),
        "pichannels/journal/migrations/*.sql",
        "pichannels/cli/templates/settings.*",
    ],
)
def test_the_wheel_has_what_is_not_python(wheel: Path, pattern: str) -> None:
    assert fnmatch.filter(packed(wheel), pattern)


def packed(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as file:
        return file.namelist()
