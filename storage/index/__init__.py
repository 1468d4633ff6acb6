"""The search index: which versions have which values of which search parameters.

A version is indexed once, when it is committed, and its entries are never changed: a search as of
the past joins the same entries with what was visible then. While a version is hot its entries are
rows, one table for each type of parameter; each module owns one: its DDL, the row of a value, and
the probes for a search value. When a segment takes the version, they move into the segment's
blocks (`storage.index.parts`): a fraction of the bytes, built by sorting.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import apsw
import numpy as np

from schemas.param_set import R4, ParamSet
from schemas.search_values import extract_repeated
from storage.index import parts
from storage.index.direct_rows import DirectRows
from storage.index.entries import BY_TYPE, TABLES, Rows, of_hot_rows, of_versions, parameters_of
from storage.index.hot import (
    delete_by_version,
    delete_hot,
    delete_rows,
    hot_versions,
    rows_by_value,
)
from storage.index.parts import PreparedPart, drop_strays
from storage.index.parts import drop as drop_segment
from storage.index.parts import numbered as numbered_part
from storage.index.parts import prepare as prepare_blocks
from storage.index.parts import write as write_blocks
from storage.index.probe import Intern, Probe
from storage.index.rewrite import delete_versions
from storage.index.rewrite import merged as merge
from storage.index.value_rows import TEXT, param_key, rows_of


def create_tables(connection: apsw.Connection) -> None:
    """Make the tables of the index in a new database."""
    for table in TABLES:
        connection.execute(table.DDL)
    connection.execute(parts.DDL)


def rows(resource: dict[str, Any], intern: Intern, params: ParamSet = R4) -> Rows:
    """The index rows of a resource; `intern` gives the number of a text."""
    kind = resource["resourceType"]
    return rows_of(kind, extract_repeated(resource, params.tree(kind)), intern)


def insert(connection: apsw.Connection, v: int, rows: Rows) -> None:
    """Store the index rows of version `v`, which is hot."""
    for kind, values in rows.items():
        connection.executemany(BY_TYPE[kind].INSERT, [(v, *row) for row in values])


def by_table(versions: Iterable[tuple[int, Rows]]) -> list[tuple[Any, list[tuple[Any, ...]]]]:
    """The index rows of many versions (`v`, rows), whole, for each table that has any."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    for v, of_version in versions:
        for kind, values in of_version.items():
            rows = found.get(kind)
            if rows is None:
                rows = found[kind] = []
            for row in values:
                rows.append((v, *row))
    return [(BY_TYPE[kind], rows) for kind, rows in found.items()]


def delete_all(connection: apsw.Connection) -> None:
    """Empty the index: hot rows and blocks."""
    for table in TABLES:
        connection.execute(f"DELETE FROM {table.NAME}")
    parts.delete_all(connection)


def hot_blocks(
    connection: apsw.Connection,
    resource_type: str,
    versions: Sequence[int] | np.ndarray,
    deleted: Sequence[bool],
) -> list[PreparedPart]:
    """The blocks of a segment whose row n is `versions[n]`, from the hot rows of its versions."""
    parameters = parameters_of(connection, resource_type)
    return prepare_blocks(versions, deleted, of_hot_rows(connection, parameters, versions))


def blocks_of_rows(
    versions: Sequence[int] | np.ndarray, deleted: Sequence[bool], rows: Sequence[Rows]
) -> list[PreparedPart]:
    """The blocks of a segment from what `rows` gave for each of its versions, in their order."""
    return prepare_blocks(versions, deleted, of_versions(rows))


__all__ = [
    "BY_TYPE",
    "TABLES",
    "TEXT",
    "DirectRows",
    "PreparedPart",
    "Probe",
    "Rows",
    "blocks_of_rows",
    "by_table",
    "create_tables",
    "delete_all",
    "delete_by_version",
    "delete_hot",
    "delete_rows",
    "delete_versions",
    "drop_segment",
    "drop_strays",
    "hot_blocks",
    "hot_versions",
    "insert",
    "merge",
    "numbered_part",
    "param_key",
    "parameters_of",
    "prepare_blocks",
    "rows",
    "rows_by_value",
    "rows_of",
    "write_blocks",
]
