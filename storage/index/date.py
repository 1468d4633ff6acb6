"""Date parameters: intervals of microseconds, compared with any precision and prefix.

https://hl7.org/fhir/R4/search.html#date
"""

from __future__ import annotations

import time
from typing import Any

from schemas.dates import date_range
from schemas.search_values import DateValue
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

# Prefixes whose condition bounds the end of the interval, which the index is sorted by.
_SEEKABLE = frozenset({"eq", "gt", "ge", "sa", "eb", "ap"})

_APPROXIMATE = 10  # ap: a tenth of the distance from now


def row(p: int, value: DateValue, intern: Intern) -> tuple[int, int, int]:
    """The row of a value, without `v`."""
    return p, value.low_us, value.high_us


def probes(p: int, text: str, find: Find) -> list[Probe]:
    """Rows that compare as asked with a date of any precision. Raises ValueError."""
    prefix, low, high = bounds(text)
    where, args = condition(prefix, low, high)
    return [_probe(f"p = ? AND ({where})", (p, *args), seekable=prefix in _SEEKABLE)]


def present(p: int) -> Probe:
    """Rows of any value, for `:missing`."""
    return _probe("p = ?", (p,), seekable=False)


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


def condition(prefix: str, low: int, high: int) -> tuple[str, tuple[int, ...]]:
    """SQL over stored `low` and `high` (both half-open intervals; see `storage.index.prefixes`).

    Bounds on `high` that follow from those on `low` are added for the index to seek.
    """
    if prefix == "eq":
        return "low >= ? AND high <= ? AND high > ?", (low, high, low)
    if prefix == "ne":
        return "low < ? OR high > ?", (low, high)
    if prefix == "gt":
        return "high > ?", (high,)
    if prefix == "lt":
        return "low < ?", (low,)
    if prefix == "ge":
        return "high > ?", (low,)
    if prefix == "le":
        return "low < ?", (high,)
    if prefix == "sa":
        return "low >= ? AND high > ?", (high, high)
    if prefix == "eb":
        return "high <= ?", (low,)
    return "low < ? AND high > ?", (high, low)


def _probe(where: str, args: tuple[Any, ...], *, seekable: bool = True) -> Probe:
    return Probe(NAME, where, args, version_first=True, seekable=seekable)
