"""The search index: one table for each type of search parameter, its rows keyed by version.

A version is indexed once, when it is committed, and its rows are never changed: a search as of the
past joins the same rows with what was visible then. Each module owns one table: its DDL, the row of
a value, and the SQL for a search value.
"""

from __future__ import annotations

from typing import Any

import apsw

from schemas.search_values import StringValue, TokenValue, extract, normalized
from storage.index import date, number, quantity, reference, string, token, uri
from storage.index.probe import Intern, Probe

TABLES: tuple[Any, ...] = (token, date, string, number, quantity, reference, uri)

BY_TYPE: dict[str, Any] = {
    "token": token,
    "date": date,
    "string": string,
    "number": number,
    "quantity": quantity,
    "reference": reference,
    "uri": uri,
}

TEXT = ":text"

Rows = dict[str, list[tuple[Any, ...]]]
"""Index rows of one version, without its `v`, by the type of parameter."""


def param_key(resource_type: str, param: str) -> str:
    """The text whose number is `p` in the rows of a parameter."""
    return f"{resource_type}?{param}"


def rows(resource: dict[str, Any], intern: Intern) -> Rows:
    """The index rows of a resource; `intern` gives the number of a text."""
    resource_type = resource["resourceType"]
    found: dict[str, dict[tuple[Any, ...], None]] = {}
    for value in extract(resource):
        key = param_key(resource_type, value.param)
        row = BY_TYPE[value.type].row(intern(key), value, intern)
        found.setdefault(value.type, {})[row] = None
        if isinstance(value, TokenValue) and value.text:
            words = StringValue(value.param, value.text, normalized(value.text))
            if words.normalized:
                row = string.row(intern(key + TEXT), words, intern)
                found.setdefault("string", {})[row] = None
    return {kind: list(distinct) for kind, distinct in found.items()}


def insert(connection: apsw.Connection, v: int, rows: Rows) -> None:
    """Store the index rows of version `v`."""
    for kind, values in rows.items():
        connection.executemany(BY_TYPE[kind].INSERT, [(v, *row) for row in values])


def delete_all(connection: apsw.Connection) -> None:
    """Empty the index."""
    for table in TABLES:
        connection.execute(f"DELETE FROM {table.NAME}")


__all__ = [
    "BY_TYPE",
    "TABLES",
    "TEXT",
    "Probe",
    "Rows",
    "delete_all",
    "insert",
    "param_key",
    "rows",
]
