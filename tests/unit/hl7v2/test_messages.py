"""Headers of HL7 messages, and the acknowledgements that answer them."""

from __future__ import annotations

import hl7  # type: ignore[import-untyped,unused-ignore]
import pytest
from hypothesis import given, strategies as st

from pichannels.errors import DecodeError
from pichannels.hl7v2.messages import (
    Header,
    acknowledgement,
    charset,
    code_for,
    parse_header,
)

MSH = rb"MSH|^~\&|LAB|NORTH|EHR|SOUTH|20261121||ORU^R01^ORU_R01|77|P|2.3"


def header(line: bytes = MSH, **fields: str) -> Header:
    """The header of a line, with other fields (`msh18="..."`)."""
    parts = line.split(b"|")
    for name, text in fields.items():
        number = int(name.removeprefix("msh"))
        parts += [b""] * (number - len(parts))
        parts[number - 1] = text.encode()
    return parse_header(b"|".join(parts) + b"\rPID|1\r")


def test_fields_are_found_by_their_numbers() -> None:
    found = header()
    assert [found.text(n) for n in (3, 10, 12, 19)] == ["LAB", "77", "2.3", ""]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (MSH, "ORU^R01"),
        (rb"MSH|^~\&|||||||ACK", "ACK"),
        (rb"MSH#!~\&#######ADT!A08#1", "ADT^A08"),
        (rb"MSH|^~\&", ""),
    ],
)
def test_the_type_of_a_message_is_told(line: bytes, kind: str) -> None:
    assert parse_header(line).message_type == kind


def test_a_mark_of_the_byte_order_is_no_part_of_the_header() -> None:
    assert parse_header(b"\xef\xbb\xbf\r\n" + MSH).text(3) == "LAB"


@pytest.mark.parametrize("data", [b"", b"PID|1", b"MSH", b"MSH|", b"MSHA^~", b"MSH\r|"])
def test_what_has_no_header_is_told(data: bytes) -> None:
    with pytest.raises(DecodeError, match="not an HL7 message"):
        parse_header(data)


@pytest.mark.parametrize(
    ("named", "encoding"),
    [
        ("", "cp1252"),
        ("8859/1", "iso8859-1"),
        ("UNICODE UTF-8", "utf-8"),
        ("unicode", "utf-8"),
        ("ASCII~ISO IR87", "iso2022_jp_ext"),
        ("~ISO IR87", "iso2022_jp_ext"),
        ("8859/1~UNICODE UTF-8", "iso8859-1"),
        ("GB 18030-2000", "gb18030"),
        ("nonsense", "cp1252"),
    ],
)
def test_the_encoding_is_that_of_the_message_where_it_names_one(
    named: str, encoding: str
) -> None:
    assert charset(header(msh18=named), "cp1252") == encoding


def test_an_acknowledgement_is_what_the_library_makes_of_it() -> None:
    answer = acknowledgement(header(msh17="DEU", msh18="8859/1"), "AE", "no")
    ack = hl7.parse(answer)
    msh, msa = ack.segment("MSH"), ack.segment("MSA")
    assert [str(msh(n)) for n in (3, 4, 5, 6)] == ["EHR", "SOUTH", "LAB", "NORTH"]
    assert [str(msh(n)) for n in (9, 11, 12, 17, 18)] == [
        "ACK^R01",
        "P",
        "2.3",
        "DEU",
        "8859/1",
    ]
    assert [str(msa(n)) for n in (1, 2, 3)] == ["AE", "77", "no"]


def test_what_has_no_header_is_answered_all_the_same() -> None:
    ack = hl7.parse(acknowledgement(None, "AR", "no header"))
    assert str(ack.segment("MSA")) == "MSA|AR||no header"
    assert str(ack.segment("MSH")(9)) == "ACK"


def test_each_answer_has_an_id_of_its_own() -> None:
    ids = {parse_header(acknowledgement(None, "AA")).text(10) for _ in range(100)}
    assert (len(ids), {len(each) for each in ids}) == (100, {20})


@given(st.text(max_size=150))
def test_a_reason_comes_back_as_it_was_given(text: str) -> None:
    answer = acknowledgement(header(), "AR", text or "x", "utf-8").decode()
    segments = answer.split("\r")
    (reason,) = segments[1].split("|")[3:]
    assert (len(segments), segments[2]) == (3, "")
    for name, mark in zip("FSRT", "|^~&", strict=True):
        reason = reason.replace(f"\\{name}\\", mark)
    shown = "".join(c if c >= " " else " " for c in text or "x")
    shown = shown.encode("utf-8", "replace").decode()
    assert reason.replace("\\E\\", "\\") == shown or "\\" in shown


def test_a_long_reason_is_cut() -> None:
    answer = acknowledgement(None, "AR", "x" * 300).decode()
    reason = answer.rstrip("\r").rpartition("|")[2]
    assert (len(reason), reason[-4:]) == (200, "x...")


@pytest.mark.parametrize(
    ("commit", "application", "codes"),
    [
        ("", "", ["AA", "AE", "AR"]),
        ("AL", "NE", ["CA", "CE", "CR"]),
        ("AL", "AL", ["CA", "CE", "CR"]),
        ("ER", "", ["", "CE", "CR"]),
        ("SU", "", ["CA", "", ""]),
        ("NE", "AL", ["AA", "AE", "AR"]),
        ("", "ER", ["", "AE", "AR"]),
        ("NE", "NE", ["", "", ""]),
    ],
)
def test_the_enhanced_mode_answers_as_it_is_asked_to(
    commit: str, application: str, codes: list[str]
) -> None:
    found = header(msh15=commit, msh16=application)
    said = [code_for(found, code, enhanced=True) for code in ("AA", "AE", "AR")]
    plain = [code_for(found, code, enhanced=False) for code in ("AA", "AE", "AR")]
    assert (said, plain) == (codes, ["AA", "AE", "AR"])
