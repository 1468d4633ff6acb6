"""Encrypted segments are read only as far as a question needs."""

from __future__ import annotations

import dataclasses

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.outcomes import FhirError
from storage.analytics import segment_columns, sql, timeline
from storage.analytics.column_cache import CACHE

from .conftest import MemoryLake
from .fhir_samples import observation, patient


@pytest.fixture
def segment(lake: MemoryLake) -> segment_columns.SegmentSource:
    lake.commit(*(observation(f"o{n}", f"p{n % 5}", n, "%") for n in range(20)))
    lake.flush(row_group_size=4)
    return lake.flushed["Observation"][0]


def test_segment_is_not_readable_without_its_key(segment: segment_columns.SegmentSource) -> None:
    with pytest.raises(OSError, match="encrypt"):
        pq.ParquetFile(segment.path)


def test_columns_are_cached_and_dictionary_encoded(segment: segment_columns.SegmentSource) -> None:
    found = segment_columns.columns(segment, ["code", "value_number", "no_such_column"])
    assert set(found) == {"code", "value_number"}
    assert pa.types.is_dictionary(found["code"].type)
    assert segment_columns.columns(segment, ["code"])["code"] is found["code"]
    CACHE.forget(segment.cache_key)
    assert CACHE.get(segment.cache_key, "code") is None


def test_footer_has_the_patients_of_each_row_group(segment: segment_columns.SegmentSource) -> None:
    ranges = segment_columns.footer(segment).patient_ranges
    assert ranges == (("p0", "p0"), ("p1", "p1"), ("p2", "p2"), ("p3", "p3"), ("p4", "p4"))


def test_patient_rows_open_only_the_patients_row_groups(
    segment: segment_columns.SegmentSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    original = pq.ParquetFile.read_row_group

    def spy(self: pq.ParquetFile, group: int, columns: list[str]) -> pa.Table:
        read.append(group)
        return original(self, group, columns)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", spy)
    found = segment_columns.patient_rows(segment, "p3", ["id"])
    assert found is not None
    assert sorted(found["id"].to_pylist()) == ["o13", "o18", "o3", "o8"]
    assert set(read) == {3}
    assert segment_columns.patient_rows(segment, "p9", ["id"]) is None
    assert segment_columns.patient_rows(segment, "p22", ["id"]) is None


def test_bodies_come_with_the_rows_they_belong_to(segment: segment_columns.SegmentSource) -> None:
    with segment_columns._open(segment) as file:
        whole = file.read(["id", "body"]).to_pylist()
    for person in ("p0", "p3"):
        found = segment_columns.patient_rows(segment, person, ["id", "body"])
        assert found is not None and found.num_rows
        for row in found.select(["id", "body"]).to_pylist():
            assert row in whole


def test_rows_by_key(segment: segment_columns.SegmentSource) -> None:
    found = segment_columns.rows_where(segment, "id", pa.array(["o7", "x"]), ["value_number"])
    assert found is not None
    assert found["value_number"].to_pylist() == [7.0]


def test_current_rows(segment: segment_columns.SegmentSource) -> None:
    assert segment_columns.current_rows(segment, pa.array([], pa.int64())) is None
    assert segment_columns.current_rows(segment, pa.array([999], pa.int64())) is None
    mask = segment_columns.current_rows(segment, pa.array([999, 3, 5], pa.int64()))
    assert mask is not None
    v = segment_columns.columns(segment, ["v"])["v"].to_pylist()
    gone = [v for v, held in zip(v, mask.to_pylist(), strict=True) if not held]
    assert sorted(gone) == [3, 5]


def test_segments_of_an_older_release_lack_columns(lake: MemoryLake) -> None:
    lake.commit(observation("new", "a", 1, "%"))
    lake.flush()
    lake.commit(observation("old", "a", 2, "%"))
    lake.flush()
    new, old = lake.flushed["Observation"]
    table = pq.ParquetFile(old.path, decryption_properties=old.decryption_properties).read()
    pq.write_table(table.drop_columns(["value_unit"]), old.path)
    lake.flushed["Observation"] = [dataclasses.replace(old, decryption_properties=None), new]
    for columns in ("id, value_unit", "id, value_unit, body"):
        found = sql.run(lake.at(), f"SELECT {columns} FROM observation ORDER BY id")
        assert [row[:2] for row in found.rows()] == [("new", "%"), ("old", None)]


def test_altered_segment_is_told_not_answered(lake: MemoryLake) -> None:
    lake.commit(patient("a"), *(observation(f"o{n}", "a", n, "%") for n in range(200)))
    lake.flush(row_group_size=50)
    (segment,) = lake.flushed["Observation"]
    content = bytearray(segment.file.read_bytes())
    footer_bytes = int.from_bytes(content[-8:-4], "little")
    for place in range(4, len(content) - footer_bytes - 8, 97):
        content[place] ^= 0xFF
    segment.file.write_bytes(bytes(content))
    for ask in (
        lambda: sql.run(lake.at(), "SELECT sum(value_number) FROM observation"),
        lambda: sql.run(lake.at(), "SELECT * FROM observation"),
        lambda: timeline.build(lake.at(), "a"),
    ):
        with pytest.raises(FhirError, match="cannot be read") as caught:
            ask()
        assert caught.value.category == "internal"
