"""Projects are loaded by path and checked as a whole."""

from __future__ import annotations

import os
import py_compile
import sys
from collections.abc import Callable, Iterator
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from pichannels.channels import BaseChannel
from pichannels.config import SettingsProblems
from pichannels.errors import SettingsError, UsageError
from pichannels.project import SETTINGS_VARIABLE, Project, find_settings, load

HEAD = """\
from pichannels.channels import BaseChannel
"""

Write = Callable[[str], Path]


@pytest.fixture(autouse=True)
def modules_as_before() -> Iterator[None]:
    """Let no test see the modules of another one's project."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith(("nodes", "_pichannels_settings")):
            del sys.modules[name]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a settings file."""

    def write(text: str) -> Path:
        file = tmp_path / "settings.py"
        file.write_text(HEAD + text)
        return file

    return write


def problem_of(file: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        load(file)
    return str(caught.value)


# What is found


def test_a_project_has_its_channels_and_config(write: Write) -> None:
    project = load(write("PROJECT_NAME = 'plant'\nCHANNELS = [BaseChannel('a')]"))
    assert [channel.name for channel in project.channels] == ["a"]
    assert project.name == "plant"


def test_a_project_is_named_after_its_folder(write: Write) -> None:
    file = write("CHANNELS = [BaseChannel('a')]")
    assert load(file).name == file.parent.name


def test_the_data_is_beside_the_settings(write: Write) -> None:
    file = write("CHANNELS = [BaseChannel('a')]")
    assert load(file).data_dir == file.parent / ".pichannels"


def test_a_folder_stands_for_its_settings(write: Write) -> None:
    file = write("CHANNELS = [BaseChannel('a')]")
    assert find_settings(file.parent) == file


def test_the_environment_names_the_settings(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write("CHANNELS = [BaseChannel('a')]")
    monkeypatch.setenv(SETTINGS_VARIABLE, str(file))
    assert load().path == file


def test_a_missing_file_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="startproject"):
        find_settings(tmp_path / "none.py")


def test_settings_are_no_module_for_others(write: Write) -> None:
    load(write("CHANNELS = [BaseChannel('a')]"))
    assert "settings" not in sys.modules


def test_classes_in_the_settings_know_their_module(write: Write) -> None:
    file = write(
        "import msgspec\n"
        "class Row(msgspec.Struct):\n    other: 'Row | None'\n"
        "msgspec.json.Decoder(Row)\n"
        "CHANNELS = [BaseChannel('a')]"
    )
    assert load(file).channels


def test_imported_capitals_are_no_settings(write: Write) -> None:
    assert load(write("from datetime import UTC\nCHANNELS = [BaseChannel('a')]"))


def test_own_nodes_stand_beside_ours(write: Write, tmp_path: Path) -> None:
    (tmp_path / "nodes").mkdir()
    (tmp_path / "nodes" / "mine.py").write_text("from nodes import decode\n")
    file = write("from nodes import mine\nCHANNELS = [BaseChannel('a')]")
    assert load(file).channels


# What is refused


def test_a_syntax_error_is_told_with_its_line(write: Write) -> None:
    file = write("CHANNELS = [\n")
    assert problem_of(file).startswith(f"{file}:2: SyntaxError: ")


def test_a_failure_is_told_with_the_line_of_the_user(write: Write) -> None:
    file = write("\nimport json\njson.loads('{')\n")
    assert problem_of(file).startswith(f"{file}:4: JSONDecodeError: ")


def test_a_misspelt_name_gets_the_nearest(write: Write) -> None:
    assert "did you mean 'BaseChannel'?" in problem_of(write("BaseChanel('a')"))


def test_a_misspelt_node_family_gets_the_nearest(write: Write) -> None:
    assert "did you mean 'nodes.decode'?" in problem_of(write("import nodes.decod"))


def test_a_wrong_option_is_told_in_our_words(write: Write) -> None:
    file = write("CHANNELS = [BaseChannel('a', lane=2)]")
    assert problem_of(file) == (
        f"{file}:2: BaseChannel has no option 'lane'; did you mean 'lanes'?"
    )


def test_leaving_the_process_is_a_problem(write: Write) -> None:
    assert "SystemExit" in problem_of(write("raise SystemExit(3)"))


def test_channels_are_required(write: Write) -> None:
    assert "CHANNELS: this setting is missing" in problem_of(write(""))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("3", "CHANNELS: this is no list"),
        ("[]", "nothing to run"),
        ("[3]", "CHANNELS[0]: this is no channel (found 3)"),
        ("[BaseChannel]", "BaseChannel is a class; call it"),
        ("[BaseChannel('a').fork()]", "list the channel that it belongs to, 'a'"),
        ("[BaseChannel('a')] * 2", "CHANNELS[1]: channel 'a' is listed twice"),
        ("[BaseChannel('a'), BaseChannel('a')]", "CHANNELS[0] has a channel 'a' too"),
    ],
)
def test_wrong_channels_are_told(write: Write, value: str, expected: str) -> None:
    assert expected in problem_of(write(f"CHANNELS = {value}"))


