"""Number parameters. https://hl7.org/fhir/R4/search.html#number"""

from __future__ import annotations

from typing import Any

from schemas.search_values import NumberValue
from storage.index.prefixes import number_condition
from storage.index.probe import Find, Intern, Probe
from storage.query.escapes import unescape

NAME = "number_index"
DDL = """
CREATE TABLE number_index (
  v INTEGER NOT NULL, p INTEGER NOT NULL, low REAL NOT NULL, high REAL NOT NULL,
  PRIMARY KEY (v, p, low, high)
) WITHOUT ROWID;
CREATE INDEX number_index_value ON number_index (p, low, high)
"""
INSERT = "INSERT INTO number_index (v, p, low, high) VALUES (?, ?, ?, ?)"
COLUMNS = "v, p, low, high"


def row(p: int, value: NumberValue, intern: Intern) -> tuple[int, float, float]:
    """The row of a value, without `v`."""
    return p, value.low, value.high


def probes(p: int, text: str, find: Find) -> list[Probe]:
    """Rows that compare as asked with a number. Raises ValueError."""
    where, args = number_condition(unescape(text))
    return [_probe(f"p = ? AND ({where})", (p, *args))]


def present(p: int) -> Probe:
    """Rows of any value, for `:missing`."""
    return _probe("p = ?", (p,), seekable=False)


def _probe(where: str, args: tuple[Any, ...], *, seekable: bool = True) -> Probe:
    return Probe(NAME, where, args, version_first=True, seekable=seekable)
