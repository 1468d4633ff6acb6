"""Date parameters: intervals of microseconds, compared with any precision and prefix.

https://hl7.org/fhir/R4/search.html#date
"""

from __future__ import annotations

import time

from schemas.dates import date_range
from schemas.search_values import DateValue
from storage.index.condition import ANY_VALUE, All, Compare, Condition, Either
from storage.index.prefixes import split_prefix
from storage.index.probe import Find, Intern, Probe
from storage.query.escapes import unescape

NAME = "date_index"
# The second index is by the interval's end: eq, gt, ge, sa and eb all bound it.
DDL = """
CREATE TABLE date_index (
  v INTEGER NOT NULL, p INTEGER NOT NULL, low INTEGER NOT NULL, high INTEGER NOT NULL,
  PRIMARY KEY (v, p, low, high)
) WITHOUT ROWID;
CREATE INDEX date_index_value ON date_index (p, high, low)
"""
INSERT = "INSERT INTO date_index (v, p, low, high) VALUES (?, ?, ?, ?)"
COLUMNS = "v, p, low, high"
VALUES = {"low": int, "high": int}

# Prefixes whose condition bounds the end of the interval, which the index is sorted by.
_SEEKABLE = frozenset({"eq", "gt", "ge", "sa", "eb", "ap"})

_APPROXIMATE = 10  # ap: a tenth of the distance from now


def row(p: int, value: DateValue, intern: Intern) -> tuple[int, int, int]:
    """The row of a value, without `v`."""
    return p, value.low_us, value.high_us


def probes(p: int, text: str, find: Find) -> list[Probe]:
    """Rows that compare as asked with a date of any precision. Raises ValueError."""
    prefix, low, high = bounds(text)
    return [probe(p, condition(prefix, low, high), seekable=prefix in _SEEKABLE)]


def present(p: int) -> Probe:
    """Rows of any value, for `:missing`."""
    return probe(p, ANY_VALUE, seekable=False)


def bounds(text: str) -> tuple[str, int, int]:
    """Prefix and interval of a search value; `ap` is widened already. Raises ValueError."""
    prefix, date = split_prefix(unescape(text))
    # A `+` of a time zone that came through a form unescaped is a space.
    low, high = date_range(date.replace(" ", "+"))
    if prefix == "ap":
        now_us = time.time_ns() // 1000
        low -= abs(now_us - low) // _APPROXIMATE
        high += abs(now_us - high) // _APPROXIMATE
    return prefix, low, high


def condition(prefix: str, low: int, high: int) -> Condition:
    """Over stored `low` and `high` (both half-open intervals; see `storage.index.prefixes`).

    Bounds on `high` that follow from those on `low` are added for the index to seek.
    """
    if prefix == "eq":
        inside = (Compare("low", ">=", low), Compare("high", "<=", high), Compare("high", ">", low))
        return All(inside)
    if prefix == "ne":
        return Either((Compare("low", "<", low), Compare("high", ">", high)))
    if prefix == "gt":
        return Compare("high", ">", high)
    if prefix == "lt":
        return Compare("low", "<", low)
    if prefix == "ge":
        return Compare("high", ">", low)
    if prefix == "le":
        return Compare("low", "<", high)
    if prefix == "sa":
        return All((Compare("low", ">=", high), Compare("high", ">", high)))
    if prefix == "eb":
        return Compare("high", "<=", low)
    return All((Compare("low", "<", high), Compare("high", ">", low)))


def probe(p: int, condition: Condition, *, seekable: bool = True) -> Probe:
    """Rows that meet a condition."""
    return Probe("date", p, condition, version_first=True, seekable=seekable)
