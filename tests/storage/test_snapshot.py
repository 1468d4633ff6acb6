"""Snapshots: hot rows and segments together are each version once, as of t."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from storage.lake import Delete, Lake, Put, Snapshot
from storage.segment_columns import BASE, schema

Make = Callable[..., dict[str, Any]]


def visible(snapshot: Snapshot, resource_type: str) -> dict[str, int]:
    """id → version of what a query over the snapshot sees."""
    tables = [snapshot.hot_rows(resource_type)]
    for segment in snapshot.segments(resource_type):
        table = segment.open().read()
        assert table.schema.equals(tables[0].schema)
        tables.append(table)
    rows = pa.concat_tables(tables).to_pylist()
    assert len({row["v"] for row in rows}) == len(rows)
    hidden = set(snapshot.superseded(resource_type).to_pylist())
    return {row["id"]: row["version_id"] for row in rows if row["v"] not in hidden}


def expected(lake: Lake, resource_type: str, t: int) -> dict[str, int]:
    page = lake.search(resource_type, [("_count", "1000")], at=t)
    return {version.id: version.version_id for version in page.versions}


@pytest.mark.parametrize("flush_after", [(), (2,), (1, 3), (5,), (1, 2, 3, 4, 5)])
def test_every_past_state_is_seen_from_both_tiers(
    lake: Lake, patient: Make, flush_after: tuple[int, ...]
) -> None:
    steps: list[list[Put | Delete]] = [
        [Put(patient("a")), Put(patient("b"))],
        [Put(patient("a", active=True)), Put(patient("c"))],
        [Delete("Patient", "b")],
        [Put(patient("b")), Delete("Patient", "a")],
        [Put(patient("c", active=False))],
    ]
    held = []
    for number, step in enumerate(steps, 1):
        lake.transact(step)
        held.append(lake.snapshot())
        if number % 2:
            visible(held[-1], "Patient")
        if number in flush_after:
            lake.flush()
    for t in range(6):
        assert visible(lake.snapshot(t), "Patient") == expected(lake, "Patient", t), t
    for snapshot in held:
        assert visible(snapshot, "Patient") == expected(lake, "Patient", snapshot.t)
    assert visible(lake.snapshot(), "Encounter") == {}


def test_a_held_snapshot_does_not_change(lake: Lake, patient: Make) -> None:
    lake.transact([Put(patient("a"))])
    snapshot = lake.snapshot()
    before = visible(snapshot, "Patient")
    lake.transact([Put(patient("a")), Put(patient("b"))])
    lake.flush()
    assert visible(snapshot, "Patient") == before == {"a": 1}
    assert snapshot.instant == lake.vread("Patient", "a", 1).last_updated


def test_hot_rows_are_extended_not_made_again(
    lake: Lake, patient: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from storage import segment_columns

    made: list[int] = []
    table = segment_columns.table

    def counting(resource_type: str, rows: Any) -> pa.Table:
        made.append(len(rows))
        return table(resource_type, rows)

    monkeypatch.setattr(segment_columns, "table", counting)
    for number in range(5):
        lake.transact([Put(patient(f"p{number}"))])
        assert lake.snapshot().hot_rows("Patient").num_rows == number + 1
    lake.snapshot().hot_rows("Patient")
    lake.snapshot(2).hot_rows("Patient")
    assert made == [1] * 5


def test_schema_of_types_with_and_without_a_view() -> None:
    assert schema("Basic") == BASE
    names = schema("Observation").names
    assert names[: len(BASE.names)] == BASE.names
    assert len(names) == len(set(names)) > len(BASE.names)


def test_an_empty_lake_has_an_empty_snapshot(lake: Lake) -> None:
    snapshot = lake.snapshot()
    assert (snapshot.t, snapshot.segments("Patient")) == (0, [])
    assert snapshot.hot_rows("Patient").num_rows == len(snapshot.superseded("Patient")) == 0
