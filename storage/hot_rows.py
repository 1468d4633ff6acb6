"""Which versions are hot: those of a type beyond the newest that its segments hold.

A segment takes all versions of its type up to a `v`, so one number a type tells the tiers apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import apsw

from storage.segment_columns import VERSION_COLUMNS
from storage.terms import Terms

# 2: retired (`segment_store.RETIRED`); its rows are in others, or nowhere any more.
_FLUSHED_V = "ifnull((SELECT max(max_v) FROM segment WHERE type = {type} AND state <> 2), 0)"


@dataclass(frozen=True, slots=True)
class HotType:
    """The hot versions of a type: `after_v < v <= last_v`."""

    type_number: int
    resource_type: str
    after_v: int
    last_v: int
    rows: int
    bytes: int


def flushed_v(connection: apsw.Connection, type_number: int) -> int:
    """The newest version of a type that is in a segment; 0 when none is."""
    return int(connection.execute(f"SELECT {_FLUSHED_V.format(type='?')}", (type_number,)).get)


def hot_types(connection: apsw.Connection, terms: Terms) -> list[HotType]:
    """Every type with hot versions."""
    found = []
    types: list[Any] = connection.execute("SELECT type FROM resource_count").fetchall()
    for (type_number,) in types:
        after_v = flushed_v(connection, type_number)
        rows, last_v, size = connection.execute(
            "SELECT count(*), max(r.v), ifnull(sum(length(b.body)), 0) FROM version r "
            "LEFT JOIN hot_body b ON b.v = r.v WHERE r.type = ? AND r.v > ?",
            (type_number, after_v),
        ).get
        if rows:
            name = terms.text(connection, type_number)
            found.append(HotType(type_number, name, after_v, last_v, rows, size))
    return found


def hot_versions(
    connection: apsw.Connection,
    type_number: int,
    after_v: int,
    last_v: int,
    max_rows: int | None = None,
    max_bytes: int | None = None,
) -> list[Any]:
    """Rows of `VERSION_COLUMNS` with `after_v < v <= last_v`, in order, at least one if any is.

    `max_rows` and `max_bytes` (of bodies) end the list early.
    """
    found: list[Any] = []
    size = 0
    for row in connection.execute(
        f"SELECT {VERSION_COLUMNS} FROM version r CROSS JOIN commit_log c ON c.t = r.t "
        "LEFT JOIN hot_body b ON b.v = r.v "
        "WHERE r.type = ? AND r.v > ? AND r.v <= ? ORDER BY r.v LIMIT ?",
        (type_number, after_v, last_v, -1 if max_rows is None else max_rows),
    ):
        size += len(row[8])
        if found and max_bytes is not None and size > max_bytes:
            break
        found.append(row)
    return found
