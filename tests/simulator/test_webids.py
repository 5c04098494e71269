"""WebIDs in all five forms."""

from __future__ import annotations

import uuid

import pytest

from pichannels.simulator.webids import (
    WEB_ID_TYPES,
    WebIdError,
    point_web_id,
    read_web_id,
    server_web_id,
)

SERVER = uuid.UUID("0f3c9a52-6f0d-4f3e-9a41-2a7d5c1b8e60")
PATH = "\\\\SIMSRV\\UNIT1.TI101.PV"


def test_a_point_has_the_web_id_that_the_server_gives_it() -> None:
    assert point_web_id(SERVER, 7, PATH) == (
        "F1DPUpo8Dw1vPk-aQSp9XBuOYABwAAAAU0lNU1JWXFVOSVQxLlRJMTAxLlBW"
    )


def test_a_server_has_the_web_id_that_it_gives_itself() -> None:
    assert server_web_id(SERVER, "SIMSRV") == "F1DSUpo8Dw1vPk-aQSp9XBuOYAU0lNU1JW"


@pytest.mark.parametrize(
    ("form", "length"), [("IDOnly", 32), ("LocalIDOnly", 10), ("DefaultIDOnly", 10)]
)
def test_short_forms_have_their_length(form: str, length: int) -> None:
    assert len(point_web_id(SERVER, 7, PATH, form)) == length


@pytest.mark.parametrize("form", WEB_ID_TYPES)
def test_a_point_is_read_back_by_id_or_path(form: str) -> None:
    found = read_web_id(point_web_id(SERVER, 123_456, PATH, form))
    assert found.point_id == 123_456 or found.path == PATH.removeprefix("\\\\")


@pytest.mark.parametrize(
    "text",
    ["", "F1", "F1DP", "X1DPAAAA", "F2DPUpo8", "F1EmUpo8Dw", "I1DP!!!!", "P1DP/"],
)
def test_other_texts_are_no_web_ids(text: str) -> None:
    with pytest.raises(WebIdError, match="is not valid"):
        read_web_id(text)
