"""Quantity parameters: number and unit; units are compared as written, never converted.

https://hl7.org/fhir/R4/search.html#quantity
"""

from __future__ import annotations

from schemas.search_values import QuantityValue
from storage.index.condition import ANY_VALUE, All, Compare, Condition, Either
from storage.index.prefixes import number_condition
from storage.index.probe import Find, Intern, Probe
from storage.query.escapes import split, unescape

NAME = "quantity_index"
DDL = """
CREATE TABLE quantity_index (
  v INTEGER NOT NULL, p INTEGER NOT NULL, low REAL NOT NULL, high REAL NOT NULL,
  system INTEGER NOT NULL, code TEXT NOT NULL, unit TEXT NOT NULL,
  PRIMARY KEY (v, p, low, high, system, code, unit)
) WITHOUT ROWID;
CREATE INDEX quantity_index_value ON quantity_index (p, low, high)
"""
INSERT = (
    "INSERT INTO quantity_index (v, p, low, high, system, code, unit) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
COLUMNS = "v, p, low, high, system, code, unit"
VALUES = {"low": float, "high": float, "system": int, "code": str, "unit": str}

NO_SYSTEM = 0


def row(p: int, value: QuantityValue, intern: Intern) -> tuple[int, float, float, int, str, str]:
    """The row of a value, without `v`."""
    system = intern(value.system) if value.system else NO_SYSTEM
    return p, value.low, value.high, system, value.code or "", value.unit or ""


def probes(p: int, text: str, find: Find) -> list[Probe]:
    """Rows for `number`, `number|system|code` or `number||code-or-unit`. Raises ValueError."""
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) not in (1, 3):
        raise ValueError("a quantity is number, number|system|code or number||unit")
    amount = number_condition(parts[0])
    if len(parts) == 1 or not (parts[1] or parts[2]):
        return [_probe(p, amount)]
    system, code = parts[1:]
    if not system:
        unit = Either((Compare("code", "=", code), Compare("unit", "=", code)))
        return [_probe(p, All((amount, unit)))]
    number = find(system)
    if number is None:
        return []
    if not code:
        return [_probe(p, All((amount, Compare("system", "=", number))))]
    exact = (amount, Compare("system", "=", number), Compare("code", "=", code))
    return [_probe(p, All(exact))]


def present(p: int) -> Probe:
    """Rows of any value, for `:missing`."""
    return _probe(p, ANY_VALUE, seekable=False)


def _probe(p: int, condition: Condition, *, seekable: bool = True) -> Probe:
    return Probe("quantity", p, condition, version_first=True, seekable=seekable)
