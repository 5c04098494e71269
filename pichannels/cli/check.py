"""`pichannels check`: find what is wrong before the start."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from pichannels.certificates import check_certificate
from pichannels.cli.common import ExitCode, common_options, json_option, load_project
from pichannels.cli.lazy import load_name
from pichannels.cli.logs import check_logging
from pichannels.cli.output import complain, say, say_findings, say_json
from pichannels.config import SettingsProblems
from pichannels.errors import SettingsError
from pichannels.lints import lint
from pichannels.project import Project

__all__ = ["check"]


@click.command(short_help="Check the settings.")
@click.option("--strict", is_flag=True, help="Also tell what is valid, and odd.")
@click.option(
    "--ignore",
    multiple=True,
    metavar="CODE",
    help="With --strict: a rule that does not count, such as PC102.",
)
@click.option(
    "--connect", is_flag=True, help="Also look whether sources and sinks are there."
)
@common_options
@json_option
@click.pass_context
def check(
    ctx: click.Context,
    /,
    strict: bool,
    ignore: tuple[str, ...],
    connect: bool,
    as_json: bool,
) -> None:
    """Load the project and tell all that is wrong with it; nothing is started.

    With --connect servers are asked whether they take us, have the tags and show
    the right time, and sinks whether they can be written to; nothing is written.

    Exit code 0 when all is well, 1 when there are problems, or with --strict
    findings.
    """
    try:
        project = load_project()
        check_logging(project.config.logging, str(project.path))
        _check_certificates(project)
    except SettingsError as exc:
        if ctx.find_root().meta.get("debug"):
            raise
        problems = exc.errors if isinstance(exc, SettingsProblems) else [exc]
        _tell(problems, as_json)
        ctx.exit(ExitCode.FAILED)
    channels = [channel.name for channel in project.all_channels()]
    findings = lint(project, ignore) if strict else []
    places = _probe(project) if connect else []
    is_connected = all(found.ok for place in places for found in place.findings)
    if as_json:
        is_ok = not findings and is_connected
        told = {"ok": is_ok, "problems": [], "channels": channels}
        told |= {"findings": findings} if strict else {}
        say_json(told | ({"connections": places} if connect else {}))
    elif findings:
        for finding in findings:
            complain(str(finding))
        complain(_counted(len(findings), "finding"))
    elif is_connected:
        number = _counted(len(channels), "channel")
        say(f"{project.path}: all is well, {number}")
    for place in () if as_json else places:
        say(f"{place.name} ({place.kind})")
        say_findings(place.findings)
    if findings or not is_connected:
        ctx.exit(ExitCode.FAILED)


def _check_certificates(project: Project) -> None:
    given = {"UI": project.config.ui, "REMOTE": project.config.remote}
    for name, part in given.items():
        if part is not None:
            file = str(project.path)
            check_certificate(name, part.cert, part.key, project.folder, file)


def _probe(project: Project) -> list[Any]:
    # Imports the engine and the simulator, which nothing else needs here.
    probe = load_name("pichannels.cli.connecting:probe_project")
    places: list[Any] = asyncio.run(probe(project))
    return places


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _tell(problems: list[SettingsError], as_json: bool) -> None:
    if as_json:
        found = [_fields(problem) for problem in problems]
        say_json({"ok": False, "problems": found, "channels": []})
        return
    for problem in problems:
        complain(str(problem))
    complain(_counted(len(problems), "problem"))


def _fields(problem: SettingsError) -> dict[str, Any]:
    found = problem.found
    return {
        "file": problem.file,
        "key": problem.key,
        "problem": problem.problem,
        "found": None if found is None else str(found),
        "allowed": problem.allowed,
        "text": str(problem),
    }
