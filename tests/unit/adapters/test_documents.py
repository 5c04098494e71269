"""XML and HL7 without their libraries: the project loads, and the extra is named."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pichannels.adapters.xml_documents import element_to_plain, parse_element
from pichannels.errors import DecodeError

MADE = """
import sys
sys.modules[{library!r}] = None
from nodes import {family}
{family}.{node}()
"""


@pytest.mark.parametrize(
    ("library", "family", "node", "extra"),
    [
        ("xmltodict", "decode", "XML", "xml"),
        ("defusedxml", "encode", "XML", "xml"),
        ("hl7", "decode", "HL7", "hl7"),
    ],
)
def test_a_missing_extra_is_named_when_a_node_needs_it(
    library: str, family: str, node: str, extra: str
) -> None:
    code = MADE.format(library=library, family=family, node=node)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert f"pip install 'pichannels[{extra}]'" in done.stderr


def test_an_element_has_the_shape_of_documents_without_namespaces() -> None:
    root = parse_element(
        '<n:a xmlns:n="urn:x" n:k="1">t<n:b>1</n:b><b/><b>3</b><c> </c></n:a>'
    )
    assert (root.tag, element_to_plain(root)) == (
        "{urn:x}a",
        {"@k": "1", "b": ["1", None, "3"], "c": None, "#text": "t"},
    )


@pytest.mark.parametrize("document", ["<a", '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>'])
def test_elements_are_looked_through_too(document: str) -> None:
    with pytest.raises(DecodeError):
        parse_element(document)
