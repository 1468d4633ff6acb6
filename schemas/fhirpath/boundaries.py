"""`lowBoundary`, `highBoundary` and `precision` of numbers, dates and times.

http://hl7.org/fhirpath/#lowboundaryprecision-integer-decimal--date--datetime--time (trial use)
"""

from __future__ import annotations

from calendar import monthrange
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal

from schemas.fhirpath.temporal import DAY, HOUR, MINUTE, MONTH, SECOND, YEAR, Temporal

# Decimal places asked for; FHIRPath leaves the maximum to the implementation.
MAX_PLACES = 28

_WIDE = Context(prec=200)
# Digits of a date → the precision they reach; a Time has eight digits less.
_DIGITS = {4: YEAR, 6: MONTH, 8: DAY, 10: HOUR, 12: MINUTE, 14: SECOND, 17: SECOND}


def places(value: Decimal) -> int:
    """Digits after the decimal point, trailing zeros included."""
    return max(0, -int(value.as_tuple().exponent))


def decimal_boundary(value: Decimal, precision: int | None, *, high: bool) -> Decimal | None:
    """The least (or greatest) value that a decimal as written may stand for, to some places.

    None for places that are negative or more than `MAX_PLACES`.
    """
    wanted = 8 if precision is None else precision
    if not 0 <= wanted <= MAX_PLACES:
        return None
    half = Decimal(5).scaleb(-places(value) - 1)
    edge = _WIDE.add(value, half) if high else _WIDE.subtract(value, half)
    step = Decimal(1).scaleb(-wanted)
    if value and not value.quantize(step, ROUND_HALF_UP, _WIDE):
        # Nothing of the value is left at this precision: zero, on either side.
        return Decimal(0).quantize(step)
    return edge.quantize(step, ROUND_CEILING if high else ROUND_FLOOR, _WIDE)


def temporal_boundary(value: Temporal, precision: int | None, *, high: bool) -> Temporal | None:
    """The first (or last) moment that a partial date or time may stand for; None for a number of
    digits that its type does not have. A missing zone becomes the outermost one."""
    shift = 8 if value.kind == "Time" else 0
    most = {"Date": 8, "DateTime": 17, "Time": 9}[value.kind]
    digits = most if precision is None else precision
    if digits > most or digits + shift not in _DIGITS:
        return None
    rank = _DIGITS[digits + shift]
    if rank < value.precision:
        return value.cut(rank)
    parts = list(value.parts)
    first = HOUR if value.kind == "Time" else YEAR
    while first + len(parts) <= rank:
        parts.append(_edge(first + len(parts), parts, high=high))
    if rank == SECOND and digits + shift == 17:
        second = Decimal(parts[-1])
        if places(second) < 3:
            parts[-1] = second.quantize(Decimal("0.001")) + (
                Decimal("0.999") if high and value.precision < SECOND else 0
            )
    offset, zone = value.offset, value.zone
    if value.kind == "DateTime" and rank > DAY and offset is None:
        offset, zone = (-720, "-12:00") if high else (840, "+14:00")
    return Temporal(value.kind, tuple(parts), offset, zone)


def _edge(rank: int, parts: list[int | Decimal], *, high: bool) -> int | Decimal:
    if rank == SECOND:
        return Decimal(59 if high else 0)
    if rank == MONTH:
        return 12 if high else 1
    if rank == DAY:
        return monthrange(int(parts[0]), int(parts[1]))[1] if high else 1
    return (23 if rank == HOUR else 59) if high else 0


def temporal_digits(value: Temporal) -> int:
    """Digits of what is known: 4 for a year, 17 for a DateTime to the millisecond."""
    whole = {YEAR: 4, MONTH: 6, DAY: 8, HOUR: 10, MINUTE: 12, SECOND: 14}[value.precision]
    if value.precision == SECOND:
        whole += places(Decimal(value.parts[-1]))
    return whole - (8 if value.kind == "Time" else 0)
