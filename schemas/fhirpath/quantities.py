"""System.Quantity: a decimal with a UCUM unit or a calendar unit.

http://hl7.org/fhirpath/N1/#quantity, http://hl7.org/fhirpath/N1/#time-valued-quantities
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal

from schemas import ucum
from schemas.fhirpath.boundaries import places

CALENDAR_UNITS = {
    name: unit
    for unit in ("year", "month", "week", "day", "hour", "minute", "second", "millisecond")
    for name in (unit, f"{unit}s")
}
"""Calendar unit as it may be written, in singular or plural → the singular."""

# The definite duration that a calendar unit is equivalent to; it is equal too, except for the
# first two.
_DEFINITE = {
    "year": "a", "month": "mo", "week": "wk", "day": "d",
    "hour": "h", "minute": "min", "second": "s", "millisecond": "ms",
}  # fmt: skip
_INDEFINITE = frozenset({"year", "month"})
_EXACT = Context(prec=100)
_DIVIDING = Context(prec=34)


@dataclass(frozen=True)
class Quantity:
    """`unit` is a UCUM unit, or with `calendar` a calendar unit as written (`days`)."""

    value: Decimal
    unit: str
    calendar: bool = False

    @staticmethod
    def written(value: Decimal, unit: str) -> Quantity:
        """From a literal: a unit in quotes that is a calendar unit's word is one, too."""
        return Quantity(value, unit, unit in CALENDAR_UNITS)

    @property
    def ucum_unit(self) -> str:
        """The definite duration for a calendar unit, else the unit."""
        return _DEFINITE[CALENDAR_UNITS[self.unit]] if self.calendar else self.unit

    @property
    def text(self) -> str:
        """As a literal of FHIRPath."""
        return f"{self.value:f} {self.unit}" if self.calendar else f"{self.value:f} '{self.unit}'"

    def base(self) -> tuple[Decimal, str] | None:
        """Value and unit such that equal texts are comparable; None for what is no unit."""
        if self.calendar:
            unit = CALENDAR_UNITS[self.unit]
            if unit in _INDEFINITE:
                return self.value * (12 if unit == "year" else 1), "calendar month"
        return ucum.canonical(self.value, self.ucum_unit)


def compare(left: Quantity, right: Quantity) -> int | None:
    """-1, 0 or 1; None where the units are not comparable."""
    if left.unit == right.unit and left.calendar == right.calendar:
        return (left.value > right.value) - (left.value < right.value)
    a, b = left.base(), right.base()
    if a is None or b is None or a[1] != b[1]:
        return None
    return (a[0] > b[0]) - (a[0] < b[0])


def equivalent(left: Quantity, right: Quantity) -> bool | None:
    """Equal when both are in the coarser of the two units and rounded to the lesser precision."""
    a_unit, b_unit = left.ucum_unit, right.ucum_unit
    a, b = left.value, right.value
    if a_unit != b_unit:
        a_one, b_one = ucum.canonical(Decimal(1), a_unit), ucum.canonical(Decimal(1), b_unit)
        if a_one is None or b_one is None or a_one[1] != b_one[1] or not a_one[0] or not b_one[0]:
            return None
        if a_one[0] >= b_one[0]:
            b = _DIVIDING.divide(_EXACT.multiply(b, b_one[0]), a_one[0])
        else:
            a = _DIVIDING.divide(_EXACT.multiply(a, a_one[0]), b_one[0])
    return equivalent_decimals(a, b)


def equivalent_decimals(left: Decimal, right: Decimal) -> bool:
    """Equal when rounded to the precision of the less precise; trailing zeros do not count."""
    step = Decimal(1).scaleb(-min(places(_trimmed(left)), places(_trimmed(right))))
    return left.quantize(step, ROUND_HALF_UP, _EXACT) == right.quantize(step, ROUND_HALF_UP, _EXACT)


def _trimmed(value: Decimal) -> Decimal:
    return value.normalize(_EXACT)


def total(left: Quantity, right: Quantity, sign: int) -> Quantity | None:
    """Sum or difference, in the left one's unit; None where the units cannot be added."""
    if right.unit == "1" and not right.calendar and left.unit != "1":
        return Quantity(_EXACT.add(left.value, sign * right.value), left.unit, left.calendar)
    if left.unit == "1" and not left.calendar and right.unit != "1":
        return Quantity(_EXACT.add(left.value, sign * right.value), right.unit, right.calendar)
    if left.unit == right.unit and left.calendar == right.calendar:
        converted: Decimal | None = right.value
    elif {CALENDAR_UNITS[one.unit] for one in (left, right) if one.calendar} & _INDEFINITE:
        same = left.calendar and right.calendar
        same = same and CALENDAR_UNITS[left.unit] == CALENDAR_UNITS[right.unit]
        converted = right.value if same else None
    else:
        converted = ucum.convert(right.value, right.ucum_unit, left.ucum_unit)
    if converted is None:
        return None
    return Quantity(_EXACT.add(left.value, sign * converted), left.unit, left.calendar)


def product(left: Quantity, right: Quantity, *, divide: bool) -> Quantity | None:
    """Product or quotient with the unit that follows; None for calendar units, no units, and a
    division by zero."""
    if divide and not right.value:
        return None
    if divide:
        value = _DIVIDING.divide(left.value, right.value)
    else:
        value = _EXACT.multiply(left.value, right.value)
    if right.unit == "1" and not right.calendar:
        return Quantity(value, left.unit, left.calendar)
    if left.calendar or right.calendar:
        return None
    if not (ucum.is_unit(left.unit) and ucum.is_unit(right.unit)):
        return None
    if left.unit == "1" and not divide:
        return Quantity(value, right.unit)
    if divide and left.unit == right.unit:
        return Quantity(value, "1")
    right_unit = f"({right.unit})" if "." in right.unit or "/" in right.unit else right.unit
    if not divide:
        return Quantity(value, f"{left.unit}.{right_unit}")
    return Quantity(value, f"{'' if left.unit == '1' else left.unit}/{right_unit}")


def convert(quantity: Quantity, unit: str) -> Quantity | None:
    """`toQuantity(unit)`; None where there is no conversion."""
    wanted = Quantity.written(quantity.value, unit)
    if quantity.unit == "1" and not quantity.calendar:
        return wanted if wanted.calendar or ucum.is_unit(unit) else None
    if wanted.unit == quantity.unit and wanted.calendar == quantity.calendar:
        return wanted
    if quantity.calendar:
        factor = _calendar_factor(quantity.unit, wanted.ucum_unit)
        if factor is not None:
            exact = _EXACT.multiply(quantity.value, Decimal(factor[0]))
            return Quantity(_DIVIDING.divide(exact, Decimal(factor[1])), unit, wanted.calendar)
    value = ucum.convert(quantity.value, quantity.ucum_unit, wanted.ucum_unit)
    return None if value is None else Quantity(value, unit, wanted.calendar)


def _calendar_factor(source: str, target: str) -> tuple[int, int] | None:
    """Multiplier and divisor by the calendar's own rules: a year has 12 months or 365 days, a
    month 30 days."""
    days = {"a": 365, "mo": 30, "wk": 7, "d": 1}
    unit = _DEFINITE[CALENDAR_UNITS[source]]
    if {unit, target} == {"a", "mo"}:
        return (12, 1) if unit == "a" else (1, 12)
    return (days[unit], days[target]) if unit in days and target in days else None
