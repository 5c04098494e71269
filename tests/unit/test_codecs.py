"""What is encoded comes back the same, and data decides nothing else."""

from __future__ import annotations

import dataclasses
import enum
import math
import sys
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, strategies as st

from pichannels import codecs
from pichannels.codecs import decode, decode_json, encode, encode_json, register_codec
from pichannels.errors import CodecError
from pichannels.values import DigitalState, Sample, Tag, ValueFailure


class Mode(enum.Enum):
    AUTO = "auto"
    MANUAL = (1, 2)


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclasses.dataclass(frozen=True)
class Limits:
    low: Any
    high: Any
    width: Any = dataclasses.field(init=False, default=None)

    def __post_init__(self) -> None:
        object.__setattr__(self, "width", [self.low, self.high])

    @dataclasses.dataclass(frozen=True)
    class Inner:
        name: str


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    raw: Any
    ok: bool = True


class Celsius:
    def __init__(self, degrees: float) -> None:
        self.degrees = degrees

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Celsius) and other.degrees == self.degrees


register_codec(Celsius, lambda c: c.degrees, Celsius, name="celsius")

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | TEXT
    | st.binary(max_size=8)
    | st.dates()
    | st.datetimes(timezones=st.none() | st.just(UTC))
    | st.times()
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.complex_numbers(allow_nan=False)
    | st.sampled_from([*Mode, *Level])
    | st.builds(DigitalState, TEXT, st.integers(), st.booleans())
    | st.builds(ValueFailure, TEXT)
    | st.builds(Tag, TEXT, server=TEXT)
)
KEYS = st.none() | st.integers() | TEXT | st.binary(max_size=4) | st.dates()


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(KEYS | st.tuples(KEYS), inner, max_size=3)
        | st.dictionaries(st.sampled_from(["$type", "value", "text"]), inner)
        | st.sets(KEYS, max_size=3)
        | st.frozensets(KEYS, max_size=3)
        | st.binary(max_size=4).map(bytearray)
        | st.builds(Limits, inner, inner)
        | st.builds(Reading, raw=inner)
        | st.builds(Sample, st.builds(Tag, TEXT), st.integers(0, 9), inner)
        | st.lists(
            st.builds(Sample, st.builds(Tag, TEXT), st.integers(0, 9), inner),
            max_size=3,
        )
    )


VALUES = st.recursive(ATOMS, nested, max_leaves=8)


def kinds(value: Any) -> Any:
    """The types of a nested value, which equality does not look at."""
    if isinstance(value, list | tuple):
        return type(value), [kinds(item) for item in value]
    if isinstance(value, dict):
        return dict, [(type(k), kinds(v)) for k, v in value.items()]
    return type(value)


@given(VALUES)
def test_a_value_survives_message_pack(value: Any) -> None:
    back = decode(encode(value))
    assert back == value and kinds(back) == kinds(value)


@given(VALUES)
def test_a_value_survives_json(value: Any) -> None:
    back = decode_json(encode_json(value))
    assert back == value and kinds(back) == kinds(value)


@given(VALUES)
def test_indented_json_says_the_same(value: Any) -> None:
    assert decode_json(encode_json(value, indent=2)) == value


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.0])
def test_odd_floats_survive_both(value: float) -> None:
    for back in (decode(encode([value])), decode_json(encode_json([value]))):
        assert (str(back[0]), type(back[0])) == (str(value), float)


@pytest.mark.parametrize(
    "value", [2**63, -(2**63) - 1, 2**64, 16**5000, -(16**5000)], ids=int.bit_length
)
def test_integers_of_any_size_survive_both(value: int) -> None:
    assert decode(encode(value)) == value == decode_json(encode_json(value))


@pytest.mark.parametrize(
    "value",
    [Sample(Tag("a"), 1, DigitalState("OPEN", 1)), Celsius(21.5), Limits.Inner("x")],
)
def test_a_typed_value_alone_survives_both(value: Any) -> None:
    assert decode(encode(value)) == value == decode_json(encode_json(value))


def test_a_batch_writes_each_tag_once() -> None:
    tag = Tag("a" * 1000)
    assert len(encode([Sample(tag, n, 1.5) for n in range(10)])) < 2000


def test_samples_share_their_tag_when_they_come_back() -> None:
    back = decode(encode([Sample(Tag("a"), n, 1.5) for n in range(2)]))
    assert back[0].tag is back[1].tag


def test_a_sample_comes_back_with_every_flag() -> None:
    sample = Sample(Tag("a"), 1, 2, False, True, True, True, "bar", 3, "id")
    assert decode(encode([sample])) == [sample]


# Refusals


class Unknown:
    pass


class Texts(str):
    pass


@pytest.mark.parametrize(
    "value", [object(), Unknown(), Texts("x"), [{"a": Unknown()}], {Unknown(): 1}, len]
)
def test_a_type_without_codec_is_refused_with_what_to_do(value: Any) -> None:
    for write in (encode, encode_json):
        with pytest.raises(CodecError, match="has no codec; call .*register_codec"):
            write(value)


def test_a_type_that_could_not_be_found_again_is_refused() -> None:
    @dataclasses.dataclass
    class Local:
        n: int

    with pytest.raises(CodecError, match="Local"):
        encode(Local(1))


@pytest.mark.parametrize("value", ["\ud800", ["\udfff"], {"\ud800": 1}])
def test_text_that_is_no_unicode_is_refused(value: Any) -> None:
    for write in (encode, encode_json):
        with pytest.raises(CodecError, match="surrogate"):
            write(value)


def test_a_value_nested_too_deeply_is_refused() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    for write in (encode, encode_json):
        with pytest.raises(CodecError, match="deep"):
            write(value)


