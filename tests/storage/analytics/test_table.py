"""The forms an answer can take."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.analytics.table import Table

WHEN = dt.datetime(2024, 3, 1, 10, 30, tzinfo=dt.UTC)


def test_dicts_are_json_ready() -> None:
    table = Table(
        pa.table(
            {
                "n": pa.array([Decimal("12")], pa.decimal128(38, 0)),
                "x": [float("nan")],
                "when": pa.array([WHEN], pa.timestamp("us", tz="UTC")),
                "local": pa.array([WHEN.replace(tzinfo=None)], pa.timestamp("us")),
                "day": [WHEN.date()],
                "bytes": [b"text"],
                "raw": [b"\xff\x00"],
                "list": [["a", None]],
                "struct": [{"a": WHEN.date()}],
                "nothing": pa.nulls(1),
            }
        )
    )
    (row,) = table.to_dicts()
    assert row == {
        "n": 12,
        "x": "NaN",
        "when": "2024-03-01T10:30:00Z",
        "local": "2024-03-01T10:30:00",
        "day": "2024-03-01",
        "bytes": "text",
        "raw": "/wA=",
        "list": ["a", None],
        "struct": {"a": "2024-03-01"},
        "nothing": None,
    }
    json.dumps(row)


def test_columns_of_one_name_are_numbered() -> None:
    arrow = pa.Table.from_arrays([pa.array([1]), pa.array([2]), pa.array([3])], ["a", "a", "a_2"])
    assert Table(arrow).to_dicts() == [{"a": 1, "a_3": 2, "a_2": 3}]
    assert Table(arrow).columns == ["a", "a", "a_2"]
    assert pq.read_table(io.BytesIO(Table(arrow).parquet_bytes())).num_columns == 3


def test_csv_leaves_cells_as_they_are() -> None:
    table = Table(pa.table({"a": ["=1+1", 'say "hi", twice\n', None], "b": [True, False, None]}))
    assert table.csv() == 'a,b\r\n=1+1,true\r\n"say ""hi"", twice\n",false\r\n,\r\n'


def test_arrow_and_parquet_round_trip() -> None:
    arrow = pa.table({"a": [1, 2], "when": pa.array([WHEN, None], pa.timestamp("us", tz="UTC"))})
    table = Table(arrow, truncated=True)
    assert table.truncated
    assert pa.ipc.open_stream(table.arrow_bytes()).read_all() == arrow
    assert pq.read_table(io.BytesIO(table.parquet_bytes())) == arrow


def test_empty() -> None:
    table = Table(pa.table({"a": pa.array([], pa.int64())}))
    assert (table.columns, table.rows(), table.to_dicts(), table.csv()) == (
        ["a"], [], [], "a\r\n",
    )  # fmt: skip


@given(st.lists(st.tuples(st.text(), st.integers(-(2**63), 2**63 - 1)), max_size=20))
def test_csv_reads_back(rows: list[tuple[str, int]]) -> None:
    if any("\x00" in text or "\r" in text for text, _ in rows):
        return
    arrow = pa.table(
        {"text": pa.array([r[0] for r in rows], pa.string()), "n": [r[1] for r in rows]}
    )
    read = list(csv.reader(io.StringIO(Table(arrow).csv(), newline="")))
    assert [(text, int(n)) for text, n in read[1:]] == rows


@pytest.mark.parametrize("count", [0, 1, 5000])
def test_rows_are_all_of_them(count: int) -> None:
    assert len(Table(pa.table({"i": list(range(count))})).rows()) == count
