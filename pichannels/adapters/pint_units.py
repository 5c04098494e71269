"""Conversion of units by pint, which the extra `units` brings."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from tokenize import TokenError
from typing import Any, Final, NamedTuple

from pichannels.adapters.pi_units import DEFINITIONS, expression_of
from pichannels.errors import MessageError, SettingsError

try:
    import pint
except ImportError:
    pint = None  # type: ignore[assignment,unused-ignore]

__all__ = ["Linear", "Units", "UnitsMismatch", "UnknownUnits"]

_LONGEST: Final = 80
_FAILURES: tuple[type[BaseException], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    SyntaxError,
    TokenError,
    TypeError,
    ValueError,
)
if pint is not None:
    _FAILURES += (pint.errors.PintError,)
_SI: Final = (
    "Pa", "W", "J", "N", "K", "V", "A", "ohm", "S", "C", "F", "m", "kg", "s", "m/s",
    "m2", "m3", "m3/s", "kg/s", "kg/m3", "m2/s", "Pa.s", "rad/s", "rad", "mol", "cd",
    "mol/s", "mol/m3", "S/m", "Hz", "W/m2", "J/kg", "J/m3", "m/s2", "Pag", "Nm3/s",
    "Nm3", "Sm3/s", "Sm3", "scf/s", "scf", "VAr", "bit", "bit/s",
)  # fmt: skip
"""SI's units of what is measured; gas volumes and gauge pressures stay what they are.

The first one of the same dimension is taken.
"""


class UnknownUnits(MessageError):
    """The text is no unit that is known."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(f"{text!r} is no known unit")


class UnitsMismatch(MessageError):
    """Values of one unit have no value in the other."""

    def __init__(self, source: str, target: str) -> None:
        self.source = source
        self.target = target
        super().__init__(f"{source!r} cannot be converted to {target!r}")


class Linear(NamedTuple):
    """How values are converted: `value * factor + offset`."""

    factor: float
    offset: float

    def __call__(self, value: float) -> float:
        return value * self.factor + self.offset


class Units:
    """Reads units as PI and people write them, and tells how they are converted.

    Raises:
        SettingsError: pint is not installed.
    """

    def __init__(self) -> None:
        if pint is None:
            raise SettingsError(
                "conversion of units needs the extra `units`:"
                " pip install 'pichannels[units]'"
            )
        self._registry = _registry()
        self._parsed: dict[str, Any] = {}

    def is_known(self, text: str) -> bool:
        """Whether the text is a unit."""
        try:
            self._unit(text)
        except UnknownUnits:
            return False
        return True

    def are_same(self, one: str, other: str) -> bool:
        """Whether values in both are the same numbers."""
        try:
            return self.conversion(one, other) == (1.0, 0.0)
        except UnknownUnits:
            return one.casefold() == other.casefold()
        except UnitsMismatch:
            return False

    def conversion(self, source: str, target: str) -> Linear:
        """How values in `source` become values in `target`.

        The numbers are the nearest to the exact ones.

        Raises:
            UnknownUnits: one of them is no unit.
            UnitsMismatch: they measure different things, or not in proportion.
        """
        found, wanted = self._unit(source), self._unit(target)
        if self._root(source) != self._root(target):
            # To pint a radian is a number, and 60 rpm would be 6.28 Hz.
            raise UnitsMismatch(source, target)
        try:
            zero, one, two = (
                self._registry.Quantity(Fraction(n), found).to(wanted).magnitude
                for n in range(3)
            )
            factor, offset = one - zero, zero
        except _FAILURES as exc:
            raise UnitsMismatch(source, target) from exc
        if two - one != factor or not factor:
            raise UnitsMismatch(source, target)
        return Linear(float(factor), float(offset))

    def si(self, source: str) -> str:
        """The unit of the SI for what `source` measures; without dimension itself.

        Raises:
            UnknownUnits: it is no unit.
            UnitsMismatch: the SI has none that is known here.
        """
        unit = self._unit(source)
        root = self._root(source)
        for name in _SI:
            if self._root(name) == root and (name != "Hz" or _is_frequency(source)):
                return name
        if unit.dimensionality:
            raise UnitsMismatch(source, "SI")
        return source

    def _root(self, text: str) -> Any:
        """The base units of a text, radians among them."""
        return self._registry.get_base_units(self._unit(text))[1]

    def _unit(self, text: str) -> Any:
        unit = self._parsed.get(text)
        if unit is None:
            unit = self._parsed[text] = self._parse(text)
        return unit

    def _parse(self, text: str) -> Any:
        expression = expression_of(text) if len(text) <= _LONGEST else None
        if expression is None:
            raise UnknownUnits(text)
        try:
            return self._registry.parse_units(expression)
        except _FAILURES as exc:
            # What pint makes of odd texts is not told in one way.
            raise UnknownUnits(text) from exc


def _is_frequency(text: str) -> bool:
    """Whether it is said so: per cent an hour has the same dimension."""
    return text.casefold().endswith(("hz", "hertz"))


@cache
def _registry() -> Any:
    """All units; made once in a process, as it takes a third of a second.

    With fractions nothing is rounded on the way from one unit to another.
    """
    registry: Any = pint.UnitRegistry(non_int_type=Fraction)
    for definition in DEFINITIONS:
        registry.define(definition)
    return registry
