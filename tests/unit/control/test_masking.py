"""What a mask hides: of documents, of texts that quote them, of what codecs write."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from pichannels.control.masking import HIDDEN, Mask, masked_text

MASK = Mask(["pass*", "pin", "pat.name"], [r"\d{3}-\d{4}"])


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"Password": "x", "b": 1}, {"Password": HIDDEN, "b": 1}),
        ({"a": [{"pin": 1}]}, {"a": [{"pin": HIDDEN}]}),
        ({"pat": {"name": "x"}, "name": "y"}, {"pat": {"name": HIDDEN}, "name": "y"}),
        ({"payload": {"pat": {"name": 1}}}, {"payload": {"pat": {"name": HIDDEN}}}),
        ({"555-1234": 1}, {HIDDEN: 1}),
        ('{"pin": 1}', '{"pin":"(masked)"}'),
        ("call 555-1234 now", f"call {HIDDEN} now"),
        (b'{"pin": 1}', '{"pin":"(masked)"}'),
        (7, 7),
    ],
    ids=[
        *("name", "deep", "way", "below", "key", "json", "text", "bytes", "number"),
    ],
)
def test_what_a_mask_hides(value: Any, shown: Any) -> None:
    assert MASK.applied(value) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('bad: {"pin": 1}.', 'bad: {"pin":"(masked)"}.'),
        ('{"pin": "a b", "x": "cut o', '{"pin": (masked), "x": "cut o'),
        ('{"pat": {"name": "a b", "x": "cut', '{"pat": {"name": (masked), "x": "cut'),
        ('{"pin": {"a": [1, "cut', '{"pin": (masked)'),
        ("no {'pin': ['a', 'b'], 'x': 1}", "no {'pin': (masked), 'x': 1}"),
        ("pat=P(name='a b', x=1)", "pat=P(name=(masked), x=1)"),
        ('{"x": "Pin=3, spin=4"}', '{"x":"Pin=(masked), spin=4"}'),
        (r"'{\"pin\": \"a b\"}'", r"'{\"pin\": (masked)}'"),
        ("--password=a.b user-pin: 1", "--password=(masked) user-pin: (masked)"),
        ("<x:pin a='1'>2<b/></x:pin><c/>", "<x:pin a='1'>(masked)</x:pin><c/>"),
        (
            "<x:pat><br><x:name>a b</x:name></x:pat><name>c</name>",
            "<x:pat><br><x:name>(masked)</x:name></x:pat><name>c</name>",
        ),
        ("<pat><a>b</a><name>a b</name>", "<pat><a>b</a><name>(masked)</name>"),
        (
            "[] " * 30 + '{"pat": {"name": 1}}',
            "[] " * 30 + '{"pat":{"name":"(masked)"}}',
        ),
        ("pin=(masked), x", "pin=(masked), x"),
        ("it isn't a pin", "it isn't a pin"),
    ],
    ids=[
        *("inside", "cut", "way", "nested", "repr", "objects", "pairs", "escaped"),
        *("words", "xml", "prefix", "element", "many", "again", "none"),
    ],
)
def test_what_a_mask_hides_of_texts(text: str, shown: str) -> None:
    assert MASK.applied(text) == shown


def test_what_codecs_write_of_other_types_is_looked_into() -> None:
    coded = base64.b64encode(b"\xe9 pin=3").decode()
    written = {
        "$type": "dict",
        "value": [["pin", 1], [2, {"$type": "bytes", "value": coded}]],
    }
    bytes_ = {"$type": "bytes", "text": "é pin=(masked)"}
    assert MASK.applied(written)["value"] == [["pin", HIDDEN], [2, bytes_]]
    wrapped = {"pat": {"$type": "Pat", "value": {"name": 1, "x": 2}}}
    assert MASK.applied(wrapped)["pat"]["value"] == {"name": HIDDEN, "x": 2}


def test_the_text_of_a_payload_hides_what_the_payload_hides() -> None:
    shown = masked_text({"pat": {"name": "a b"}}, MASK)
    assert shown == "{'pat': {'name': (masked)}}"


@pytest.mark.parametrize(
    "part",
    ["-", "pass-", '{"a":', "[1,", '"a":', "'", '\\"', "a=", "pin=[", "<pin>", "<b>"],
)
def test_no_text_takes_long(part: str) -> None:
    # A minute for any that took time with the square of its length.
    text = part * (100_000 // len(part))
    assert len(MASK.applied(text)) <= len(text)


def test_what_is_too_deep_to_look_into_is_hidden() -> None:
    value: Any = "555"
    for _ in range(5000):
        value = [value]
    assert HIDDEN in str(MASK.applied(value))[:10_000]
