"""Dates moved by a number of days, written as they were written."""

import re
from datetime import date, timedelta

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
_NUMERIC = re.compile(r"(?P<a>\d{1,4})(?P<s>[-/.])(?P<b>\d{1,2})(?P=s)(?P<c>\d{1,4})")
_NAMED = re.compile(
    r"(?P<month>[A-Za-z]{3,9})\.?\s+(?P<day>\d{1,2})(?:st|nd|rd|th)?,?\s+(?P<year>\d{4})"
    r"|(?P<day2>\d{1,2})(?:st|nd|rd|th)?[\s-](?:of\s+)?(?P<month2>[A-Za-z]{3,9})\.?[\s,-]+(?P<year2>\d{4})"
)
_CENTURY_BREAK = 50


def _month(name: str) -> int:
    for number, full in enumerate(_MONTHS, start=1):
        if full.lower().startswith(name.lower()[:3]):
            return number
    raise ValueError("no month")


def _moved(year: int, month: int, day: int, days: int) -> date:
    return date(year, month, day) + timedelta(days=days)


def shifted(words: str, days: int) -> str | None:
    """`words` with its date moved by `days`; None where there is no whole date in it.

    Numbers are read month first, day first where the first is over 12. A time stays.
    """
    try:
        numeric = _NUMERIC.search(words)
        if numeric is not None:
            return words[: numeric.start()] + _numeric(numeric, days) + words[numeric.end() :]
        named = _NAMED.search(words)
        if named is not None and not words[: named.start()].strip():
            if named["month"]:
                moved = _moved(int(named["year"]), _month(named["month"]), int(named["day"]), days)
                written = f"{_MONTHS[moved.month - 1]} {moved.day}, {moved.year}"
            else:
                moved = _moved(
                    int(named["year2"]), _month(named["month2"]), int(named["day2"]), days
                )
                written = f"{moved.day} {_MONTHS[moved.month - 1]} {moved.year}"
            return written + words[named.end() :]
    except (ValueError, OverflowError):
        return None
    return None


def _numeric(match: re.Match[str], days: int) -> str:
    first, second, third = (int(match[name]) for name in "abc")
    mark = match["s"]
    if len(match["a"]) == 4:
        moved = _moved(first, second, third, days)
        return f"{moved.year:04d}{mark}{moved.month:02d}{mark}{moved.day:02d}"
    short = len(match["c"]) == 2
    year = third + (1900 if third > _CENTURY_BREAK else 2000) if short else third
    day_first = first > 12
    month, day = (second, first) if day_first else (first, second)
    moved = _moved(year, month, day, days)
    width = 2 if len(match["a"]) == 2 else 1
    ends = f"{moved.year % 100:02d}" if short else f"{moved.year:04d}"
    one, two = (moved.day, moved.month) if day_first else (moved.month, moved.day)
    return f"{one:0{width}d}{mark}{two:0{width}d}{mark}{ends}"
