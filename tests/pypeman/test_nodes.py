"""Nodes that take from a message what pypeman's take from it."""

from __future__ import annotations

from typing import Any

import pytest

from pichannels.pypeman import nodes
from pichannels.pypeman.message import Message
from pichannels.pypeman.registry import fresh


@pytest.mark.parametrize(
    ("meta", "subject", "sender"),
    [
        ({"recipients": "a@b.example"}, "No subject", "pypeman@localhost"),
        (
            {"recipients": ["a@b.example"], "subject": "S", "sender": "c@d.example"},
            "S",
            "c@d.example",
        ),
    ],
)
def test_mails_take_from_meta_what_is_not_given(
    meta: dict[str, Any], subject: str, sender: str
) -> None:
    with fresh():
        mail = nodes.Email(host="mail.example").encode(Message(payload="x", meta=meta))
    assert (mail["Subject"], mail["From"], mail["To"]) == (
        subject,
        sender,
        "a@b.example",
    )


def test_rows_keep_their_quotes_as_in_pypeman() -> None:
    with fresh():
        found = nodes.CSVstr2Python().process(Message(payload='a,"b"\n'))
    assert found.payload == [["a", '"b"']]


def test_patterns_of_file_names_have_times_and_the_uuid() -> None:
    msg = Message()
    found = nodes.get_context(msg, counter=3)
    assert (found["counter"], found["msg_uid"]) == (3, msg.uuid)
    assert found["msg_year"] == msg.timestamp.year
