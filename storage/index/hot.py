"""Hot rows that blocks have replaced, deleted a little at a time: writers wait for each step only.

From the moment a segment is recorded with its blocks, searches no longer look at the hot rows of
its versions, so they may go whenever there is time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import apsw
import numpy as np

from storage.index import date, number, quantity, string
from storage.index.entries import TABLES

_BY_VERSION = (date, string, number, quantity)
_BY_VALUE = tuple(table for table in TABLES if table not in _BY_VERSION)


def hot_versions(connection: apsw.Connection, last_v: int) -> set[int]:
    """Every version up to `last_v` that has hot rows."""
    return {
        v
        for table in TABLES
        for (v,) in connection.execute(f"SELECT v FROM {table.NAME} WHERE v <= ?", (last_v,))
    }


def delete_hot(connection: apsw.Connection, versions: Sequence[int] | np.ndarray) -> None:
    """Delete the hot rows of some versions. Goes through all rows of the tables keyed by value."""
    for table in TABLES:
        connection.execute(
            f"DELETE FROM {table.NAME} WHERE v IN (SELECT value FROM carray(?))",
            (apsw.carray(np.asarray(versions, np.int64)),),
        )


def delete_by_version(
    connection: apsw.Connection, parameters: Sequence[int], low_v: int, high_v: int
) -> None:
    """Delete rows of the tables keyed by version: those of a type with `low_v <= v <= high_v`."""
    marks = ", ".join("?" * len(parameters))
    for table in _BY_VERSION:
        connection.execute(
            f"DELETE FROM {table.NAME} WHERE v >= ? AND v <= ? AND p IN ({marks})",
            (low_v, high_v, *parameters),
        )


def rows_by_value(
    connection: apsw.Connection, parameters: Sequence[int], high_v: int
) -> Iterator[tuple[str, str, list[tuple[Any, ...]]]]:
    """The rows of the tables keyed by value, with `v <= high_v`, of some parameters.

    Table, columns and rows, a parameter at a time: to be deleted one by one, as no key leads from a
    version to them.
    """
    for table in _BY_VALUE:
        for p in parameters:
            found: list[Any] = connection.execute(
                f"SELECT {table.COLUMNS} FROM {table.NAME} WHERE p = ? AND v <= ?", (p, high_v)
            ).fetchall()
            if found:
                yield table.NAME, table.COLUMNS, found


def delete_rows(
    connection: apsw.Connection, table: str, columns: str, rows: Sequence[tuple[Any, ...]]
) -> None:
    """Delete rows that `rows_by_value` gave."""
    key = " AND ".join(f"{name} = ?" for name in columns.split(", "))
    connection.executemany(f"DELETE FROM {table} WHERE {key}", rows)
