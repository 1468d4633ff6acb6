"""Composite parameters: one table for each combination of component types that R4 has.

https://hl7.org/fhir/R4/search.html#composite. A row holds the values that stand together in one
repetition: the columns of the table of each component, numbered. The rows of a quantity in base
units (`:ucum`) are those of a parameter of their own, as for a quantity alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from schemas.search_params import COMPOSITES
from schemas.search_values import CompositeValue
from storage.index import date, number, quantity, reference, string, token
from storage.index.condition import All, Condition, Either, renamed
from storage.index.probe import Find, Intern, Probe
from storage.query.escapes import split

_COMPONENTS: dict[str, Any] = {
    "token": token,
    "date": date,
    "string": string,
    "number": number,
    "quantity": quantity,
    "reference": reference,
}
_SQL_TYPES = {str: "TEXT", int: "INTEGER", float: "REAL"}


@dataclass
class CompositeTable:
    """What the modules of other kinds have: DDL, the row of a value, probes for a search value."""

    kind: str
    tables: tuple[Any, ...] = field(init=False)
    NAME: str = field(init=False)
    DDL: str = field(init=False)
    INSERT: str = field(init=False)
    COLUMNS: str = field(init=False)
    VALUES: dict[str, type] = field(init=False)

    def __post_init__(self) -> None:
        self.tables = tuple(_COMPONENTS[name] for name in self.kind.split("$"))
        self.NAME = self.kind.replace("$", "_") + "_index"
        self.VALUES = {
            f"{name}{place}": kind
            for place, table in enumerate(self.tables, 1)
            for name, kind in table.VALUES.items()
        }
        first, *others = self.VALUES
        self.COLUMNS = ", ".join(("v", "p", *self.VALUES))
        marks = ", ".join("?" * (len(self.VALUES) + 2))
        self.INSERT = f"INSERT INTO {self.NAME} ({self.COLUMNS}) VALUES ({marks})"
        columns = ", ".join(
            f"{name} {_SQL_TYPES[kind]} NOT NULL" for name, kind in self.VALUES.items()
        )
        self.DDL = (
            f"CREATE TABLE {self.NAME} (v INTEGER NOT NULL, p INTEGER NOT NULL, {columns}, "
            f"PRIMARY KEY (p, {first}, v, {', '.join(others)})) WITHOUT ROWID"
        )

    def row(self, p: int, value: CompositeValue, intern: Intern) -> tuple[Any, ...]:
        """The row of a value, without `v`."""
        row: tuple[Any, ...] = (p,)
        for table, part in zip(self.tables, value.parts, strict=True):
            row += table.row(p, part, intern)[1:]
        return row

    def values(self, text: str) -> list[str]:
        """The value asked for each component, still escaped. Raises ValueError."""
        found = split(text, "$")
        if len(found) != len(self.tables) or "" in found:
            raise ValueError(f"{len(self.tables)} values are needed, with $ between them")
        return found

    def probes(self, p: int, text: str, find: Find) -> list[Probe]:
        """Rows whose parts each compare as asked, as written. Raises ValueError."""
        parts = []
        for table, value in zip(self.tables, self.values(text), strict=True):
            parts.append([probe.condition for probe in table.probes(p, value, find)])
        return self.combined(p, self.values(text), parts)

    def in_base_units(self, p: int, text: str, find: Find) -> list[Probe] | None:
        """Rows of `:ucum`, when a part is an amount in a unit of UCUM; None: there is no such."""
        parts: list[list[Condition]] = []
        values = self.values(text)
        converted = False
        for table, value in zip(self.tables, values, strict=True):
            amount = quantity.in_base_units(value) if table is quantity else None
            converted = converted or amount is not None
            if amount is not None:
                parts.append([amount])
            else:
                parts.append([probe.condition for probe in table.probes(p, value, find)])
        return self.combined(p, values, parts) if converted else None

    def combined(
        self, p: int, values: Sequence[str], parts: Sequence[Sequence[Condition]]
    ) -> list[Probe]:
        """Probes for rows that meet one condition of each part."""
        if not all(parts):
            return []
        first, *others = parts
        rest = tuple(
            renamed(one[0] if len(one) == 1 else Either(tuple(one)), place)
            for place, one in enumerate(others, 2)
        )
        # A part that names no code cannot be sought: its column is the first of the key.
        probe = self.tables[0].probes(p, values[0], lambda _text: 0)[0]
        return [
            Probe(
                self.kind,
                p,
                All((renamed(one, 1), *rest)),
                by_version=probe.by_version,
                seekable=probe.seekable,
            )
            for one in first
        ]

    def present(self, p: int) -> Probe:
        """Rows of any value, for `:missing`."""
        return Probe(self.kind, p, by_version=False, seekable=False)


TABLES: tuple[CompositeTable, ...] = tuple(CompositeTable(kind) for kind in sorted(COMPOSITES))
