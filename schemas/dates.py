"""FHIR dates of any precision as intervals of microseconds.

https://hl7.org/fhir/R4/datatypes.html#dateTime, https://hl7.org/fhir/R4/search.html#date
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

_DATE_TIME = re.compile(
    r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})"
    r"(?:T([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?)?)?"
)
# Says nothing of the text: a date may be a birth date.
_REFUSAL = (
    "not a FHIR date or dateTime: YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss+zz:zz, "
    "a day of the calendar"
)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_US = 86_400_000_000
_MINUTE_US = 60_000_000
_SECOND_US = 1_000_000


@lru_cache(maxsize=65_536)
def date_range(text: str) -> tuple[int, int]:
    """A FHIR date, dateTime or instant as `[low_us, high_us)`, microseconds since the epoch.

    `2024` is the whole year, `2024-05-01T10:00` the minute, `…:05` the second, `…:05.1` a tenth of
    one. Fractions beyond a microsecond are cut. Where no zone is written, UTC is assumed. A leap
    second (`:60`) is the first second of the next minute. Raises ValueError for anything that is
    not such a date, days that the calendar lacks included.
    """
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        raise ValueError(_REFUSAL)
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    try:
        first = date(int(year), int(month or 1), int(day or 1)).toordinal() - _EPOCH_DAY
    except ValueError:
        raise ValueError(_REFUSAL) from None
    low = first * _DAY_US
    if hour is None:
        if day is not None:
            return low, low + _DAY_US
        return low, _end_of(int(year), int(month) if month else None) * _DAY_US
    hours, minutes, seconds = int(hour), int(minute), int(second or 0)
    if hours > 23 or minutes > 59 or seconds > 60:
        raise ValueError(_REFUSAL)
    low += (hours * 60 + minutes) * _MINUTE_US + seconds * _SECOND_US - _offset_us(zone)
    if second is None:
        return low, low + _MINUTE_US
    if not fraction:
        return low, low + _SECOND_US
    digits = fraction[:6]
    step: int = 10 ** (6 - len(digits))
    low += int(digits) * step
    return low, low + step


def _end_of(year: int, month: int | None) -> int:
    """Day number after the year's or the month's last one; the year 10000 included."""
    if month is not None and month < 12:
        return date(year, month + 1, 1).toordinal() - _EPOCH_DAY
    return date(year, 12, 31).toordinal() + 1 - _EPOCH_DAY


def _offset_us(zone: str | None) -> int:
    if zone is None or zone == "Z":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > 14 or minutes > 59 or (hours == 14 and minutes):
        raise ValueError(_REFUSAL)
    offset = (hours * 60 + minutes) * _MINUTE_US
    return -offset if zone[0] == "-" else offset


def to_datetime(microseconds: int) -> datetime | None:
    """Microseconds since the epoch as an aware UTC datetime; None outside the years 1 to 9999."""
    try:
        return _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        return None


def to_microseconds(moment: datetime) -> int:
    """An aware datetime as microseconds since the epoch. Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError("a datetime without a zone is no moment; make it aware (UTC)")
    return (moment - _EPOCH) // timedelta(microseconds=1)


MIN_US = -(2**62)
"""The beginning of a Period without a start: before every date that can be written."""

MAX_US = 2**62
"""The end of a Period without an end."""


def period_range(period: object) -> tuple[int, int] | None:
    """A Period as `[low_us, high_us)`, open ends as `MIN_US` and `MAX_US`.

    None when it is no Period, has neither end, or has one that is not a date.
    """
    if not isinstance(period, dict):
        return None
    start, end = period.get("start"), period.get("end")
    if not isinstance(start, str) and not isinstance(end, str):
        return None
    try:
        low = date_range(start)[0] if isinstance(start, str) else MIN_US
        high = date_range(end)[1] if isinstance(end, str) else MAX_US
    except ValueError:
        return None
    return low, high


def timing_range(timing: object) -> tuple[int, int] | None:
    """The outer limits of a Timing: of its events and of its `repeat.boundsPeriod`.

    https://hl7.org/fhir/R4/search.html#date: the schedule itself does not matter.
    """
    if not isinstance(timing, dict):
        return None
    found = []
    events = timing.get("event")
    for event in events if isinstance(events, list) else []:
        try:
            found.append(date_range(event) if isinstance(event, str) else None)
        except ValueError:
            continue
    repeat = timing.get("repeat")
    if isinstance(repeat, dict):
        found.append(period_range(repeat.get("boundsPeriod")))
    ranges = [one for one in found if one is not None]
    if not ranges:
        return None
    return min(low for low, _ in ranges), max(high for _, high in ranges)
