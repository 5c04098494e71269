"""MQTT packets: what is encoded is decoded, in any pieces; and nonsense is refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, strategies as st

from pichannels.errors import DecodeError, SettingsError, UsageError
from pichannels.mqtt import check_filter, check_topic
from pichannels.mqtt.packets import (
    Ack,
    Connack,
    Decoder,
    Disconnect,
    Packet,
    Pingresp,
    Publish,
    Suback,
    encode_ack,
    encode_connect,
    encode_publish,
    encode_subscribe,
)
from pichannels.mqtt.properties import encode_properties

MOST = 2**20
texts = st.text(
    st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=30
)
properties = st.fixed_dictionaries(
    {},
    optional={
        "content_type": texts,
        "message_expiry_interval": st.integers(0, 2**32 - 1),
        "correlation_data": st.binary(max_size=300),
        "subscription_identifier": st.lists(
            st.integers(1, 268_435_455), min_size=1, max_size=3
        ),
        "user_property": st.lists(st.tuples(texts, texts), min_size=1, max_size=3),
        "payload_format_indicator": st.integers(0, 1),
        "topic_alias": st.integers(1, 65535),
    },
)
publishes = st.builds(
    Publish,
    topic=texts,
    payload=st.binary(max_size=300),
    qos=st.integers(1, 2),
    retain=st.booleans(),
    properties=properties,
    id=st.integers(1, 65535),
    is_duplicate=st.booleans(),
)


def fed(decoder: Decoder, data: bytes, size: int) -> Iterator[Packet]:
    for start in range(0, len(data), size):
        yield from decoder.feed(data[start : start + size])


@given(st.lists(publishes, max_size=4), st.integers(1, 500))
def test_messages_come_out_as_they_went_in_however_they_are_cut(
    sent: list[Publish], size: int
) -> None:
    data = b"".join(encode_publish(5, publish) for publish in sent)
    assert list(fed(Decoder(5, MOST), data, size)) == sent


@given(publishes)
def test_mqtt_3_has_no_properties(sent: Publish) -> None:
    data = encode_publish(4, sent)
    assert list(Decoder(4, MOST).feed(data)) == [sent._replace(properties={})]


@given(st.binary(max_size=200), st.sampled_from([4, 5]))
def test_any_bytes_are_packets_or_refused(data: bytes, version: int) -> None:
    try:
        found = list(Decoder(version, MOST).feed(data))
    except DecodeError:
        return
    assert len(found) <= len(data)


@pytest.mark.parametrize(
    ("data", "packet"),
    [
        ("20 02 01 00", Connack(True, 0, {})),
        ("40 02 00 07", Ack(4, 7)),
        ("50 03 00 07 87", Ack(5, 7, 0x87)),
        ("70 04 00 07 00 00", Ack(7, 7)),
        ("90 05 00 01 00 01 80", Suback(1, (1, 0x80))),
        ("d0 00", Pingresp()),
        ("e0 00", Disconnect()),
        ("e0 01 8e", Disconnect(0x8E)),
        ("30 07 00 01 61 00 68 69 21", Publish("a", b"hi!")),
    ],
)
def test_packets_of_a_broker_are_understood(data: str, packet: Packet) -> None:
    assert list(Decoder(5, MOST).feed(bytes.fromhex(data))) == [packet]


@pytest.mark.parametrize(
    "data",
    [
        "30 ff ff ff ff 01",
        "36 03 00 01 61",
        "30 02 00 05",
        "30 04 00 01 00 00",
        "30 04 00 02 ff ff",
        "10 00",
        "30 05 00 01 61 01 63",
        "30 80 80 80 01",
    ],
)
def test_what_is_no_packet_of_a_broker_is_refused(data: str) -> None:
    with pytest.raises(DecodeError):
        list(Decoder(5, MOST).feed(bytes.fromhex(data)))


def test_packets_to_a_broker_have_the_bytes_of_the_specification() -> None:
    login = encode_connect(
        5,
        "me",
        clean_start=True,
        keep_alive=30,
        user="u",
        password="p",
        properties={"session_expiry_interval": 1},
    )
    expected = (
        "10 1a 00 04 4d515454 05 c2 001e 05 11 00000001 0002 6d65 0001 75 0001 70"
    )
    assert login == bytes.fromhex(expected)
    assert encode_subscribe(5, 1, {"a/#": 2}) == bytes.fromhex(
        "82 09 0001 00 0003 612f23 02"
    )
    assert encode_ack(6, 7) == bytes.fromhex("62 02 0007")


def test_what_cannot_be_encoded_says_why() -> None:
    with pytest.raises(UsageError, match="did you mean 'content_type'"):
        encode_properties({"content_typ": "x"})
    with pytest.raises(ValueError, match="topic_alias cannot be -1"):
        encode_properties({"topic_alias": -1})
    with pytest.raises(ValueError, match="null"):
        encode_publish(5, Publish("a\x00b", b""))


@pytest.mark.parametrize(
    "name", ["a/b", "+/b", "a/#", "#", "/", "$share/g/a/+", "a//b"]
)
def test_a_filter_names_topics(name: str) -> None:
    assert check_filter(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a+",
        "a/#/b",
        "a#",
        "$share/g",
        "$share//a",
        "$share/+/a",
        "$share/g/",
        "a\0",
    ],
)
def test_a_filter_that_names_none_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="this names no topics"):
        check_filter(name)


@pytest.mark.parametrize("topic", ["", "a/+", "#", "a\0", "a" * 65536])
def test_a_message_needs_one_topic(topic: str) -> None:
    with pytest.raises(ValueError, match="topic"):
        check_topic(topic)
