"""The columns of a segment: those every type has, then the type's flat columns.

Hot versions are shown to analytic queries with these same columns, so that a query need not know
which of the two tiers a version is in.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import pyarrow as pa

from schemas.parse import parse_resource
from schemas.views import flat_columns, flatten
from storage.packed_ids import unpack
from storage.versions import from_microseconds

BASE = pa.schema(
    [
        pa.field("v", pa.int64(), nullable=False),
        pa.field("t", pa.int64(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("version_id", pa.int64(), nullable=False),
        pa.field("last_updated", pa.timestamp("us", "UTC"), nullable=False),
        pa.field("method", pa.string(), nullable=False),
        pa.field("deleted", pa.bool_(), nullable=False),
        pa.field("patient_id", pa.string()),
        pa.field("body", pa.binary(), nullable=False),
    ]
)

_ARROW = {
    "string": pa.string(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
    "list<string>": pa.list_(pa.string()),
}

# The rows of the version table that `table` takes, in the order of its columns but the flat ones.
VERSION_COLUMNS = (
    "r.v, r.t, r.id, r.version_id, c.instant_us, r.method, r.deleted, "
    "(SELECT packed FROM patient p WHERE p.id = r.patient), ifnull(b.body, x'')"
)


@cache
def schema(resource_type: str) -> pa.Schema:
    """The columns of a type's segments. A flat column never replaces one that every type has."""
    flat = [
        pa.field(column.name, _ARROW[column.kind])
        for column in flat_columns(resource_type)
        if column.name not in BASE.names
    ]
    return pa.schema([*BASE, *flat])


@cache
def sort_column(resource_type: str) -> str | None:
    """The flat column that says when it happened: the first one that is a moment or a day."""
    for column in flat_columns(resource_type):
        if column.kind in ("timestamp", "date") and column.name not in BASE.names:
            return column.name
    return None


def table(resource_type: str, rows: Sequence[Sequence[Any]]) -> pa.Table:
    """A table of versions, from rows of `VERSION_COLUMNS`, in the order given."""
    target = schema(resource_type)
    columns: dict[str, list[Any]] = {name: [] for name in target.names}
    flat_names = target.names[len(BASE.names) :]
    for row in rows:
        for name, value in zip(BASE.names, row, strict=True):
            columns[name].append(value)
        flat = flatten(parse_resource(row[8])) if row[8] else {}
        for name in flat_names:
            columns[name].append(flat.get(name))
    columns["id"] = [unpack(key) for key in columns["id"]]
    patients = columns["patient_id"]
    columns["patient_id"] = [None if key is None else unpack(key) for key in patients]
    columns["last_updated"] = [from_microseconds(value) for value in columns["last_updated"]]
    columns["deleted"] = [bool(value) for value in columns["deleted"]]
    arrays = [pa.array(columns[field.name], field.type) for field in target]
    return pa.Table.from_arrays(arrays, schema=target)


def sorted_by_patient(resource_type: str, versions: pa.Table) -> pa.Table:
    """The rows by patient, then when it happened, then in commit order."""
    keys = ["patient_id", sort_column(resource_type), "v"]
    return versions.sort_by([(key, "ascending") for key in keys if key is not None])
