"""Dates, date-times and times of any precision: reading, comparing, adding.

http://hl7.org/fhirpath/N1/#datetime-arithmetic, http://hl7.org/fhirpath/N1/#comparison
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property, lru_cache

from schemas.fhirpath.errors import FhirPathError

# Precisions, by their number: how many parts a DateTime has.
YEAR, MONTH, DAY, HOUR, MINUTE, SECOND = 1, 2, 3, 4, 5, 6

_DATE = r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?"
_CLOCK = r"([0-9]{2})(?::([0-9]{2})(?::([0-9]{2}(?:\.[0-9]+)?))?)?"
_PATTERNS = {
    "Date": re.compile(_DATE),
    "DateTime": re.compile(rf"{_DATE}(?:T(?:{_CLOCK})?(Z|[+-][0-9]{{2}}:[0-9]{{2}})?)?"),
    "Time": re.compile(rf"T?{_CLOCK}"),
}
# A place's clock is at most so far from UTC; what has no zone may be anywhere between.
_EAST_S, _WEST_S = 14 * 3600, 12 * 3600

Instant = tuple[int, Decimal]


@dataclass(frozen=True)
class Temporal:
    """`kind` is Date, DateTime or Time; `parts` year to second (a Time: hour to second) as far as
    they are known; `offset` minutes east of UTC, None where no zone is written; `zone` as written.
    """

    kind: str
    parts: tuple[int | Decimal, ...]
    offset: int | None = None
    zone: str = ""

    @property
    def precision(self) -> int:
        """YEAR to SECOND: the last part that is known."""
        return len(self.parts) + (3 if self.kind == "Time" else 0)

    @cached_property
    def text(self) -> str:
        """As FHIR writes it, without `@` and `T` in front."""
        shown = [f"{part:02}" for part in self.parts if not isinstance(part, Decimal)]
        if self.kind != "Time" and shown:
            shown[0] = f"{self.parts[0]:04}"
        if len(shown) < len(self.parts):
            second = self.parts[-1]
            shown.append(f"{second:f}" if second >= 10 else f"0{second:f}")
        if self.kind == "Time":
            return ":".join(shown)
        clock = "T" + ":".join(shown[3:]) if len(shown) > 3 else ""
        return "-".join(shown[:3]) + clock + self.zone

    @cached_property
    def interval(self) -> tuple[Instant, Instant]:
        """First instant and the first one after it, as seconds and a fraction; the same instant
        twice when the second is known. In UTC where a zone is written, else by the wall clock."""
        low = self._beginning()
        precision = self.precision
        if precision >= SECOND:
            return low, low
        if self.kind == "Time" or precision >= DAY:
            length = {DAY: 86_400, HOUR: 3600, MINUTE: 60}[precision]
            return low, (low[0] + length, low[1])
        year, month = int(self.parts[0]), int(self.parts[1]) if precision == MONTH else 12
        days = monthrange(year, month)[1]
        last = date(year, month, days).toordinal() + 1
        return low, (last * 86_400, low[1])

    def _beginning(self) -> Instant:
        if self.kind == "Time":
            day, clock = 0, self.parts
        else:
            year, month, number = ([int(part) for part in self.parts[:3]] + [1, 1])[:3]
            day = date(year, month, number).toordinal()
            clock = self.parts[3:]
        seconds, fraction = day * 86_400, Decimal(0)
        for part, weight in zip(clock, (3600, 60, 1), strict=False):
            whole = int(part)
            seconds += whole * weight
            if isinstance(part, Decimal):
                fraction = part - whole
        return seconds - (self.offset or 0) * 60, fraction

    def cut(self, precision: int) -> Temporal:
        """Without the parts beyond a precision."""
        keep = precision - (3 if self.kind == "Time" else 0)
        zoned = precision > DAY
        return Temporal(
            self.kind, self.parts[:keep], self.offset if zoned else None, self.zone if zoned else ""
        )


def compare(left: Temporal, right: Temporal) -> int | None:
    """-1, 0 or 1; None where their precisions or a missing zone leave it open.

    Raises FhirPathError for a Time and something with a date.
    """
    if (left.kind == "Time") != (right.kind == "Time"):
        raise FhirPathError(f"A {left.kind} cannot be compared with a {right.kind}.")
    a, b = left.interval, right.interval
    if left.kind != "Time" and (left.offset is None) != (right.offset is None):
        if left.offset is None:
            a = _anywhere(a)
        else:
            b = _anywhere(b)
    elif left.precision == right.precision:
        return (a[0] > b[0]) - (a[0] < b[0])
    if _before(a, b):
        return -1
    return 1 if _before(b, a) else None


def _anywhere(interval: tuple[Instant, Instant]) -> tuple[Instant, Instant]:
    (low, low_part), (high, high_part) = interval
    return (low - _EAST_S, low_part), (high + _WEST_S, high_part)


def _before(a: tuple[Instant, Instant], b: tuple[Instant, Instant]) -> bool:
    # The end is not in an interval that has a length; it is in one that is an instant.
    return a[1] < b[0] or (a[1] == b[0] and a[0] != a[1])


@lru_cache(maxsize=16_384)
def read_temporal(text: str, kind: str) -> Temporal | None:
    """A text as Date, DateTime or Time; None when it is none, or no day of the calendar."""
    match = _PATTERNS[kind].fullmatch(text)
    if match is None:
        return None
    zone = ""
    groups = list(match.groups())
    if kind == "DateTime":
        zone = groups.pop() or ""
    parts: list[int | Decimal] = [int(part) if "." not in part else Decimal(part)
                                  for part in groups if part is not None]  # fmt: skip
    second_at = 2 if kind == "Time" else 5
    if len(parts) > second_at:
        parts[second_at] = Decimal(groups[second_at])
    return _checked(kind, parts, zone)


def _checked(kind: str, parts: list[int | Decimal], zone: str) -> Temporal | None:
    clock = parts if kind == "Time" else parts[3:]
    if any(part >= limit for part, limit in zip(clock, (24, 60, 61), strict=False)):
        return None
    if kind != "Time":
        year, month, day = ([int(part) for part in parts[:3]] + [1, 1])[:3]
        if not year >= 1 or not 1 <= month <= 12 or not 1 <= day <= monthrange(year, month)[1]:
            return None
    offset = None
    if zone:
        hours, minutes = (0, 0) if zone == "Z" else (int(zone[1:3]), int(zone[4:6]))
        if hours > 14 or minutes > 59 or len(clock) == 0:
            return None
        offset = (hours * 60 + minutes) * (-1 if zone[0] == "-" else 1)
    return Temporal(kind, tuple(parts), offset, zone)


def literal_temporal(token: str) -> Temporal:
    """`@2015`, `@2015T`, `@T14:30`. Raises FhirPathError for a day or time that does not exist."""
    text = token[1:]
    kind = "Time" if text.startswith("T") else "DateTime" if "T" in text else "Date"
    found = read_temporal(text.removesuffix("T") if kind != "Time" else text, kind)
    if found is None:
        raise FhirPathError(f"A {kind} that the expression writes does not exist.", "syntax")
    return found


def of_datetime(moment: datetime, kind: str) -> Temporal:
    """An aware datetime to the millisecond: as DateTime, or its Date or Time."""
    text = moment.isoformat(timespec="milliseconds")
    if kind == "Date":
        text = text[:10]
    elif kind == "Time":
        text = text[11:23]
    found = read_temporal(text, kind)
    if found is None:
        raise FhirPathError("now() is outside the years that FHIR can write.")
    return found


# Unit of a time-valued quantity → its precision, and how many of that one is.
_STEPS: dict[str, tuple[int, int]] = {
    "year": (YEAR, 1), "month": (MONTH, 1), "week": (DAY, 7), "day": (DAY, 1),
    "hour": (HOUR, 1), "minute": (MINUTE, 1), "second": (SECOND, 1), "millisecond": (SECOND, 1),
}  # fmt: skip
# How many of a precision make one of the next coarser one.
_COARSER = {SECOND: 60, MINUTE: 60, HOUR: 24, DAY: 30, MONTH: 12}


def add(moment: Temporal, amount: Decimal, unit: str) -> Temporal:
    """A time-valued quantity added; `unit` is a calendar unit in the singular.

    Fractions count for seconds and milliseconds only. A quantity finer than what is known of the
    moment is converted to its precision first, and cut. Raises FhirPathError for a unit that does
    not fit, and for a result outside the years 1 to 9999.
    """
    precision, factor = _STEPS[unit]
    if moment.kind == "Time" and precision < HOUR:
        raise FhirPathError(f"A quantity in {unit}s cannot be added to a Time.")
    if unit == "millisecond":
        amount = amount / 1000
    elif unit != "second":
        amount = Decimal(int(amount))
    amount *= factor
    if precision == DAY and moment.precision == YEAR:
        amount, precision = amount / 365, YEAR
    while precision > moment.precision:
        if precision == HOUR and moment.kind == "Time":
            break
        days_to_years = precision == DAY and moment.precision == YEAR
        amount /= 365 if days_to_years else _COARSER[precision]
        precision -= 2 if days_to_years else 1
    if precision != SECOND:
        amount = Decimal(int(amount))
    if precision <= MONTH:
        return _add_months(moment, int(amount) * (12 if precision == YEAR else 1))
    return _add_clock(moment, amount, precision)


def _add_months(moment: Temporal, months: int) -> Temporal:
    year, month = int(moment.parts[0]), int(moment.parts[1]) if len(moment.parts) > 1 else 1
    total = year * 12 + month - 1 + months
    year, month = divmod(total, 12)
    _refuse_year(year)
    parts = list(moment.parts)
    parts[0] = year
    if len(parts) > 1:
        parts[1] = month + 1
    if len(parts) > 2:
        parts[2] = min(int(parts[2]), monthrange(year, month + 1)[1])
    return Temporal(moment.kind, tuple(parts), moment.offset, moment.zone)


def _add_clock(moment: Temporal, amount: Decimal, precision: int) -> Temporal:
    """Days, hours, minutes or seconds, carried over into what is coarser."""
    clock = list(moment.parts if moment.kind == "Time" else moment.parts[3:])
    carried: int | Decimal = amount if precision == SECOND else int(amount)
    for rank, size in ((SECOND, 60), (MINUTE, 60), (HOUR, 24)):
        at = rank - HOUR
        if rank > precision or at >= len(clock):
            continue
        value = clock[at] + carried
        whole = int(value // size) if value >= 0 else -int(-(value // size))
        carried, rest = whole, value - whole * size
        if rest < 0:
            carried, rest = carried - 1, rest + size
        clock[at] = Decimal(rest) if rank == SECOND else int(rest)
    if moment.kind == "Time":
        return Temporal("Time", tuple(clock))
    day = date(*(int(part) for part in moment.parts[:3])).toordinal() + int(carried)
    if not 1 <= day <= date.max.toordinal():
        _refuse_year(0)
    moved = date.fromordinal(day)
    return Temporal(
        moment.kind, (moved.year, moved.month, moved.day, *clock), moment.offset, moment.zone
    )


def _refuse_year(year: int) -> None:
    if not 1 <= year <= 9999:
        raise FhirPathError("Date arithmetic leaves the years 1 to 9999.")
