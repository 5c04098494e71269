"""What a JSONPath selects."""

from __future__ import annotations

from typing import Any

import pytest

from pichannels.simulator.jsonpath import JSONPath, JSONPathError

ANSWERS: dict[str, Any] = {
    "p": {
        "Status": 200,
        "Content": {"Items": [{"WebId": "A"}, {"WebId": "B"}, {"Name": "no id"}]},
        "Headers": {"Location": "there"},
    },
    "my id": [1, [2, 3]],
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$.p.Headers.Location", ["there"]),
        ("$.p.Content.Items[*].WebId", ["A", "B"]),
        ("$.p.Content.Items.*.WebId", ["A", "B"]),
        ("$.p.Content.Items[1].WebId", ["B"]),
        ("$.p.Content.Items[-1].Name", ["no id"]),
        ("$['p'][\"Status\"]", [200]),
        ("$['my id'][1][*]", [2, 3]),
        ("$..WebId", ["A", "B"]),
        ("$.p.Content.Items[3]", []),
        ("$.p.Status.more", []),
        ("$.none", []),
        ("$", [ANSWERS]),
    ],
)
def test_a_path_selects(path: str, found: list[Any]) -> None:
    assert JSONPath(path).find(ANSWERS) == found


@pytest.mark.parametrize(
    "path",
    ["", "p.Status", "$p", "$.", "$.p[", "$.p[x]", "$.p['x]", "$.p..", "$[?(1)]"],
)
def test_other_texts_are_refused(path: str) -> None:
    with pytest.raises(JSONPathError, match="is not valid"):
        JSONPath(path)
