"""The rules of `check --strict`; each looks at the project and tells what is odd."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from types import CodeType
from typing import Any, Final

import msgspec

from pichannels.channels import BaseChannel
from pichannels.channels.branches import Branch, Case, When
from pichannels.errors import MessageError, UsageError
from pichannels.expressions import Expression
from pichannels.fingerprint import options_of
from pichannels.lint_codes import LINT_CODES, unknown_code
from pichannels.lints.clear_secrets import CODE as CLEAR_SECRET, find_clear_secrets
from pichannels.lints.finding import Finding
from pichannels.node import BaseNode
from pichannels.project import Project

__all__ = ["RULES", "Finding", "Rule", "lint"]

Look = Callable[[Project], Iterator[Finding]]

_DECODE: Final = "nodes.decode.PI"
_POLICY: Final = "nodes.filter.SystemStates"
_QUALITY: Final = "nodes.filter.Quality"
_TELLING: Final = frozenset(
    {"good", "is_system", "is_number", "is_state", "is_text", "state", "code"}
    | {"DigitalState"}
)
"""What a condition asks for when it tells system states from numbers."""


class Rule(msgspec.Struct, frozen=True):
    """One rule: its code, its name, and what looks for it."""

    code: str
    name: str
    look: Look


def lint(project: Project, ignore: Collection[str] = ()) -> list[Finding]:
    """What is odd in a project, by rule, but for what YAML files say to ignore.

    Args:
        project: as it was loaded.
        ignore: codes of rules that do not count.

    Raises:
        UsageError: there is no rule with such a code.
    """
    for code in ignore:
        if code not in LINT_CODES:
            raise UsageError(unknown_code(code))
    return [
        finding
        for rule in RULES
        if rule.code not in ignore
        for finding in rule.look(project)
        if not _is_ignored(project, finding)
    ]


def _is_ignored(project: Project, finding: Finding) -> bool:
    """Whether the file says that it does not count there."""
    told = finding.code, finding.where, finding.what
    return any(each.covers(*told) for each in project.ignored)


def _finding(project: Project, code: str, what: str, text: str) -> Finding:
    where = project.origins.get(what) or str(project.path or "the project")
    return Finding(code, where, what, text)


def _branches(project: Project) -> Iterator[tuple[Branch, BaseChannel]]:
    """Each branching point with each of its sub-channels."""
    for channel in project.all_channels():
        for step in channel.steps:
            if isinstance(step, Branch):
                for sub in step.channels:
                    yield step, sub


# PC101


def _unused_branches(project: Project) -> Iterator[Finding]:
    """Branches in which nothing is done and nothing kept."""
    for branch, sub in _branches(project):
        if not sub.steps and sub.message_store is None:
            does = "swallows what comes" if isinstance(branch, When) else "does nothing"
            text = f"this {branch.kind} has no nodes and {does}; add some, or remove it"
            yield _finding(project, "PC101", sub.name, text)


# PC102


def _states_as_numbers(project: Project) -> Iterator[Finding]:
    """Sinks that take numbers and may get system states."""
    for channel in project.channels:
        yield from _sinks_in(project, channel, is_decoded=False, has_policy=False)


def _sinks_in(
    project: Project, channel: BaseChannel, is_decoded: bool, has_policy: bool
) -> Iterator[Finding]:
    for step in channel.steps:
        if isinstance(step, BaseNode):
            is_decoded = is_decoded or _is(step, _DECODE)
            if is_decoded and step.takes_numbers and not has_policy:
                text = (
                    "system states such as 'I/O Timeout' come here beside numbers;"
                    " put filter.SystemStates before it, with the policy you want"
                )
                yield _finding(project, "PC102", step.fullpath(), text)
            has_policy = has_policy or _is_policy(step)
            continue
        for sub, condition in zip(step.channels, _conditions(step), strict=True):
            knows = has_policy or _tells_states(condition)
            yield from _sinks_in(project, sub, is_decoded, knows)
        # What was told apart at the first branch is told apart after it.
        asked = isinstance(step, When) and _tells_states(step.condition)
        has_policy = has_policy or asked


def _is(node: BaseNode, name: str) -> bool:
    return any(f"{k.__module__}.{k.__qualname__}" == name for k in type(node).__mro__)


def _is_policy(node: BaseNode) -> bool:
    if _is(node, _POLICY):
        return True
    options = options_of(node)
    if _is(node, _QUALITY):
        return options.get("good", True) is True
    return any(_tells_states(value) for value in options.values())


def _conditions(branch: Branch) -> list[Any]:
    if isinstance(branch, When):
        return [branch.condition]
    if isinstance(branch, Case):
        return list(branch.conditions)
    return [None] * len(branch.channels)


def _tells_states(condition: Any) -> bool:
    """Whether a condition asks what only somebody asks who thinks of states."""
    if isinstance(condition, Expression):
        return bool(condition.names & _TELLING)
    code = getattr(condition, "__code__", None)
    return isinstance(code, CodeType) and bool(_names_in(code) & _TELLING)


def _names_in(code: CodeType) -> set[str]:
    names = set(code.co_names)
    for const in code.co_consts:
        if isinstance(const, CodeType):
            names |= _names_in(const)
    return names


# PC104


def _unreachable(project: Project) -> Iterator[Finding]:
    """Steps and branches that no message comes to."""
    for channel in project.all_channels():
        yield from _after_the_end(project, channel)
        for step in channel.steps:
            if isinstance(step, When | Case):
                yield from _never_taken(project, step)


def _after_the_end(project: Project, channel: BaseChannel) -> Iterator[Finding]:
    ended_by = None
    for step in channel.steps:
        if ended_by is not None:
            text = f"nothing comes here: all messages leave at {ended_by!r}"
            yield _finding(project, "PC104", step.fullpath(), text)
            return
        if isinstance(step, When) and _always(step.condition) is True:
            ended_by = step.name


def _never_taken(project: Project, branch: When | Case) -> Iterator[Finding]:
    earlier: list[Any] = []
    for sub, condition in zip(branch.channels, _conditions(branch), strict=True):
        if _always(condition) is False:
            text = "this branch is never taken: its condition is always false"
            yield _finding(project, "PC104", sub.name, text)
        elif any(_always(other) is True or other == condition for other in earlier):
            text = "this branch is never taken: an earlier one takes all that comes"
            yield _finding(project, "PC104", sub.name, text)
        earlier.append(condition)


def _always(condition: Any) -> bool | None:
    """What a condition gives whatever comes; None when it depends."""
    if not isinstance(condition, Expression):
        return None if callable(condition) else bool(condition)
    if not condition.is_constant:
        return None
    try:
        return bool(condition(None))
    except MessageError:
        return None


RULES: Final = (
    Rule("PC101", LINT_CODES["PC101"], _unused_branches),
    Rule("PC102", LINT_CODES["PC102"], _states_as_numbers),
    Rule(CLEAR_SECRET, LINT_CODES[CLEAR_SECRET], find_clear_secrets),
    Rule("PC104", LINT_CODES["PC104"], _unreachable),
)
