"""Expressions: what they tell, and that they can do nothing else."""

from __future__ import annotations

import string
from contextlib import suppress
from typing import Any, Final

import pytest
from hypothesis import example, given, settings, strategies as st

from pichannels.errors import MessageError, SettingsError
from pichannels.expressions import Subject, names_of, parse_expression
from pichannels.message import Message
from pichannels.values import DigitalState, Sample, Tag
from tests.strength import either

SUBJECTS: Final[tuple[Subject, ...]] = ("sample", "message")
TAG = Tag("UNIT1.BOILER.TEMP", r"\\PI\UNIT1.BOILER.TEMP", server="PI", units="degC")
RUNNING = DigitalState("RUNNING", 1)
TIMEOUT = DigitalState("I/O Timeout", 246, is_system=True)


def sample(value: Any = 81.5, **facts: Any) -> Sample:
    return Sample(TAG, 17_000_000_000_000_000, value, **facts)


def tell(text: str, subject: Any) -> Any:
    kind: Subject = "sample" if isinstance(subject, Sample) else "message"
    return parse_expression(text, kind)(subject)


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("value > 80", 81.5, True),
        ("80 < value <= 81", 81.5, False),
        ("value * 2 + 1 == 164", 81.5, True),
        ("-value < 0 and +value // 2 == 40 and value % 2 == 1.5", 81.5, True),
        ("good and not questionable", 1, True),
        ("not good or is_system", TIMEOUT, True),
        ("is_number", 1, True),
        ("is_number", True, False),
        ("is_state and state == 'RUNNING' and code == 1", RUNNING, True),
        ("value == 'RUNNING'", RUNNING, True),
        ("value in ['RUNNING', 'STARTING']", RUNNING, True),
        ("value not in ('STOPPED',)", RUNNING, True),
        ("'Timeout' in value", TIMEOUT, True),
        ("matches(tag.name, 'unit?.*.TEMP')", 1, True),
        ("matches(value, 'run*')", RUNNING, True),
        ("matches(tag.path, '*OTHER*')", 1, False),
        ("upper(units) == '' and lower(tag.units) == 'degc'", 1, True),
        ("abs(value) == 3", -3, True),
        ("value is None", None, True),
        ("value is not None", 0, True),
        ("state is None", 1, True),
        ("iso >= '2023-11' and ticks > 0", 1, True),
        ("is_text and len(value) == 3", "abc", True),
        ("True", 1, True),
    ],
)
def test_samples(text: str, value: Any, expected: bool) -> None:
    assert tell(text, sample(value)) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("meta['lane'] == 'replay'", True),
        ("payload['device']['id'] == 7", True),
        ("payload['list'][-1] == 3", True),
        ("payload['no']['such']['thing'] is None", True),
        ("payload['list'][99] is None", True),
        ("'device' in payload", True),
        ("len(payload) == 2 and content_type == 'application/text'", True),
        ("meta['lane'] in {'live', 'late'}", False),
    ],
)
def test_messages(text: str, expected: bool) -> None:
    payload = {"device": {"id": 7}, "list": [1, 2, 3]}
    assert tell(text, Message(payload=payload, meta={"lane": "replay"})) is expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("value > 80", "the state 'I/O Timeout' is no number"),
        ("value + 1", "is no number"),
        ("value / 0", "is no number"),
        ("1 / 0", "zero"),
        ("value in code", "246 holds nothing"),
        ("len(code)", "246 has no length"),
        ("lower(code)", "246 is no text"),
        ("tag.name[0]", "has no part 0"),
    ],
)
def test_what_cannot_be_told_costs_this_sample(text: str, told: str) -> None:
    with pytest.raises(MessageError, match=told):
        tell(text, sample(TIMEOUT))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("vale > 80", r"a sample has no 'vale'; did you mean 'value'\?, at column 1"),
        ("tag.nmae == 'x'", "did you mean 'tag.name'"),
        ("open('/etc/passwd')", "the function 'open' cannot be used here"),
        ("value.__class__", "has no 'value.__class__'"),
        ("tag.name.__class__", "a name of this kind cannot be used"),
        ("().__class__.__mro__", "a name of this kind"),
        ("value ** 9 ** 9", r"the power \*\* cannot be used here, at column 1"),
        ("[x for x in value]", "a loop"),
        ("lambda: 1", "lambda"),
        ("value if good else 0", "if ... else"),
        ("f'{value}'", "an f-string"),
        ("(a := 1)", "an assignment"),
        ("value & 1", "write `and`"),
        ("~value", "write `not`"),
        ("b'x' == value", "a value of this kind"),
        ("1j > 0", "a value of this kind"),
        ("... == value", "a value of this kind"),
        ("{'a': 1}", "a dictionary"),
        ("value[1:2]", "a slice"),
        ("[*value]", r"\* cannot be used"),
        ("value is 3", "use =="),
        ("matches(tag.name, units)", "a text in quotes"),
        ("matches(tag.name)", "a wrong number of arguments"),
        ("abs(value, key=1)", "a wrong number of arguments"),
        ("len(*value)", r"\* cannot be used"),
        ("value.lower()", "calling this cannot be used"),
        ("import os", "this is no expression"),
        ("value = 3", "this is no expression"),
        ("", "this is no expression"),
        ("a\0b", "this is no expression"),
        ("-" * 60 + "1", "nested too deeply"),
        ("1 + " * 300 + "1", "write a function in Python"),
    ],
)
def test_what_is_not_allowed_is_told(text: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        parse_expression(text, "sample")


def test_a_name_of_the_other_subject_is_told_with_what_there_is() -> None:
    with pytest.raises(SettingsError) as caught:
        parse_expression("value > 3", "message")
    assert caught.value.allowed == "content_type, meta, payload, uuid"


def test_an_expression_knows_its_names() -> None:
    expression = parse_expression("good and tag.name == 'x'", "sample")
    assert expression.names == frozenset({"good", "tag.name"})
    assert not expression.is_constant


def test_an_expression_without_names_is_constant() -> None:
    assert parse_expression("1 < 2", "sample").is_constant


def test_equal_texts_are_equal() -> None:
    assert parse_expression("good", "sample") == parse_expression("good", "sample")
    assert parse_expression("good", "sample").__name__ == "good"


# Any text: refused in our words, or harmless

PIECES = [
    *names_of("sample"),
    *names_of("message"),
    *("abs(", "len(", "matches(", ")", "[", "]", "{", "}", "(", ",", ":", "'", '"'),
    *(" and ", " or ", " not ", " in ", " is ", "==", "<", "+", "*", "/", "%", "**"),
    *("1", "2.5", "9" * 50, "None", "True", "'UNIT*'", ".", "__class__", "lambda"),
    *("__import__('os')", " if ", " else ", " for x in ", ":=", "f'{", "\\", "\0"),
    *("\ud800", "\N{SNOWMAN}", "\n", "\t", "#", "1e999", "1j", "...", "await "),
]
texts = st.one_of(
    st.text(max_size=60),
    st.text(string.printable, max_size=200),
    st.lists(st.sampled_from(PIECES), max_size=30).map("".join),
    st.tuples(st.sampled_from(PIECES), st.integers(0, 400)).map(lambda x: x[0] * x[1]),
)
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from([RUNNING, TIMEOUT, [], {}]),
)


