"""Merging segments: every version once, in order, whatever the segments hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.outcomes import error
from storage import segment_columns, segment_merge, segments
from storage.keys import new_key
from storage.segment_files import LocalSegmentFiles
from storage.segments import SegmentFile

SCHEMA = segment_columns.schema("Observation")


def table(rows: list[tuple[int, str | None, int | None]]) -> pa.Table:
    """Versions (v, patient, days) of Observations, sorted as a segment is."""
    columns: dict[str, Any] = {field.name: [None] * len(rows) for field in SCHEMA}
    columns |= {name: [v for v, _, _ in rows] for name in ("v", "t", "version_id", "last_updated")}
    columns["id"] = [f"o{v}" for v, _, _ in rows]
    columns["method"] = ["PUT"] * len(rows)
    columns["deleted"] = [False] * len(rows)
    columns["patient_id"] = [patient for _, patient, _ in rows]
    columns["body"] = [f"body {v}".encode() for v, _, _ in rows]
    columns[segment_columns.sort_column("Observation")] = [
        None if days is None else days * 86_400_000_000 for _, _, days in rows
    ]
    arrays = [pa.array(columns[field.name], field.type) for field in SCHEMA]
    return segment_columns.sorted_by_patient(
        "Observation", pa.Table.from_arrays(arrays, schema=SCHEMA)
    )


def written(files: LocalSegmentFiles, name: str, versions: pa.Table, rows: int) -> SegmentFile:
    """A segment file of its own key."""
    files.delete("Observation", name)
    key = new_key()
    with segments.writing(files, "Observation", name, versions.schema, key) as writer:
        writer.write(versions, rows)
    return SegmentFile(
        name,
        "Observation",
        files.filesystem,
        files.path("Observation", name),
        name,
        segments.decryption_properties(name, key),
        versions.num_rows,
        lambda file, failure: error("internal", f"{file.name} {type(failure).__name__}"),
    )


patients = st.one_of(st.none(), st.sampled_from(["a", "b", "é", "z"]))
days = st.one_of(st.none(), st.integers(-3, 3))
parts = st.lists(st.lists(st.tuples(patients, days), min_size=1, max_size=12), max_size=5)


@given(parts=parts, rows=st.integers(1, 5), left_out=st.sets(st.integers(1, 40)))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_version_comes_once_and_in_order(
    tmp_path: Path, parts: list[list[tuple[str | None, int | None]]], rows: int, left_out: set[int]
) -> None:
    files = LocalSegmentFiles(tmp_path)
    v = 0
    everything: list[tuple[int, str | None, int | None]] = []
    inputs = []
    for number, part in enumerate(parts):
        numbered = []
        for patient, day in part:
            v += 1
            numbered.append((v, patient, day))
        everything += numbered
        inputs.append(written(files, f"s{number}", table(numbered), rows))
    out = list(
        segment_merge.regrouped(
            segment_merge.merged("Observation", inputs, pa.array(sorted(left_out), pa.int64())),
            rows,
        )
    )
    expected = table([row for row in everything if row[0] not in left_out])
    assert all(group.num_rows == rows for group in out[:-1])
    if expected.num_rows:
        assert pa.concat_tables(out).equals(expected)
    else:
        assert out == []


def test_columns_that_a_segment_lacks_are_null(tmp_path: Path) -> None:
    files = LocalSegmentFiles(tmp_path)
    old = table([(1, "a", 1)]).drop_columns(["value_unit"])
    inputs = [written(files, "old", old, 4), written(files, "new", table([(2, "a", 2)]), 4)]
    none = pa.array([], pa.int64())
    merged = pa.concat_tables(segment_merge.merged("Observation", inputs, none))
    assert merged.schema == SCHEMA
    assert merged["v"].to_pylist() == [1, 2]
    assert merged["value_unit"].to_pylist() == [None, None]


def test_a_segment_that_is_not_sorted_loses_nothing(tmp_path: Path) -> None:
    files = LocalSegmentFiles(tmp_path)
    first = table([(v, "abc"[v % 3], v) for v in range(1, 20)]).take(list(reversed(range(19))))
    inputs = [
        written(files, "first", first, 3),
        written(files, "second", table([(v, "abc"[v % 3], v) for v in range(20, 30)]), 3),
    ]
    out = pa.concat_tables(segment_merge.merged("Observation", inputs, pa.array([], pa.int64())))
    assert sorted(out["v"].to_pylist()) == list(range(1, 30))


def test_a_damaged_segment_is_named(tmp_path: Path) -> None:
    files = LocalSegmentFiles(tmp_path)
    segment = written(files, "hurt", table([(v, "a", v) for v in range(1, 60)]), 8)
    path = Path(segment.path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(Exception, match="hurt"):
        list(segment_merge.merged("Observation", [segment], pa.array([], pa.int64())))
