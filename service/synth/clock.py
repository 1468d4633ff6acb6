"""Days as proleptic ordinals, and FHIR dates and instants made from them.

A simulation counts in whole days (`date.toordinal`); only what is written carries a time of day,
in the local time of the patient's state with the offset in force on that day.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache

DAYS_PER_YEAR = 365.25

# Standard offset from UTC in hours, and whether daylight saving time is kept.
ZONES: dict[str, tuple[int, bool]] = {
    "eastern": (-5, True),
    "central": (-6, True),
    "mountain": (-7, True),
    "arizona": (-7, False),
    "pacific": (-8, True),
    "hawaii": (-10, False),
}


class _IsoDates(dict[int, str]):
    def __missing__(self, day: int) -> str:
        text = self[day] = date.fromordinal(day).isoformat()
        return text


iso_date = _IsoDates().__getitem__  # at most one entry for each day since 1900
"""`iso_date(ordinal)` is the FHIR date of a day."""


@lru_cache(maxsize=512)
def _daylight_saving(year: int) -> tuple[int, int]:
    """First day of US daylight saving time and the first day after it (rules since 2007)."""
    march = date(year, 3, 1).toordinal()
    november = date(year, 11, 1).toordinal()
    return march + (7 - march % 7) % 7 + 7, november + (7 - november % 7) % 7


@lru_cache(maxsize=65_536)
def utc_offset(day: int, zone: str) -> str:
    """The offset in force on a day, such as `-05:00`."""
    hours, saving = ZONES[zone]
    if saving:
        first, after = _daylight_saving(date.fromordinal(day).year)
        hours += first <= day < after
    return f"-{-hours:02d}:00"


def instant(day: int, minute: int, zone: str) -> str:
    """A FHIR instant: `day` (ordinal) at `minute` past local midnight, which may pass into later
    days."""
    if minute >= 1440:
        day, minute = day + minute // 1440, minute % 1440
    return f"{iso_date(day)}T{minute // 60:02d}:{minute % 60:02d}:00{utc_offset(day, zone)}"


def us_date(day: int) -> str:
    """A day as US clinicians write it in a note: `03/07/2024`."""
    text = iso_date(day)
    return f"{text[5:7]}/{text[8:]}/{text[:4]}"


def age_on(birth_day: int, day: int) -> int:
    """Completed years of age, as people count them."""
    born, now = date.fromordinal(birth_day), date.fromordinal(day)
    return now.year - born.year - ((now.month, now.day) < (born.month, born.day))
