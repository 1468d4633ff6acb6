"""UCUM: which texts are units, and amounts in base units, so that they can be compared.

canonical(Decimal("95"), "mg/dL")   # (Decimal("950"), "g.m-3")
convert(Decimal("98.6"), "[degF]", "Cel")   # Decimal("37")

Case-sensitive codes, as FHIR uses them (https://hl7.org/fhir/R4/ucum.html). Amounts are computed
with exact fractions and rounded once, to 34 digits. Degrees Celsius, Fahrenheit and Réaumur are
kelvins above their zero. Arbitrary units ([IU], [arb'U]) and logarithmic ones ([pH], dB, Np) are
units of their own, comparable with their multiples alone: IU of two substances say nothing of one
another, and a logarithm cannot be undone exactly. A mole is a number (6.02214076 × 10²³), as UCUM
defines it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from fractions import Fraction
from functools import lru_cache

from schemas.ucum_terms import MAX_LENGTH, UnitError, parse

DIGITS = 34
"""Significant digits of an amount that was computed."""

ONE = Decimal(1)

# Digits and decimal places of a value; beyond, it is no amount of anything.
_MAX_DIGITS = 1_000
_MAX_MAGNITUDE = 1_000

_ROUNDED = Context(prec=DIGITS, Emax=MAX_EMAX, Emin=MIN_EMIN)
# Wide enough that no product or sum of a value and parts of a factor is ever rounded.
_EXACT = Context(prec=8_000, Emax=MAX_EMAX, Emin=MIN_EMIN)


@dataclass(frozen=True, slots=True)
class _Scale:
    """An amount `x` is `x * factor + shift`; `plain` is the factor when that is all, and short."""

    factor: Fraction
    shift: Fraction
    plain: Decimal | None

    @classmethod
    def of(cls, factor: Fraction, shift: Fraction) -> _Scale:
        plain = None if shift else _short_decimal(factor)
        return cls(factor, shift, plain)

    def apply(self, value: Decimal) -> Decimal | None:
        """The amount, rounded once; None for what is beyond the limits or no number."""
        if not value.is_finite():
            return None
        if self.plain is not None and -40 < value.adjusted() < 40:
            return _ROUNDED.multiply(value, self.plain)
        if abs(value.adjusted()) > _MAX_MAGNITUDE or len(value.as_tuple().digits) > _MAX_DIGITS:
            return None
        factor, shift = self.factor, self.shift
        over = Decimal(factor.denominator * shift.denominator)
        exact = _EXACT.multiply(value, Decimal(factor.numerator * shift.denominator))
        if shift:
            exact = _EXACT.add(exact, Decimal(shift.numerator * factor.denominator))
        return _ROUNDED.divide(exact, over)


@dataclass(frozen=True, slots=True)
class _Unit:
    scale: _Scale
    base: str


def canonical(value: Decimal, unit: str) -> tuple[Decimal, str] | None:
    """The amount in base units and the text of those; comparable units have equal texts.

    None for what is no UCUM unit, and for a value beyond 10^±1000 or 1,000 digits.
    """
    known = _unit(unit) if len(unit) <= MAX_LENGTH else None
    if known is None:
        return None
    amount = known.scale.apply(value)
    return None if amount is None else (amount, known.base)


def convert(value: Decimal, unit: str, to: str) -> Decimal | None:
    """The amount in the unit `to`; None where either is no unit, or they do not compare."""
    if len(unit) > MAX_LENGTH or len(to) > MAX_LENGTH:
        return None
    scale = _conversion(unit, to)
    return None if scale is None else scale.apply(value)


def is_unit(text: str) -> bool:
    """Whether a text is a UCUM unit (its case-sensitive code, annotations allowed)."""
    return len(text) <= MAX_LENGTH and _unit(text) is not None


@lru_cache(maxsize=8_192)
def _unit(text: str) -> _Unit | None:
    try:
        term = parse(text)
    except UnitError:
        return None
    base = ".".join(name + (str(power) if power != 1 else "") for name, power in term.dimensions)
    return _Unit(_Scale.of(term.factor, term.offset), base or "1")


@lru_cache(maxsize=8_192)
def _conversion(unit: str, to: str) -> _Scale | None:
    source, target = _unit(unit), _unit(to)
    if source is None or target is None or source.base != target.base:
        return None
    factor = source.scale.factor / target.scale.factor
    shift = (source.scale.shift - target.scale.shift) / target.scale.factor
    return _Scale.of(factor, shift)


def _short_decimal(factor: Fraction) -> Decimal | None:
    """The factor as a decimal of at most 34 digits that is exactly it; None when there is none."""
    found = _ROUNDED.divide(Decimal(factor.numerator), Decimal(factor.denominator))
    return found if Fraction(found) == factor else None
