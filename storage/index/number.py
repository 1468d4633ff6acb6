"""Number parameters. https://hl7.org/fhir/R4/search.html#number"""

from __future__ import annotations

from schemas.search_values import NumberValue
from storage.index.condition import ANY_VALUE, Condition
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
VALUES = {"low": float, "high": float}


def row(p: int, value: NumberValue, intern: Intern) -> tuple[int, float, float]:
    """The row of a value, without `v`."""
    return p, value.low, value.high


def probes(p: int, text: str, find: Find) -> list[Probe]:
    """Rows that compare as asked with a number. Raises ValueError."""
    return [_probe(p, number_condition(unescape(text)))]


def present(p: int) -> Probe:
    """Rows of any value, for `:missing`."""
    return _probe(p, ANY_VALUE, seekable=False)


def _probe(p: int, condition: Condition, *, seekable: bool = True) -> Probe:
    return Probe("number", p, condition, version_first=True, seekable=seekable)
