"""Text formats to Python and back: what comes out, and what is refused."""

from __future__ import annotations

import asyncio
import csv
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from nodes import decode, encode
from pichannels.errors import CodecError, DecodeError, MessageError, SettingsError
from pichannels.message import Message
from pichannels.node import BaseNode

HL7 = "MSH|^~\\&|LAB|NORTH|||2026||ADT^A01|77|P|2.5\rPID|1||9||Doe^Jane\r"


def given_to(node: BaseNode, payload: Any) -> Any:
    """The payload that a node makes of another one."""
    return node.process(Message(payload=payload)).payload


# XML


@pytest.mark.parametrize(
    "document",
    [
        "<a x='1'><b>t</b><b/></a>",
        b"<a x='1'><b>t</b><b/></a>",
        '<?xml version="1.0" encoding="latin-1"?><a x="1"><b>t</b><b/></a>',
        "<!DOCTYPE a><a x='1'><b>t</b><b/></a>",
    ],
)
def test_xml_becomes_python(document: str | bytes) -> None:
    assert given_to(decode.XML(), document) == {"a": {"@x": "1", "b": ["t", None]}}


def test_xml_is_read_in_the_encoding_that_it_names() -> None:
    raw = '<?xml version="1.0" encoding="latin-1"?><a>ü</a>'.encode("latin-1")
    assert given_to(decode.XML(), raw) == {"a": "ü"}


def test_an_element_may_always_be_a_list() -> None:
    node = decode.XML(force_list=["b"])
    assert given_to(node, "<a><b>1</b></a>") == {"a": {"b": ["1"]}}


def test_namespaces_are_kept_on_request() -> None:
    found = given_to(decode.XML(process_namespaces=True), "<a xmlns='urn:x'>1</a>")
    assert list(found) == ["urn:x:a"]


BOMB = '<!DOCTYPE a [<!ENTITY x "xxxx"><!ENTITY y "&x;&x;&x;">]><a>&y;</a>'
FILE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (BOMB, "entities are refused"),
        (FILE, "entities are refused"),
        ('<!DOCTYPE a [<!ENTITY % x SYSTEM "http://h/x">%x;]><a/>', "are refused"),
        ("<a>" * 201 + "</a>" * 201, "nested more than 200 deep"),
        ("<a><b></a>", "mismatched tag"),
        ("", "no element found"),
        (b"\xff\xfe", "XML"),
        (b"<?xml version='1.0' encoding='no-such'?><a/>", "encoding"),
        (None, "the payload is NoneType"),
    ],
    ids=str,
)
def test_xml_that_is_wrong_or_harmful_is_refused(document: Any, told: str) -> None:
    with pytest.raises(DecodeError, match=told):
        given_to(decode.XML(), document)


@given(st.binary(max_size=60) | st.text("<>/a&;!= '\"[]", max_size=40))
def test_no_document_does_anything_else_than_fail(document: bytes | str) -> None:
    try:
        found = given_to(decode.XML(), document)
    except DecodeError:
        return
    assert given_to(decode.XML(), given_to(encode.XML(), found)) == found


def test_python_becomes_xml_and_comes_back() -> None:
    document = {"a": {"@x": "<1>", "b": ["t", None], "c": {"#text": "ü", "@y": "2"}}}
    text = given_to(encode.XML(), document)
    assert given_to(decode.XML(), text) == document
    assert text.startswith('<?xml version="1.0" encoding="utf-8"?>')


def test_xml_may_be_pretty() -> None:
    assert "\n\t<b>" in given_to(encode.XML(pretty=True), {"a": {"b": "1"}})


@pytest.mark.parametrize("payload", [{"a": 1, "b": 2}, {}, [1], "text"], ids=str)
def test_what_is_no_document_cannot_be_written(payload: Any) -> None:
    with pytest.raises(CodecError, match="XML"):
        given_to(encode.XML(), payload)


# HL7


@pytest.mark.parametrize(
    "payload",
    [HL7, HL7.replace("\r", "\n"), HL7.replace("\r", "\r\n"), HL7.encode()],
)
def test_hl7_becomes_a_message_of_the_library(payload: str | bytes) -> None:
    found = given_to(decode.HL7(), payload)
    assert (str(found["PID.F5.R1.C2"]), str(found)) == ("Jane", HL7)


def test_bytes_of_hl7_are_read_in_the_encoding_that_they_name() -> None:
    text = "MSH|^~\\&|A||||||ADT|1|P|2.5||||||8859/1\rPID|Müller\r"
    found = given_to(decode.HL7(), text.encode("latin-1"))
    assert str(found["PID.F1"]) == "Müller"