class Trap:
    """A value that knows when an expression reaches behind it."""

    def __init__(self) -> None:
        self.reached: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        if name not in ("__class__", "reached"):
            self.reached.append(name)
        return object.__getattribute__(self, name)

    def __call__(self, *args: Any) -> None:
        self.reached.append("a call")


@settings(max_examples=either(500, 150), deadline=None)
@given(texts, values)
@example("((((((((((" * 30, 1)
@example("'\\d' == value", 1)
@example("not " * 240 + "good", 1)
@example("value" + "[0]" * 300, [])
def test_any_text_is_refused_in_our_words_or_told(text: str, value: Any) -> None:
    for subject in SUBJECTS:
        thing = sample(value) if subject == "sample" else Message(payload=value)
        before = repr(thing)
        with suppress(SettingsError, MessageError):
            parse_expression(text, subject)(thing)
        assert repr(thing) == before


@settings(max_examples=either(300, 100), deadline=None)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=12).map(" ".join))
@example("value.real")
@example("payload.x()")
@example("value['__class__']")
def test_nothing_behind_a_value_is_reached(text: str) -> None:
    trap = Trap()
    for subject in SUBJECTS:
        thing = sample(trap) if subject == "sample" else Message(payload=trap)
        with suppress(SettingsError, MessageError):
            parse_expression(text, subject)(thing)
    assert trap.reached == []
