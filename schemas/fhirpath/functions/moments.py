"""Now, parts of dates and times, boundaries and precision.

http://hl7.org/fhirpath/N1/#current-date-and-time-functions, and of trial use
http://hl7.org/fhirpath/#extract-datedatetimetime-components
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from schemas.fhirpath import quantities
from schemas.fhirpath.boundaries import (
    decimal_boundary,
    places,
    temporal_boundary,
    temporal_digits,
)
from schemas.fhirpath.functions.signature import Function
from schemas.fhirpath.quantities import Quantity
from schemas.fhirpath.run import Run, Step
from schemas.fhirpath.temporal import DAY, HOUR, MINUTE, MONTH, SECOND, YEAR, Temporal, of_datetime
from schemas.fhirpath.values import Items, integer, single, wrong_type


def _current(kind: str) -> Function:
    def apply(run: Run, items: Items, focus: Items) -> Items:
        return [of_datetime(run.now(), kind)]

    return Function(apply)


def _boundary(name: str, *, high: bool) -> Function:
    def apply(run: Run, items: Items, focus: Items, precision: Step | None = None) -> Items:
        value = single(items, name)
        wanted = None if precision is None else integer(precision(run, focus), name)
        if value is None or (precision is not None and wanted is None):
            return []
        found: Any = None
        if type(value) in (int, Decimal):
            found = decimal_boundary(Decimal(value), wanted, high=high)
        elif isinstance(value, Quantity):
            edge = decimal_boundary(value.value, wanted, high=high)
            found = None if edge is None else Quantity(edge, value.unit, value.calendar)
        elif isinstance(value, Temporal):
            found = temporal_boundary(value, wanted, high=high)
        else:
            raise wrong_type(name, "a number, date or time", items[0])
        return [] if found is None else [found]

    return Function(apply, 0, 1)


def _precision(run: Run, items: Items, focus: Items) -> Items:
    value = single(items, "precision()")
    if value is None:
        return []
    if type(value) in (int, Decimal):
        return [places(Decimal(value))]
    if isinstance(value, Quantity):
        return [places(value.value)]
    if isinstance(value, Temporal):
        return [temporal_digits(value)]
    raise wrong_type("precision()", "a number, date or time", items[0])


def _part(name: str, compute: Callable[[Temporal], Any]) -> Function:
    def apply(run: Run, items: Items, focus: Items) -> Items:
        value = single(items, name)
        found = compute(value) if isinstance(value, Temporal) else None
        return [] if found is None else [found]

    return Function(apply)


def _nth(rank: int) -> Callable[[Temporal], int | None]:
    def compute(value: Temporal) -> int | None:
        at = rank - (HOUR if value.kind == "Time" else YEAR)
        return int(value.parts[at]) if 0 <= at < len(value.parts) else None

    return compute


def _millisecond(value: Temporal) -> int | None:
    second = value.parts[-1]
    if value.precision < SECOND or not isinstance(second, Decimal) or not places(second):
        return None
    return int(second % 1 * 1000)


def _offset(value: Temporal) -> Decimal | None:
    return None if value.offset is None else Decimal(value.offset) / 60


def _date(value: Temporal) -> Temporal | None:
    return None if value.kind == "Time" else Temporal("Date", value.parts[:3])


def _time(value: Temporal) -> Temporal | None:
    if value.kind != "DateTime" or len(value.parts) < HOUR:
        return None
    return Temporal("Time", value.parts[3:])


def _comparable(run: Run, items: Items, focus: Items, other: Step) -> Items:
    sides = [single(items, "comparable()"), single(other(run, focus), "comparable()")]
    found = [Quantity(Decimal(one), "1") if type(one) in (int, Decimal) else one for one in sides]
    left, right = found
    if not isinstance(left, Quantity) or not isinstance(right, Quantity):
        return []
    return [quantities.compare(left, right) is not None]


FUNCTIONS = {
    "now": _current("DateTime"),
    "today": _current("Date"),
    "timeOfDay": _current("Time"),
    "lowBoundary": _boundary("lowBoundary()", high=False),
    "highBoundary": _boundary("highBoundary()", high=True),
    "precision": Function(_precision),
    "yearOf": _part("yearOf()", _nth(YEAR)),
    "monthOf": _part("monthOf()", _nth(MONTH)),
    "dayOf": _part("dayOf()", _nth(DAY)),
    "hourOf": _part("hourOf()", _nth(HOUR)),
    "minuteOf": _part("minuteOf()", _nth(MINUTE)),
    "secondOf": _part("secondOf()", _nth(SECOND)),
    "millisecondOf": _part("millisecondOf()", _millisecond),
    "timezoneOffsetOf": _part("timezoneOffsetOf()", _offset),
    "dateOf": _part("dateOf()", _date),
    "timeOf": _part("timeOf()", _time),
    "comparable": Function(_comparable, 1, 1),
}