def test_a_message_of_the_library_can_be_copied_and_stored() -> None:
    msg = decode.HL7().process(Message(payload=HL7))
    stored = Message.decode(msg.copy().encode(), "1" * 32, 0)
    assert str(stored.payload) == HL7


@pytest.mark.parametrize("payload", ["", "PID|1", "MSH", b"MSH|", b"\xff", None])
def test_what_is_no_hl7_is_refused(payload: Any) -> None:
    with pytest.raises(DecodeError):
        given_to(decode.HL7(), payload)


def test_hl7_comes_back_as_it_was() -> None:
    assert given_to(encode.HL7(), given_to(decode.HL7(), HL7)) == HL7


def test_only_a_message_of_the_library_becomes_hl7() -> None:
    with pytest.raises(CodecError, match=r"an hl7\.Message, not str"):
        given_to(encode.HL7(), HL7)


# CSV


@pytest.mark.parametrize(
    ("options", "text", "rows"),
    [
        ({}, "a,b\r\n1,2\r\n", [["a", "b"], ["1", "2"]]),
        ({"headers": True}, "a,b\n1,2\n", [["1", "2"]]),
        ({"headers": True, "to_dict": True}, "a,b\n1,2", [{"a": "1", "b": "2"}]),
        ({"fieldnames": ["x"], "to_dict": True}, "1\n\n2\n", [{"x": "1"}, {"x": "2"}]),
        (
            {"headers": True, "to_dict": True, "fieldnames": ["x"]},
            "a\n1\n",
            [{"x": "1"}],
        ),
        ({"delimiter": ";"}, 'a;"b;c"\n', [["a", "b;c"]]),
        ({"delimiter": ";", "quoting": "none"}, '"a;b"\n', [['"a', 'b"']]),
        ({"quoting": csv.QUOTE_NONNUMERIC}, '1.5,"b"\n', [[1.5, "b"]]),
        ({"encoding": "cp1252"}, "ü,1\n".encode("cp1252"), [["ü", "1"]]),
        ({}, "\ufeffa,b\n", [["a", "b"]]),
        ({"headers": True, "to_dict": True}, "", []),
    ],
)
def test_csv_becomes_rows(options: dict[str, Any], text: Any, rows: list[Any]) -> None:
    assert given_to(decode.CSV(**options), text) == rows


@pytest.mark.parametrize(
    ("options", "text", "told"),
    [
        ({"headers": True}, "a,b\n1,2\n1,2,3\n", "row 3 has 3 fields, and not 2"),
        ({"headers": True, "to_dict": True}, "a,b\n1\n", "row 2 has 1 fields"),
        ({"headers": True, "to_dict": True}, "a,a\n1,2\n", "two fields are called 'a'"),
        ({}, 'a\n"b"c\n', "row 2: .* expected after"),
        ({}, 'a\n"b', "row 2: unexpected end"),
        ({"quoting": "nonnumeric"}, "1\nx\n", "row 2: could not convert"),
        ({}, b"\xff", "it is not utf-8"),
        ({}, 7, "the payload is int"),
    ],
)
def test_a_wrong_row_is_told_with_its_number(
    options: dict[str, Any], text: Any, told: str
) -> None:
    with pytest.raises(DecodeError, match=told):
        given_to(decode.CSV(**options), text)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"to_dict": True}, "nothing names the fields"),
        ({"delimiter": ", "}, "not one character"),
        ({"quoting": "nonumeric"}, "did you mean 'nonnumeric'"),
        ({"quoting": 99}, "no such way to quote"),
        ({"encoding": "base64"}, "no such encoding"),
    ],
)
def test_options_of_csv_that_cannot_be_are_told(
    options: dict[str, Any], told: str
) -> None:
    with pytest.raises(SettingsError, match=told):
        decode.CSV(**options)


async def read_file(tmp_path: Path, node: BaseNode, **meta: Any) -> Any:
    await asyncio.to_thread((tmp_path / "a.csv").write_bytes, "ü\n1\n".encode())
    return (await node.handle(Message(meta=meta))).payload


async def test_a_csv_file_is_read_that_the_message_names(tmp_path: Path) -> None:
    path = str(tmp_path / "a.csv")
    rows = await read_file(tmp_path, decode.CSVFile(headers=True), filepath=path)
    assert rows == [["1"]]


async def test_a_csv_file_is_read_that_a_function_names(tmp_path: Path) -> None:
    node = decode.CSVFile(lambda msg: tmp_path / msg.meta["name"])
    assert await read_file(tmp_path, node, name="a.csv") == [["ü"], ["1"]]


