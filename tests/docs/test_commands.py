"""Commands in the docs are commands that there are, with options that they have."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from pichannels.cli import cli
from pichannels.cli.examples import EXAMPLES
from tests.docs.pages import PAGES, title_of

# Of a plug-in that the page makes up, or any.
PLACEHOLDERS = {"COMMAND", "NAME"}
CALL = re.compile(
    r"(?:python -m )?(?<![./-])\bpichannels ((?:[a-z]+|COMMAND|NAME)\b[^\n]*)"
)
INLINE = re.compile(r"`(?:python -m )?pichannels ([^`]+)`")
# A line that a reader types, alone or with the prompt of its shell.
LINE = re.compile(r"^(?:    |)[$>] (.*pichannels .*)$|^    (pichannels .*)$", re.M)


def calls(page: Path) -> Iterator[str]:
    """What stands behind `pichannels` wherever the page shows a command."""
    text = page.read_text("utf-8")
    fenced = re.findall(r"^```(?:console|)\n(.*?)^```$", text, re.M | re.S)
    plain = "".join(f"    {line}\n" for part in fenced for line in part.splitlines())
    # The rest of a synopsis is indented further.
    joined = re.sub(
        r"\n {8,}(?=\[)", " ", plain + re.sub(r"```.*?```", "", text, flags=re.S)
    )
    for typed, shown in LINE.findall(joined):
        found = CALL.search(typed or shown)
        if found:
            yield found[1]
    yield from INLINE.findall(text)


def problems_of(call: str) -> Iterator[str]:
    """What is wrong with a command line, or with a synopsis."""
    call = re.sub(r"\s\\?[|>&] .*|\s#.*", "", call)
    words = words_of(call)
    command: click.Command = cli
    while words and isinstance(command, click.Group) and words[0] not in PLACEHOLDERS:
        if words[0] not in command.commands:
            break
        command = command.commands[words.pop(0)]
    is_told = words and words[0] in PLACEHOLDERS
    if isinstance(command, click.Group) and words and not is_told:
        # Some groups do something themselves, and take options.
        if not (command.invoke_without_command and words[0].startswith("-")):
            yield f"{words[0]!r} is no command"
    if not is_synopsis(call) and not isinstance(command, click.Group):
        yield from refusal_of(command, words)
    known = {*options_of(cli), *options_of(command)} | {"-h", "--help"}
    yield from (f"{w} is no option" for w in words if w[0] == "-" and w not in known)


def refusal_of(command: click.Command, words: list[str]) -> Iterator[str]:
    """What the command says of these arguments; some may be left out in a text."""
    try:
        command.make_context(command.name, list(words), **cli.context_settings)
    except click.MissingParameter:
        return
    except click.UsageError as error:
        # The files of the reader are not here.
        if not re.search("does not exist|No such file", error.message):
            yield error.format_message()


def words_of(call: str) -> list[str]:
    """The words of a call, also of those that a synopsis leaves to choose."""
    if is_synopsis(call):
        return re.sub(r"[\[\]|,]|\.\.\.", " ", call).split()
    words = [word.rstrip(",.") for word in shlex.split(call, posix=True)]
    return [word for word in words if word]


def is_synopsis(call: str) -> bool:
    return re.search(r"[\[|]", call) is not None


def options_of(command: click.Command) -> list[str]:
    return [opt for param in command.params for opt in param.opts]


@pytest.mark.parametrize("page", PAGES, ids=title_of)
def test_commands_of_a_page_exist(page: Path) -> None:
    found = {call: list(problems_of(call)) for call in calls(page)}
    assert {call: problems for call, problems in found.items() if problems} == {}


def names_of(command: click.Command, before: str = "") -> Iterator[str]:
    """All commands that do something, below this one."""
    if not isinstance(command, click.Group):
        yield before.strip()
        return
    for name, each in command.commands.items():
        yield from names_of(each, f"{before} {name}")


def test_each_command_has_an_example_in_its_help() -> None:
    assert set(names_of(cli)) - set(EXAMPLES) == set()
    shown = click.Context(cli.commands["tap"], info_name="tap").get_help()
    assert "\n    pichannels tap boiler --node decode\n" in shown


def test_the_examples_of_commands_are_taken() -> None:
    calls = [f"{name} {line}" for name, lines in EXAMPLES.items() for line in lines]
    found = {call: list(problems_of(call)) for call in calls}
    assert {call: problems for call, problems in found.items() if problems} == {}


@pytest.mark.parametrize(
    "call", ["strat", "start --wiat", "pi pnig --url x", "store verify FILE"]
)
def test_a_wrong_command_would_be_noticed(call: str) -> None:
    assert list(problems_of(call)) != []


def test_commands_are_found_in_every_form() -> None:
    pages = [
        page for page in PAGES if page.name in ("cli.md", "reload.md", "tutorial.md")
    ]
    assert [len(list(calls(page))) > 3 for page in pages] == [True] * 3
