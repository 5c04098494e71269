"""Units as PI writes them, and what their values are in others."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, strategies as st

from pichannels.adapters.pint_units import Units, UnitsMismatch, UnknownUnits

UNITS = Units()

SAME = {
    "K": ["kelvin", "K"],
    "degC": ["°C", "DEG C", "deg. C", "degree Celsius", "Celsius"],
    "degF": ["°F", "Deg F", "degree Fahrenheit"],
    "m**3/hour": ["m3/h", "M3/HR", "m³/h", "m3/hr", "cubic meter per hour", "M3/H"],
    "gallon/minute": ["US gal/min", "gpm", "GPM", "US gallon per minute"],
    "kg/s": ["kg/s", "KG/s", "kilogram per second"],
    "metric_ton/hour": ["t/h", "tonne per hour", "TPH"],
    "percent": ["%", "percent", "PCT"],
    "revolution/minute": ["rpm", "RPM", "revolution per minute"],
    "mPa*s": ["mPa.s", "mPa·s", "cP", "millipascal second"],
    "mg/m**3": ["mg/m3", "milligram per cubic meter"],
    "psi": ["PSI", "psia", "pound per square inch"],
    "oil_barrel/day": ["bbl/d", "barrel per day", "BPD"],
    "kilowatt_hour": ["kWh", "KWH", "kilowatt hour"],
    "newton*meter": ["Nm", "N.m", "newton meter"],
    "kilogram_force/cm**2": ["kgf/cm2", "kg/cm2"],
    "microsiemens/cm": ["µS/cm", "uS/cm"],
    "foot**3/minute": ["ft3/min", "CFM", "cubic foot per minute"],
}
FACTORS = [
    ("m3/h", "US gal/min", 4.402867539),
    ("bar", "psi", 14.50377377),
    ("kW", "hp", 1.341022090),
    ("kWh", "MJ", 3.6),
    ("lb/h", "kg/h", 0.45359237),
    ("bbl/d", "m3/d", 0.158987294928),
    ("Imp gal", "L", 4.54609),
    ("rpm", "rad/s", 0.1047197551),
    ("psig", "barg", 0.0689475729),
    ("Nm3/h", "Nm3/s", 1 / 3600),
    ("ppm", "%", 1e-4),
    ("MMBtu/h", "kW", 293.0711),
    ("short ton", "kg", 907.18474),
    ("delta degree Celsius", "K", 1.0),
]
KINDS = [
    ["°C", "°F", "K", "degree Rankine"],
    ["m3/h", "US gal/min", "L/s", "cubic foot per minute", "barrel per day"],
    ["bar", "kPa", "psi", "inH2O", "kgf/cm2", "mmHg"],
    ["kW", "hp", "Btu/h", "MMBtu/h"],
    ["kg/s", "t/h", "lb/h"],
    ["psig", "barg", "kPag"],
]


@pytest.mark.parametrize(
    ("name", "text"), [(name, text) for name, texts in SAME.items() for text in texts]
)
def test_pi_names_are_understood(name: str, text: str) -> None:
    assert UNITS.are_same(name, text)


@pytest.mark.parametrize(("source", "target", "factor"), FACTORS)
def test_factors_are_those_of_the_books(
    source: str, target: str, factor: float
) -> None:
    assert UNITS.conversion(source, target).factor == pytest.approx(factor, rel=1e-6)


@pytest.mark.parametrize(
    ("source", "target", "value", "expected"),
    [
        ("°C", "°F", 100.0, 212.0),
        ("°F", "°C", 32.0, 0.0),
        ("°C", "K", 0.0, 273.15),
        ("K", "°C", 0.0, -273.15),
    ],
)
def test_temperatures_have_an_offset(
    source: str, target: str, value: float, expected: float
) -> None:
    converted = UNITS.conversion(source, target)(value)
    assert converted == pytest.approx(expected, abs=1e-12)


def test_factors_are_not_rounded_on_the_way() -> None:
    assert UNITS.conversion("°C", "°F") == (1.8, 32.0)


@pytest.mark.parametrize(
    "text",
    ["", " ", "pcs", "-", "n/a", "pH", "dB", "(((", "1/0", "furlongs?", "x" * 99],
)
def test_what_is_no_unit_is_told(text: str) -> None:
    with pytest.raises(UnknownUnits):
        UNITS.conversion(text, "m")


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("bar", "K"),
        ("psig", "bar"),
        ("Nm3/h", "m3/h"),
        ("rpm", "Hz"),
        ("dBm", "W"),
        ("kVAr", "kW"),
    ],
)
def test_what_measures_something_else_is_told(source: str, target: str) -> None:
    with pytest.raises(UnitsMismatch):
        UNITS.conversion(source, target)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("°C", "K"),
        ("bar", "Pa"),
        ("m3/h", "m3/s"),
        ("rpm", "rad/s"),
        ("mm/s", "m/s"),
        ("kWh", "J"),
        ("mA", "A"),
        ("mg/m3", "kg/m3"),
        ("mPa.s", "Pa.s"),
        ("h", "s"),
        ("kHz", "Hz"),
        ("psig", "Pag"),
        ("%", "%"),
        ("ppm", "ppm"),
    ],
)
def test_the_si_has_a_unit_for_what_plants_measure(source: str, target: str) -> None:
    assert UNITS.si(source) == target


def test_what_the_si_has_no_unit_for_is_told() -> None:
    with pytest.raises(UnitsMismatch):
        UNITS.si("%/h")


@st.composite
def pairs(draw: st.DrawFn) -> tuple[str, str]:
    kind = draw(st.sampled_from(KINDS))
    return draw(st.sampled_from(kind)), draw(st.sampled_from(kind))


@given(pairs(), st.floats(-1e9, 1e9))
def test_there_and_back_is_where_it_began(pair: tuple[str, str], value: float) -> None:
    there = UNITS.conversion(*pair)
    back = UNITS.conversion(*reversed(pair))
    # Offsets of temperatures cost their own last digits.
    assert back(there(value)) == pytest.approx(value, rel=1e-12, abs=1e-9)


@given(pairs(), st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_order_is_kept(pair: tuple[str, str], one: float, other: float) -> None:
    convert = UNITS.conversion(*pair)
    assert (convert(one) <= convert(other)) or one > other


@given(st.text(max_size=30))
def test_any_text_is_a_unit_or_told(text: str) -> None:
    assert UNITS.is_known(text) in (True, False)


def test_without_pint_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['pint'] = None\n"
        "from nodes import convert\n"
        "convert.Units('K')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30
    )
    assert "pip install 'pichannels[units]'" in done.stderr
