"""PI's names of units, as expressions that pint reads.

Points have engineering units as free text (`DEG C`, `M3/HR`), attributes a name and an
abbreviation of AF's own units of measure (`degree Celsius`, `US gal/min`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = ["DEFINITIONS", "NO_UNITS", "expression_of"]

DEFINITIONS: Final = (
    "MMBtu = 1e6 * Btu",
    "normal_cubic_meter = [normal_volume] = Nm3",
    "standard_cubic_meter = [standard_volume] = Sm3",
    "standard_cubic_foot = [standard_gas_volume] = scf",
    "MMscf = 1e6 * standard_cubic_foot",
    "mmH2O = 9.80638 * pascal",
    "pascal_gauge = [gauge_pressure] = Pag",
    "bar_gauge = 1e5 * pascal_gauge = barg",
    "psi_gauge = 6894.757293168361 * pascal_gauge = psig",
    "volt_ampere_reactive = [reactive_power] = VAr",
)
"""What PI knows and pint does not.

Gas volumes at reference conditions and gauge pressures are kinds of their own: each
is converted within itself, never to volumes and absolute pressures, which would take
the conditions.
"""

NO_UNITS: Final = frozenset(
    {"", "-", "--", "n/a", "none", "null", "pcs", "pc", "piece", "pieces", "ph", "db"}
    | {"text", "state", "on/off", "index", "batch", "unit", "units"}
)
"""Texts that are no units, though some would be read as parsecs or picohenries."""

_TEXTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "°c": "degC",
        "ºc": "degC",
        "deg c": "degC",
        "deg. c": "degC",
        "degc": "degC",
        "celsius": "degC",
        "degree celsius": "degC",
        "degrees celsius": "degC",
        "°f": "degF",
        "ºf": "degF",
        "deg f": "degF",
        "deg. f": "degF",
        "degf": "degF",
        "fahrenheit": "degF",
        "degree fahrenheit": "degF",
        "degrees fahrenheit": "degF",
        "°r": "degR",
        "degr": "degR",
        "degree rankine": "degR",
        "degk": "kelvin",
        "deg k": "kelvin",
        "delta degree celsius": "delta_degC",
        "delta °c": "delta_degC",
        "δ°c": "delta_degC",
        "delta degree fahrenheit": "delta_degF",
        "delta °f": "delta_degF",
        "δ°f": "delta_degF",
        "delta kelvin": "kelvin",
        "%": "percent",
        "pct": "percent",
        "percent": "percent",
        "fraction": "dimensionless",
        "ratio": "dimensionless",
        "gpm": "gallon/minute",
        "gph": "gallon/hour",
        "lpm": "liter/minute",
        "cfm": "foot**3/minute",
        "scfm": "scf/minute",
        "scfh": "scf/hour",
        "mmscfd": "MMscf/day",
        "mmscf": "MMscf",
        "bpd": "oil_barrel/day",
        "tph": "metric_ton/hour",
        "rpm": "revolution/minute",
        "inh2o": "inH2O",
        "inches h2o": "inH2O",
        "inches of water": "inH2O",
        "inches of mercury": "inHg",
        "mmh2o": "mmH2O",
        "millimeters of water": "mmH2O",
        "millimeters of mercury": "mmHg",
        "kg/cm2": "kilogram_force/centimeter**2",
        "psi": "psi",
        "bar": "bar",
        "kpa": "kPa",
        "kw": "kW",
        "kwh": "kWh",
        "amp": "ampere",
        "amps": "ampere",
        "psia": "psi",
        "bara": "bar",
        "psi(g)": "psig",
        "bar(g)": "barg",
        "bar g": "barg",
        "kpag": "kPag",
        "mbarg": "mbarg",
    }
)
"""Whole texts in lower case."""

_PHRASES: Final = (
    (r"\b(?:US|U\.S\.) (?:liquid )?gal(?:lon)?s?\b", "gallon"),
    (r"\b(?:Imp|Imperial|UK) gal(?:lon)?s?\b", "imperial_gallon"),
    (r"\bshort tons?\b", "short_ton"),
    (r"\blong tons?\b", "long_ton"),
    (r"\btonnes?\b", "metric_ton"),
    (r"\b(?:bbl|barrel)s?\b", "oil_barrel"),
    (r"\bNm(?:3|³)", "normal_cubic_meter"),
    (r"\bSm(?:3|³)", "standard_cubic_meter"),
    (r"\bnormal cubic meters?\b", "normal_cubic_meter"),
    (r"\bstandard cubic meters?\b", "standard_cubic_meter"),
    (r"\bstandard cubic (?:foot|feet)\b", "standard_cubic_foot"),
    (r"\bmillion Btu\b", "MMBtu"),
    (r"\bpounds? per square inch\b", "psi"),
    (r"\bkilograms?[- ]force\b", "kilogram_force"),
    (r"\bpounds?[- ]force\b", "pound_force"),
    (r"\bcubic ([a-zA-Z]+)", r"\1**3"),
    (r"\bsquare ([a-zA-Z]+)", r"\1**2"),
    (r"\bdegrees? Celsius\b", "degC"),
    (r"\bdegrees? Fahrenheit\b", "degF"),
    (r"\s+per\s+", "/"),
    (r"\bhrs?\b", "hour"),
    (r"\bsec\b", "second"),
    (r"\bHR\b", "hour"),
    (r"/H\b", "/hour"),
    (r"\bMIN\b", "minute"),
    (r"\bBTU\b", "Btu"),
    (r"\bNm\b", "newton*meter"),
    (r"\bkNm\b", "kilonewton*meter"),
    (r"\bM(3|2)\b", r"m\1"),
    (r"\bKG\b", "kg"),
)
_READY: Final = tuple((re.compile(pattern), put) for pattern, put in _PHRASES)
_POWER: Final = re.compile(r"([A-Za-zµμΩ°]{1,4})\^?([23])(?![0-9A-Za-z*])")
_SIGNS: Final = str.maketrans({"³": "3", "²": "2", "·": "*", "×": "*", "μ": "µ"})
_ALLOWED: Final = re.compile(r"[\w°ºΔδ%/().·×*^²³ -]*")
_DOT: Final = re.compile(r"(?<=[A-Za-zµ])\.(?=[A-Za-zµ])")


def expression_of(text: str) -> str | None:
    """What pint reads for PI's name or abbreviation of units; None for none at all."""
    plain = " ".join(text.split())
    if plain.lower() in NO_UNITS or not _ALLOWED.fullmatch(plain):
        return None
    known = _TEXTS.get(plain.lower())
    if known is not None:
        return known
    for pattern, put in _READY:
        plain = pattern.sub(put, plain)
    plain = _DOT.sub("*", plain.translate(_SIGNS))
    return _POWER.sub(r"\1**\2", plain)