async def test_a_csv_file_without_a_name_is_told() -> None:
    with pytest.raises(MessageError, match="no file is named"):
        await decode.CSVFile().handle(Message())


@pytest.mark.parametrize(
    ("options", "rows", "text"),
    [
        ({}, [{"a": 1, "b": "x,y"}], '1,"x,y"\r\n'),
        ({"header": True}, [{"a": 1}, {"a": None}], 'a\r\n1\r\n""\r\n'),
        ({"header": True, "fieldnames": ["b", "a"]}, [{"a": 1}], "b,a\r\n,1\r\n"),
        ({"newline": "\n", "delimiter": ";"}, [[1, 2], [3, 4]], "1;2\n3;4\n"),
        ({"quoting": "all", "newline": "\n"}, [["a", 1]], '"a","1"\n'),
        ({"header": True, "fieldnames": ["a"]}, [], "a\r\n"),
        ({}, [], ""),
    ],
)
def test_rows_become_csv(options: dict[str, Any], rows: Any, text: str) -> None:
    assert given_to(encode.CSV(**options), rows) == text


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (
            [{"a": 1}, {"a": 1, "c": 2}],
            "row 2 cannot be written: no field is called 'c'",
        ),
        ([["a"], "text"], "row 2 cannot be written: it is str"),
        ([{"a": 1}, [1, 2]], "row 2 cannot be written: it has 2 fields"),
        ("text", "from a list of rows, not str"),
        (7, "from a list of rows, not int"),
    ],
    ids=str,
)
def test_rows_that_cannot_be_written_are_told(rows: Any, told: str) -> None:
    with pytest.raises(CodecError, match=told):
        given_to(encode.CSV(), rows)


@given(st.lists(st.lists(st.text(max_size=8), min_size=2, max_size=2), max_size=5))
def test_csv_comes_back_as_it_was(rows: list[list[str]]) -> None:
    text = given_to(encode.CSV(), rows)
    found = given_to(decode.CSV(), text)
    assert found == rows or "\ufeff" in text


# JSON


def test_python_becomes_json() -> None:
    payload = {"a": [1, None, "ü"], "at": datetime(2026, 1, 1, tzinfo=UTC)}
    text = given_to(encode.JSON(), payload)
    assert text == '{"a":[1,null,"ü"],"at":"2026-01-01T00:00:00Z"}'


def test_json_may_be_set_in_and_be_bytes() -> None:
    assert given_to(encode.JSON("utf-8", indent=2), {"a": 1}) == b'{\n  "a": 1\n}'
    assert given_to(encode.JSON("latin-1"), "ü") == '"ü"'.encode("latin-1")


@pytest.mark.parametrize("payload", [object(), {(1, 2): 3}], ids=["object", "keys"])
def test_what_json_has_not_is_told(payload: Any) -> None:
    with pytest.raises(CodecError, match="cannot be written as JSON"):
        given_to(encode.JSON(), payload)


# Text and base64


def test_text_becomes_bytes_and_comes_back() -> None:
    raw = given_to(encode.Text("cp1252"), "5 €")
    assert (raw, given_to(decode.Text("cp1252"), raw)) == (b"5 \x80", "5 €")


def test_what_is_in_another_encoding_is_told() -> None:
    with pytest.raises(DecodeError, match="it is not utf-8"):
        given_to(decode.Text(), b"\xff")
    with pytest.raises(CodecError, match="the text has what ascii has not"):
        given_to(encode.Text("ascii"), "ü")


def test_the_wrong_kind_of_payload_is_told() -> None:
    with pytest.raises(DecodeError, match="is text already"):
        given_to(decode.Text(), "text")
    with pytest.raises(CodecError, match="bytes, and no text"):
        given_to(encode.Text(), b"raw")
    with pytest.raises(CodecError, match="encode.Text makes it so"):
        given_to(encode.Base64(), "text")


@given(st.binary(max_size=50), st.sampled_from([None, "-_", b".,"]))
def test_base64_comes_back_as_it_was(raw: bytes, altchars: Any) -> None:
    text = given_to(encode.Base64(altchars), raw)
    assert given_to(decode.Base64(altchars), text) == raw
    assert given_to(decode.Base64(altchars), b"\r\n ".join([text, b""])) == raw


@pytest.mark.parametrize("payload", ["a", b"!!!!", "ü", 7], ids=str)
def test_what_is_no_base64_is_told(payload: Any) -> None:
    with pytest.raises(DecodeError, match="base64"):
        given_to(decode.Base64(), payload)


def test_other_characters_of_base64_are_two() -> None:
    with pytest.raises(SettingsError, match="not two characters"):
        encode.Base64("-")
