"""Quantity parameters: number and unit.

An amount in a unit of UCUM is compared in base units, by the rows of the parameter `name:ucum`:
5.4 mg finds 5400 ug. Anything else is compared as written.

https://hl7.org/fhir/R4/search.html#quantity
"""

from __future__ import annotations

from decimal import Decimal

from schemas.codes import UCUM
from schemas.search_values import QuantityValue
from schemas.ucum import canonical
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
        return [probe(p, amount)]
    system, code = parts[1:]
    if not system:
        unit = Either((Compare("code", "=", code), Compare("unit", "=", code)))
        return [probe(p, All((amount, unit)))]
    number = find(system)
    if number is None:
        return []
    if not code:
        return [probe(p, All((amount, Compare("system", "=", number))))]
    exact = (amount, Compare("system", "=", number), Compare("code", "=", code))
    return [probe(p, All(exact))]


def in_base_units(text: str) -> Condition | None:
    """Over the rows of `:ucum`, for a number with a unit of UCUM; None for any other value."""
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) != 3 or parts[1] != UCUM:
        return None
    found = canonical(Decimal(1), parts[2])
    if found is None:
        return None

    def convert(amount: Decimal) -> Decimal:
        converted = canonical(amount, parts[2])
        if converted is None:
            raise ValueError("its number is out of range")
        return converted[0]

    return All((number_condition(parts[0], convert), Compare("code", "=", found[1])))


def present(p: int) -> Probe:
    """Rows of any value, for `:missing`."""
    return probe(p, ANY_VALUE, seekable=False)


def probe(p: int, condition: Condition, *, seekable: bool = True) -> Probe:
    """Rows that meet a condition."""
    return Probe("quantity", p, condition, version_first=True, seekable=seekable)
