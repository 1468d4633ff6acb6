"""A lake in memory: commits, encrypted segments and snapshots, by the protocol of `source`."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as fs
import pyarrow.parquet as pq
import pytest
from pyarrow.parquet.encryption import create_decryption_properties, create_encryption_properties

from schemas.compartments import patient_ids
from schemas.outcomes import FhirError, error
from schemas.parse import canonical_bytes
from schemas.views import flat_columns, flatten

ARROW_TYPES = {
    "string": pa.string(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "list<string>": pa.list_(pa.string()),
}
START = dt.datetime(2024, 6, 15, 12, tzinfo=dt.UTC)


def segment_schema(resource_type: str) -> pa.Schema:
    fields = [
        pa.field("v", pa.int64()),
        pa.field("t", pa.int64()),
        pa.field("id", pa.string()),
        pa.field("version_id", pa.int64()),
        pa.field("last_updated", ARROW_TYPES["timestamp"]),
        pa.field("method", pa.string()),
        pa.field("deleted", pa.bool_()),
        pa.field("patient_id", pa.string()),
        pa.field("body", pa.binary()),
    ]
    names = {f.name for f in fields}
    fields += [
        pa.field(column.name, ARROW_TYPES[column.kind])
        for column in flat_columns(resource_type)
        if column.name not in names
    ]
    return pa.schema(fields)


@dataclass(frozen=True)
class WholeColumn:
    bodies: list[bytes]

    def read(self, rows: Iterable[int]) -> Iterator[bytes]:
        for row in rows:
            yield self.bodies[row]


@dataclass(frozen=True)
class Segment:
    file: Path
    decryption_properties: Any
    rows: int
    filesystem: fs.FileSystem = field(default_factory=fs.LocalFileSystem)

    @property
    def name(self) -> str:
        return self.file.stem

    @property
    def path(self) -> str:
        return str(self.file)

    @property
    def cache_key(self) -> str:
        return str(self.file)

    def open_bodies(self) -> WholeColumn:
        column = pq.read_table(
            self.file, columns=["body"], decryption_properties=self.decryption_properties
        )["body"]
        return WholeColumn(column.to_pylist())

    def failure(self, exception: BaseException) -> FhirError:
        return error("internal", f"segment {self.name} cannot be read ({type(exception).__name__})")


@dataclass
class MemoryLake:
    """Commits in order; `flush` writes what is hot to encrypted Parquet, sorted by patient."""

    folder: Path
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    flushed: dict[str, list[Segment]] = field(default_factory=dict)
    flushed_v: set[int] = field(default_factory=set)
    t: int = 0
    v: int = 0

    def commit(self, *resources: dict[str, Any], deletes: tuple[str, ...] = ()) -> int:
        self.t += 1
        instant = START + dt.timedelta(minutes=self.t)
        for resource in resources:
            kind = resource["resourceType"]
            row = dict.fromkeys(segment_schema(kind).names)
            row |= {k: x for k, x in flatten(resource).items() if k in row}
            owners = patient_ids(resource)
            row |= {
                "id": resource["id"],
                "deleted": False,
                "patient_id": owners[0] if owners else None,
                "body": canonical_bytes(resource),
                "method": "PUT",
            }
            self._append(kind, row, instant)
        for reference in deletes:
            kind, _, id = reference.partition("/")
            row = dict.fromkeys(segment_schema(kind).names)
            last = [r for r in self.rows[kind] if r["id"] == id][-1]
            row |= {"id": id, "deleted": True, "body": b"", "method": "DELETE"}
            row["patient_id"] = last["patient_id"]
            self._append(kind, row, instant)
        return self.t

    def _append(self, kind: str, row: dict[str, Any], instant: dt.datetime) -> None:
        self.v += 1
        earlier = [r for r in self.rows.get(kind, []) if r["id"] == row["id"]]
        row |= {
            "v": self.v,
            "t": self.t,
            "last_updated": instant,
            "version_id": len(earlier) + 1,
        }
        self.rows.setdefault(kind, []).append(row)

    def flush(self, row_group_size: int = 4) -> None:
        for kind, rows in self.rows.items():
            fresh = [row for row in rows if row["v"] not in self.flushed_v]
            if not fresh:
                continue
            fresh.sort(key=lambda row: (row["patient_id"] or "", row["v"]))
            key = secrets.token_bytes(32)
            path = self.folder / f"{kind}-{secrets.token_hex(8)}.parquet"
            pq.write_table(
                pa.Table.from_pylist(fresh, segment_schema(kind)),
                path,
                compression="zstd",
                row_group_size=row_group_size,
                encryption_properties=create_encryption_properties(footer_key=key),
            )
            opened = create_decryption_properties(footer_key=key)
            self.flushed.setdefault(kind, []).append(Segment(path, opened, len(fresh)))
            self.flushed_v |= {row["v"] for row in fresh}

    def at(self, t: int | None = None) -> MemorySnapshot:
        return MemorySnapshot(self, self.t if t is None else t)


@dataclass(frozen=True)
class MemorySnapshot:
    lake: MemoryLake
    t: int

    @property
    def instant(self) -> dt.datetime:
        return START + dt.timedelta(minutes=self.t)

    def failure(self, exception: BaseException) -> None:
        return None

    def segments(self, resource_type: str) -> list[Segment]:
        return self.lake.flushed.get(resource_type, [])

    def hot_rows(self, resource_type: str) -> pa.Table:
        rows = self.lake.rows.get(resource_type, [])
        hot = [row for row in rows if row["v"] not in self.lake.flushed_v]
        return pa.Table.from_pylist(hot, segment_schema(resource_type))

    def superseded(self, resource_type: str) -> pa.Array:
        rows = self.lake.rows.get(resource_type, [])
        current: dict[str, int] = {}
        for row in rows:
            if row["t"] <= self.t:
                current[row["id"]] = row["v"]
        live = set(current.values())
        return pa.array([r["v"] for r in rows if r["v"] not in live or r["deleted"]], pa.int64())


@pytest.fixture
def lake(tmp_path: Path) -> MemoryLake:
    return MemoryLake(tmp_path)


@pytest.fixture(scope="module")
def make_lake(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], MemoryLake]:
    return lambda: MemoryLake(tmp_path_factory.mktemp("lake"))
