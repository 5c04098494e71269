"""WebIDs are taken apart and made as PI does it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, strategies as st

from pichannels.errors import DecodeError
from pichannels.piwebasync.exceptions import APIException
from pichannels.piwebasync.webids import (
    FORMATS,
    KINDS,
    WebId,
    decode,
    point_web_id,
    upper,
)

FIXTURES = Path(__file__).parents[2] / "fixtures" / "piwebapi"
SERVER = UUID("0f3c9a52-6f0d-4f3e-9a41-2a7d5c1b8e60")
FULL = "F1DPUpo8Dw1vPk-aQSp9XBuOYABwAAAAU0lNU1JWXFVOSVQxLlRJMTAxLlBW"
PATH = r"\\SIMSRV\UNIT1.TI101.PV"


def web_ids_in(document: Any) -> Iterator[str]:
    if isinstance(document, list):
        for item in document:
            yield from web_ids_in(item)
    if isinstance(document, dict):
        yield from (v for k, v in document.items() if k == "WebId")
        yield from web_ids_in(list(document.values()))


@st.composite
def any_web_id(draw: st.DrawFn) -> WebId:
    kind = draw(st.sampled_from(list(KINDS.values())))
    format = draw(st.sampled_from(list(FORMATS)))
    count = 0 if format == "PathOnly" else len(kind.ids) - (format[0] in "LD")
    ids: list[UUID | int] = [draw(st.uuids()) for _ in range(count)]
    if kind.integer and ids:
        ids[-1] = draw(st.integers(-(2**31), 2**31 - 1))
    text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
    path = (
        draw(text.filter(lambda p: not p.startswith("\\"))) if format[0] in "FP" else ""
    )
    owner = draw(st.sampled_from(kind.owners)) if kind.owners else ""
    return WebId(format, kind.marker, tuple(ids), upper(path), owner)


def test_the_parts_of_a_full_point_web_id() -> None:
    assert decode(FULL) == WebId("Full", "DP", (SERVER, 7), PATH[2:])


@pytest.mark.parametrize(
    ("format", "expected"),
    [
        ("Full", FULL),
        ("IDOnly", "I" + FULL[1:32]),
        ("PathOnly", "P1DPU0lNU1JWXFVOSVQxLlRJMTAxLlBW"),
        ("LocalIDOnly", "L1DPBwAAAA"),
        ("DefaultIDOnly", "D1DPBwAAAA"),
    ],
)
def test_a_point_web_id_is_made_in_five_formats(format: str, expected: str) -> None:
    assert point_web_id(SERVER, 7, PATH.lower(), format) == expected


def test_every_web_id_that_pi_wrote_is_made_again_from_its_parts() -> None:
    texts = [p.read_text(encoding="utf-8") for p in FIXTURES.glob("*.json")]
    found = {w for text in texts for w in web_ids_in(json.loads(text))}
    assert len(found) > 8
    assert {decode(web_id).encode() for web_id in found} == found


@given(any_web_id())
def test_decoding_gives_back_what_was_encoded(web_id: WebId) -> None:
    assert decode(web_id.encode()) == web_id


@given(st.text(max_size=40) | st.from_regex("[FIPLD]1(DP|Ab)E?[A-Za-z0-9_-]*"))
def test_any_other_text_is_refused_or_made_again(text: str) -> None:
    try:
        parts = decode(text)
    except DecodeError:
        return
    assert parts.encode() == text


def test_upper_case_keeps_what_has_no_single_capital() -> None:
    assert upper("straße.ıſ.ö") == "STRAßE.ıſ.Ö"


def test_parts_that_make_no_web_id_are_told() -> None:
    with pytest.raises(APIException, match="takes 2 ids"):
        WebId("Full", "DP", (SERVER,), "A").encode()
    with pytest.raises(APIException, match="no id of a point"):
        point_web_id(SERVER, 2**31, PATH)
