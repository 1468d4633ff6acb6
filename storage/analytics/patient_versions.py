"""The current resources of one patient, and resources by id, without scanning the lake."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.parse import parse_resource
from storage.analytics import segment_columns
from storage.analytics.source import SnapshotSource

_COLUMNS = ("v", "id", "deleted", "body")


def patient_resources(
    snapshot: SnapshotSource, resource_type: str, patient_id: str
) -> Iterator[dict[str, Any]]:
    """The patient's current resources of a type, in no order.

    Only row groups whose least and greatest `patient_id` enclose the patient are decrypted:
    segments are sorted by patient, so that is one or two in each.
    """
    tables = [
        segment_columns.patient_rows(segment, patient_id, _COLUMNS)
        for segment in snapshot.segments(resource_type)
    ]
    hot = snapshot.hot_rows(resource_type)
    if hot.num_rows:
        tables.append(hot.filter(pc.equal(hot["patient_id"], patient_id)))
    yield from _current(snapshot, resource_type, tables)


def resources_by_id(
    snapshot: SnapshotSource, resource_type: str, ids: Iterable[str]
) -> Iterator[dict[str, Any]]:
    """The current resources with these ids; ids that are not there are left out."""
    wanted = pa.array(sorted(set(ids)), pa.string())
    if not len(wanted):
        return
    tables = [
        segment_columns.rows_where(segment, "id", wanted, _COLUMNS)
        for segment in snapshot.segments(resource_type)
    ]
    hot = snapshot.hot_rows(resource_type)
    if hot.num_rows:
        tables.append(hot.filter(pc.is_in(hot["id"], value_set=wanted)))
    yield from _current(snapshot, resource_type, tables)


def _current(
    snapshot: SnapshotSource, resource_type: str, tables: list[pa.Table | None]
) -> Iterator[dict[str, Any]]:
    found = [table for table in tables if table is not None and table.num_rows]
    if not found:
        return
    hidden = snapshot.superseded(resource_type)
    for table in found:
        gone = table["deleted"]
        if len(hidden):
            gone = pc.or_(gone, pc.is_in(table["v"], value_set=hidden))
        for body in table.filter(pc.invert(gone))["body"].to_pylist():
            yield parse_resource(body if isinstance(body, bytes) else body.encode())
