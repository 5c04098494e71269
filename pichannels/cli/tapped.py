"""What `pichannels tap` writes of a message: a head, what came, and what left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rich.cells import cell_len, chop_cells
from rich.text import Text

from pichannels.cli.output import short_time, value_text
from pichannels.cli.top_nodes import took_text
from pichannels.control.tapped import plain_text, samples_in, text_of
from pichannels.errors import harmless
from pichannels.values import DigitalState, Sample

__all__ = ["passed_lines"]

_SIDE: Final = "  {:<5}"
_INDENT: Final = " " * 7
_CUT: Final = "..."
_GOOD: Final = "good"
_NARROWEST: Final = 12
_WIDEST: Final = 40
"""Characters of a name at least, and of a value at most."""
_COLOURS: Final = {
    "dropped": "yellow",
    "nothing": "yellow",
    "retry": "yellow",
    "rejected": "red",
    "failed": "red",
}
_OUTCOMES: Final = {
    "nothing": "nothing left: it was dropped, or is kept for later",
    "retry": "to be tried again",
}
_FLAGS: Final = ("questionable", "substituted", "annotated")


def passed_lines(passed: Mapping[str, Any], width: int, rows: int) -> Iterator[Text]:
    """Lines about a message at a node, none of them wider than `width`.

    Args:
        passed: as the control server tells it; see `Passed`.
        rows: how many samples, or lines of text, each side has at most.
    """
    head = Text(short_time(passed["time"]), "bold")
    head.append(f"  {took_text(passed['seconds'])}")
    head.append(f"  message {passed['uuid']}", "dim")
    yield head
    came = passed["came"]
    yield from _side("in", came, None, width, rows)
    for left in passed["left"]:
        yield from _side("out", left, came, width, rows)
    if passed["more"]:
        yield Text(f"{_INDENT}and {passed['more']:,} more messages")
    outcome = passed["outcome"]
    if outcome in _COLOURS:
        told = _OUTCOMES.get(outcome, outcome)
        error = passed["error"] if passed["error"] != outcome else ""
        text = f"{told}: {error}" if error else told
        for line in _wrapped(text, width - 2, rows):
            yield Text(f"  {line}", _COLOURS[outcome])


def _side(
    name: str,
    shown: Mapping[str, Any],
    before: Mapping[str, Any] | None,
    width: int,
    rows: int,
) -> Iterator[Text]:
    lines = _payload(shown, before, width - len(_INDENT), rows)
    for number, line in enumerate(lines):
        first = Text(_INDENT if number else _SIDE.format(name))
        yield first.append_text(line)
    meta = _meta(shown["meta"], before["meta"] if before else {})
    if meta:
        yield Text(_cut(f"{_INDENT}meta {meta}", width), "dim")


def _payload(
    shown: Mapping[str, Any], before: Mapping[str, Any] | None, width: int, rows: int
) -> Iterator[Text]:
    payload, omitted = shown["payload"], shown["omitted"]
    if before is not None and payload is not None:
        if (payload, omitted) == (before["payload"], before["omitted"]):
            yield Text("as it came", "dim")
            return
    samples = samples_in(payload)
    if not samples:
        kind = shown["content_type"]
        changed = before is not None and before["content_type"] != kind
        text = f"{kind}: {text_of(shown)}" if changed else text_of(shown)
        yield from map(Text, _wrapped(text, width, rows))
        return
    many = "1 sample" if len(samples) == 1 else f"{len(samples):,} samples"
    yield Text(f"{many} and {omitted}" if omitted else many)
    yield from _rows(samples[:rows], width)
    if len(samples) > rows:
        yield Text(f"and {len(samples) - rows:,} more", "dim")


def _rows(samples: Sequence[Sample], width: int) -> Iterator[Text]:
    times = [sample.iso for sample in samples]
    values = [_cut(_value(sample), _WIDEST) for sample in samples]
    marks = [_marks(sample) for sample in samples]
    others = sum(max(map(cell_len, column)) + 2 for column in (times, values, marks))
    room = max(width - others, _NARROWEST)
    names = [_cut(harmless(sample.tag.name), room) for sample in samples]
    wide = [max(map(cell_len, column)) for column in (times, names, values)]
    for time, name, value, mark in zip(times, names, values, marks, strict=True):
        cells = map(_padded, (time, name, value), wide)
        line = Text(f"{'  '.join(cells)}  ")
        line.append(mark, "dim" if mark == _GOOD else "yellow")
        yield Text(_cut(line.plain, width)) if line.cell_len > width else line


def _marks(sample: Sample) -> str:
    marks = [] if sample.good else ["bad"]
    marks += [flag for flag in _FLAGS if getattr(sample, flag)]
    return ", ".join(marks) or _GOOD


def _value(sample: Sample) -> str:
    units = "" if isinstance(sample.value, DigitalState) else sample.units
    return harmless(f"{value_text(sample.value)} {units}".strip())


def _meta(meta: Any, before: Any) -> str:
    """What is in the meta of a message, and was not, in a line."""
    if not isinstance(meta, dict) or not isinstance(before, dict):
        return ""
    new = {name: value for name, value in meta.items() if before.get(name) != value}
    return harmless(" ".join(f"{name}={plain_text(new[name])}" for name in new))


def _wrapped(text: str, width: int, rows: int) -> Iterator[str]:
    """A text in lines, as many as there may be, the last one cut."""
    # More would not be shown, and would take long to be measured.
    start = " ".join(harmless(text[: 2 * width * rows]).split())
    lines = chop_cells(start, width) or [""]
    yield from lines[: rows - 1]
    if len(lines) >= rows:
        yield _cut("".join(lines[rows - 1 :]), width)


def _cut(text: str, width: int) -> str:
    if cell_len(text) <= width:
        return text
    return f"{chop_cells(text, max(width - len(_CUT), 1))[0]}{_CUT}"


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))
