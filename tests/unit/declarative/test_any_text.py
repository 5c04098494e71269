"""Whatever stands in a file, it is built or told; nothing else is raised."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings, strategies as st

from pichannels.declarative.building import Builder
from pichannels.declarative.catalogue import Catalogue
from tests.strength import either

WORDS = [
    *("channels", "name", "source", "store", "nodes", "fork", "when", "case", "if"),
    *("each", "branches", "required", "pi", "sqlite", "decode.PI", "log.Log", "url"),
    *("filter.Tags", "patterns", "publish.File", "path", "retry", "attempts", "python"),
    *(
        "value > 3",
        "${env:X}",
        "${",
        "os.system",
        "..",
        "",
        "a",
        "nodes.decode",
        "level",
    ),
]
leaves = st.one_of(
    st.sampled_from(WORDS),
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.dates(),
    st.text(max_size=5),
)
keys = st.one_of(st.sampled_from(WORDS), st.integers(), st.none())
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=4)
    ),
    max_leaves=25,
)
chains = st.lists(
    st.one_of(st.sampled_from(WORDS), st.dictionaries(keys, trees, max_size=2)),
    max_size=4,
)
channels = st.fixed_dictionaries({"name": leaves, "nodes": chains})
documents = st.one_of(
    trees,
    st.fixed_dictionaries({"channels": st.lists(trees, max_size=3)}),
    st.fixed_dictionaries(
        {
            "channels": st.tuples(
                st.fixed_dictionaries({"name": leaves, "nodes": chains})
            )
        }
    ),
)


@pytest.fixture(scope="module")
def catalogue() -> Iterator[Catalogue]:
    with tempfile.TemporaryDirectory() as folder:
        yield Catalogue(Path(folder))


def build(catalogue: Catalogue, data: bytes) -> Builder:
    file = catalogue.folder / "a.yaml"
    file.write_bytes(data)
    builder = Builder(catalogue)
    builder.read(file)
    return builder


@settings(max_examples=either(300, 80), deadline=None)
@given(documents)
@example({"channels": [{"name": "a", "nodes": [{"log.Log": {"name": 3}}]}]})
@example({"channels": [{"name": "a", "nodes": [{"case": {"branches": {"x": 1}}}]}]})
def test_any_document_is_built_or_told(catalogue: Catalogue, document: Any) -> None:
    data = yaml.safe_dump(document, allow_unicode=True).encode("utf-8", "replace")
    for problem in build(catalogue, data).problems:
        assert problem.file is not None


@settings(max_examples=either(300, 80), deadline=None)
@given(st.one_of(st.binary(max_size=50), st.text(max_size=50).map(str.encode)))
@example(b"a: &x [*x]")
@example(b"{" * 500)
@example(b"2020-99-99")
@example(b"? {a: b}\n: c")
@example(b"<<: 3")
@example(b"<<: [a]\nb: c")
@example(b"a: !!int x")
@example(b"%YAML 9.9\n--- a")
@example(b"a\n---\nb")
def test_any_bytes_are_told(catalogue: Catalogue, data: bytes) -> None:
    assert build(catalogue, data).problems