def test_all_problems_are_told_at_once(write: Write) -> None:
    file = write("CHANNELS = [3, 4]\nDRAIN = 3\nMESSAGE_STORE = PERSISTENCE = 3")
    with pytest.raises(SettingsProblems) as caught:
        load(file)
    assert len(caught.value.errors) == 5


def test_an_init_file_that_hides_our_nodes_is_told(
    write: Write, tmp_path: Path
) -> None:
    (tmp_path / "nodes").mkdir()
    init = tmp_path / "nodes" / "__init__.py"
    init.write_text("")
    problem = problem_of(write("CHANNELS = [BaseChannel('a')]"))
    assert problem.startswith(f"{init}: this hides pichannels' own 'nodes'")
    assert "delete this file" in problem


def test_a_module_that_hides_our_stores_is_told(write: Write, tmp_path: Path) -> None:
    (tmp_path / "msgstore.py").write_text("")
    assert "rename it" in problem_of(write("CHANNELS = [BaseChannel('a')]"))


def test_a_foreign_distribution_that_hides_our_nodes_is_named(
    write: Write, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    package = site / "nodes" / "__init__.py"
    package.parent.mkdir(parents=True)
    package.write_text("")
    info = site / "noder-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: noder\nVersion: 1.0\n")
    (info / "RECORD").write_text("nodes/__init__.py,,\n")
    sys.path.insert(0, str(site))
    project = tmp_path / "project"
    project.mkdir()
    file = write("CHANNELS = [BaseChannel('a')]").rename(project / "settings.py")
    assert "the distribution 'noder' cannot be installed" in problem_of(file)


# The project itself


def test_channels_are_found_by_name() -> None:
    parent = BaseChannel("a")
    fork = parent.fork("b")
    assert Project([parent]).channel("a.b") is fork


def test_an_unknown_channel_gets_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="did you mean 'boiler'"):
        Project([BaseChannel("boiler")]).channel("boilr")


def test_the_default_store_is_for_channels_without_one(write: Write) -> None:
    project = load(
        write(
            "from msgstore.memory import MemoryMessageStoreFactory as Memory\n"
            "MESSAGE_STORE = Memory()\n"
            "own = Memory()\n"
            "CHANNELS = [BaseChannel('a'),"
            " BaseChannel('b', message_store_factory=own)]"
        )
    )
    factories = {channel.message_store_factory for channel in project.channels}
    assert (None in factories, len(factories)) == (False, 2)


def test_a_change_of_the_same_size_in_the_same_second_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file = tmp_path / "settings.py"
    timeouts = []
    for seconds in (5, 6):
        file.write_text(
            "from pichannels.channels import BaseChannel\n"
            f'CHANNELS = [BaseChannel("a")]\nDRAIN_TIMEOUT = {seconds}\n'
        )
        os.utime(file, (1_700_000_000, 1_700_000_000))
        timeouts.append(load(file).config.drain_timeout)
    assert timeouts == [5, 6]


# Large settings


def large(seconds: int) -> str:
    tags = [f"UNIT{number}.TEMP" for number in range(20_000)]
    return (
        "from pichannels.channels import BaseChannel\n"
        f"tags = {tags!r}\n"
        f'CHANNELS = [BaseChannel("a")]\nDRAIN_TIMEOUT = {seconds}\n'
    )


def test_code_of_large_settings_is_kept_with_a_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file = tmp_path / "settings.py"
    timeouts = []
    for seconds in (5, 6, 6):
        file.write_text(large(seconds))
        os.utime(file, (1_700_000_000, 1_700_000_000))
        timeouts.append(load(file).config.drain_timeout)
    kept = Path(cache_from_source(str(file))).read_bytes()
    assert (timeouts, kept[4:8]) == ([5, 6, 6], b"\x03\0\0\0")


def test_code_that_is_known_by_its_time_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file = tmp_path / "settings.py"
    file.write_text(large(5))
    os.utime(file, (1_700_000_000, 1_700_000_000))
    py_compile.compile(
        str(file), invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP
    )
    file.write_text(large(6))
    os.utime(file, (1_700_000_000, 1_700_000_000))
    assert load(file).config.drain_timeout == 6


def test_a_syntax_error_in_large_settings_is_told_once(
    write: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    problem = problem_of(write("x = (\n" + large(5)))
    assert "SyntaxError" in problem and capsys.readouterr().err == ""
