"""The columns of a segment: those every type has, then the type's flat columns.

Hot versions are shown to analytic queries with these same columns, so that a query need not know
which of the two tiers a version is in.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import pyarrow as pa

from schemas.views import flat_columns
from storage.flat_columns import ARROW_TYPES, flattened
from storage.packed_ids import unpack

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

# The rows of the version table that `table` takes, in the order of its columns but the flat ones.
VERSION_COLUMNS = (
    "r.v, r.t, r.id, r.version_id, c.instant_us, r.method, r.deleted, "
    "(SELECT packed FROM patient p WHERE p.id = r.patient), ifnull(b.body, x'')"
)


@cache
def schema(resource_type: str) -> pa.Schema:
    """The columns of a type's segments. A flat column never replaces one that every type has."""
    return pa.schema([*BASE, *(field for field in flat_fields(resource_type) if field is not None)])


@cache
def flat_fields(resource_type: str) -> list[pa.Field | None]:
    """A field for each flat column of a type; None for one whose name every type has."""
    return [
        pa.field(column.name, ARROW_TYPES[column.kind]) if column.name not in BASE.names else None
        for column in flat_columns(resource_type)
    ]


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
    if not rows:
        return target.empty_table()
    values = dict(zip(BASE.names, zip(*rows, strict=True), strict=True))
    patients = {key: unpack(key) for key in set(values["patient_id"]) if key is not None}
    values["id"] = [unpack(key) for key in values["id"]]
    values["patient_id"] = [patients.get(key) for key in values["patient_id"]]
    values["deleted"] = [bool(value) for value in values["deleted"]]
    columns: dict[str, pa.Array | pa.ChunkedArray] = {}
    for field in BASE:
        microseconds = field.name == "last_updated"
        array = pa.array(values[field.name], pa.int64() if microseconds else field.type)
        columns[field.name] = array.cast(field.type) if microseconds else array
    flat = flattened(resource_type, values["body"])
    for column, found in zip(flat_columns(resource_type), flat, strict=True):
        if column.name in target.names:
            columns.setdefault(column.name, found)
    return pa.Table.from_arrays([columns[name] for name in target.names], schema=target)


def sorted_by_patient(resource_type: str, versions: pa.Table) -> pa.Table:
    """The rows by patient, then when it happened, then in commit order."""
    keys = ["patient_id", sort_column(resource_type), "v"]
    return versions.sort_by([(key, "ascending") for key in keys if key is not None])