def test_deeply_nested_data_is_refused() -> None:
    with pytest.raises(CodecError, match="deep"):
        decode(b"\x91" * 100_000 + b"\xc0")
    with pytest.raises(CodecError, match="deep"):
        decode_json("[" * 100_000 + "]" * 100_000)


def comes_back_or_is_refused(data: bytes) -> bool:
    """Whether what the bytes mean, if they mean a thing, is written and read again."""
    try:
        value = decode(data)
        again = decode(encode(value))
    except CodecError:
        return True
    # Equal sets may be written in another order; not a number is not equal to itself.
    return again == value or repr(again) == repr(value)


@given(st.binary(max_size=40))
def test_any_bytes_are_a_value_or_a_codec_error(data: bytes) -> None:
    assert comes_back_or_is_refused(data)


@given(VALUES, st.data())
def test_damaged_data_is_a_value_or_a_codec_error(value: Any, data: Any) -> None:
    written = bytearray(encode(value))
    at = data.draw(st.integers(0, len(written) - 1))
    written[at] = data.draw(st.integers(0, 255))
    assert comes_back_or_is_refused(bytes(written))


@pytest.mark.parametrize(
    "inner",
    [b"\x01", b"\x91\x01", b"\x93\x01\x02\x03", b"\x92\x01\x02", b"\x92\x90\x01", b""],
)
def test_a_malformed_extension_is_refused(inner: bytes) -> None:
    with pytest.raises(CodecError):
        decode(b"\xc7" + bytes([len(inner), 1]) + inner)


def test_an_unknown_extension_is_refused() -> None:
    with pytest.raises(CodecError, match="unknown extension 9"):
        decode(b"\xd4\x09\x00")


def typed_json(name: str, value: Any) -> str:
    return encode_json([{"a": 1}]).replace('{"a":1}', _json_of(name, value))


def _json_of(name: str, value: Any) -> str:
    return msgspec.json.encode({"$type": name, "value": value}).decode()


@pytest.mark.parametrize(
    "name",
    [
        "os:system",
        "builtins:eval",
        "subprocess:Popen",
        "nowhere:Thing",
        "pichannels.message:Message",
        "",
        ":",
        "pichannels.codecs:codecs",
    ],
)
def test_data_cannot_name_what_is_no_data_type(name: str) -> None:
    with pytest.raises(CodecError, match="unknown here"):
        decode_json(typed_json(name, {}))


def test_data_cannot_import_a_module() -> None:
    sys.modules.pop("this", None)
    with pytest.raises(CodecError):
        decode_json(typed_json("this:Zen", {}))
    assert "this" not in sys.modules


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("decimal", "x"),
        ("uuid", 7),
        ("datetime", "yesterday"),
        ("timedelta", ["1"]),
        ("bytes", "*"),
        ("samples", [[], [[0, 1]]]),
        (f"{__name__}:Mode", "off"),
        (f"{__name__}:Limits", {"high": 1}),
        (f"{__name__}:Reading", {"other": 1}),
        (f"{__name__}:Reading", 7),
    ],
)
def test_data_that_does_not_fit_its_type_is_refused(name: str, value: Any) -> None:
    with pytest.raises(CodecError, match=r"^stored .* cannot be read: "):
        decode_json(typed_json(name, value))


@pytest.mark.parametrize("text", ["", "{", "nope", '{"a": 1', b"\xff"])
def test_text_that_is_no_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(CodecError, match="stored JSON cannot be read"):
        decode_json(text)


@pytest.mark.parametrize("value", [{"$type": 1}, {"a": {"$type": None}}, [1, "x"]])
def test_other_json_gives_plain_data(value: Any) -> None:
    assert decode_json(msgspec.json.encode(value)) == value


def test_readable_bytes_are_text_in_json() -> None:
    assert encode_json(b"abc") == '{"$type":"bytes","text":"abc"}'


def test_a_codec_keeps_its_name_when_the_class_moves() -> None:
    assert encode_json(Celsius(1.5)) == '{"$type":"celsius","value":1.5}'


def test_a_codec_that_fails_is_a_codec_error() -> None:
    class Broken:
        pass

    register_codec(Broken, lambda _: [1], lambda data: data["n"], name="test-broken")
    with pytest.raises(CodecError, match="stored test-broken cannot be read"):
        decode(encode(Broken()))
    del codecs._BY_TYPE[Broken], codecs._BY_NAME["test-broken"]


STANDARD: list[Any] = [
    date(2024, 2, 29),
    time(12, 30, 1, 5, UTC),
    datetime(2024, 2, 29, 12, tzinfo=UTC),
    timedelta(-1, 5, 7),
    Decimal("1.50"),
    UUID(int=7),
    {1, 2},
    frozenset({(1, 2)}),
    bytearray(b"\xff\x00"),
    3 - 0j,
]


@pytest.mark.parametrize("value", STANDARD, ids=repr)
def test_a_standard_type_comes_back_as_itself(value: Any) -> None:
    back = decode_json(encode_json(value))
    assert (repr(back), type(back)) == (repr(value), type(value))


def test_an_unknown_type_is_written_again_as_it_was_read() -> None:
    data = encode([Level.LOW, Decimal("1.5")]).replace(b":Level", b":Leval")
    with pytest.raises(CodecError, match="unknown here"):
        decode(data)
    found = codecs.decode_leniently(data)
    assert found == [codecs.Unknown(f"{__name__}:Leval", 1), Decimal("1.5")]
    assert encode(found) == data
    assert '"value":1}' in encode_json(found)


def test_leniently_read_data_has_to_be_data_all_the_same() -> None:
    with pytest.raises(CodecError):
        codecs.decode_leniently(b"\xc1")
