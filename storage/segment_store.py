"""The segments of a lake: where they lie, their keys, and the bodies in them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.outcomes import error
from storage import segments
from storage.keystore import Keystore
from storage.segments import SegmentFile

# Opened files kept for the next read: opening one costs as much as decoding a row group.
_IDLE_FILES = 128

# Decoded bodies, kept in memory for reads of neighbours (a patient's resources lie together).
_CACHE_BYTES = 64 * 2**20

_COLUMNS = "s.id, t.text, s.file, s.rows, s.group_rows"
_FROM = "segment s JOIN term t ON t.id = s.type"


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment of the database."""

    id: int
    resource_type: str
    group_rows: int
    file: SegmentFile


class SegmentStore:
    """Opens segments; decodes and caches row groups."""

    def __init__(self, folder: Path, keystore: Keystore) -> None:
        self.folder = folder
        self.keystore = keystore
        self._segments: dict[int, Segment] = {}
        self._idle: dict[int, list[Any]] = {}
        self._idle_files = 0
        self._groups: OrderedDict[tuple[int, int], pa.ChunkedArray] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def path(self, resource_type: str, name: str) -> Path:
        """Where the segment file `name` of a type lies."""
        return self.folder / resource_type / f"{name}.parquet"

    def of_type(self, connection: apsw.Connection, type_number: int) -> list[Segment]:
        """The segments of a type."""
        rows = connection.execute(
            f"SELECT {_COLUMNS} FROM {_FROM} WHERE s.type = ? ORDER BY s.id", (type_number,)
        )
        return [self._segment(row) for row in rows]

    def all(self, connection: apsw.Connection) -> list[Segment]:
        """Every segment."""
        rows = connection.execute(f"SELECT {_COLUMNS} FROM {_FROM} ORDER BY s.id")
        return [self._segment(row) for row in rows]

    def bodies(
        self, connection: apsw.Connection, segment: int, rows: Sequence[int]
    ) -> dict[int, bytes]:
        """The bodies in some rows of a segment. Raises FhirError `internal` when unreadable."""
        found = self._segments.get(segment)
        if found is None:
            row = connection.execute(
                f"SELECT {_COLUMNS} FROM {_FROM} WHERE s.id = ?", (segment,)
            ).get
            found = self._segment(row)
        out: dict[int, bytes] = {}
        for row_number in rows:
            group, offset = divmod(row_number, found.group_rows)
            out[row_number] = self._group(found, group)[offset].as_py()
        return out

    def close(self) -> None:
        """Forget keys, opened files and decoded bodies."""
        with self._lock:
            idle = [file for files in self._idle.values() for file in files]
            self._idle.clear()
            self._idle_files = 0
            self._segments.clear()
            self._groups.clear()
            self._bytes = 0
        for file in idle:
            file.close(force=True)

    def _segment(self, row: Sequence[Any]) -> Segment:
        id, resource_type, name, rows, group_rows = row
        found = self._segments.get(id)
        if found is None:
            properties = segments.decryption_properties(name, self.keystore.segment_key(name))
            file = SegmentFile(self.path(resource_type, name), properties, rows)
            found = self._segments.setdefault(id, Segment(id, resource_type, group_rows, file))
        return found

    def _group(self, segment: Segment, group: int) -> pa.ChunkedArray:
        key = (segment.id, group)
        with self._lock:
            bodies = self._groups.get(key)
            if bodies is not None:
                self._groups.move_to_end(key)
                return bodies
        try:
            file = self._take(segment)
            bodies = file.read_row_group(group, columns=["body"]).column(0)
        except (OSError, ValueError, pa.ArrowException) as failure:
            raise error(
                "internal",
                f"Segment {segment.file.path.name} of {segment.resource_type} cannot be read "
                f"({type(failure).__name__}). Run `chartlake verify`.",
            ) from None
        self._give(segment, file)
        with self._lock:
            if key not in self._groups:
                self._groups[key] = bodies
                self._bytes += bodies.nbytes
            while self._bytes > _CACHE_BYTES and len(self._groups) > 1:
                _, dropped = self._groups.popitem(last=False)
                self._bytes -= dropped.nbytes
        return bodies

    def _take(self, segment: Segment) -> pq.ParquetFile:
        """An opened file for one reader alone: a ParquetFile that threads share can deadlock."""
        with self._lock:
            idle = self._idle.get(segment.id)
            if idle:
                self._idle_files -= 1
                return idle.pop()
        return pq.ParquetFile(
            segment.file.path, decryption_properties=segment.file.decryption_properties
        )

    def _give(self, segment: Segment, file: pq.ParquetFile) -> None:
        with self._lock:
            if self._idle_files < _IDLE_FILES and segment.id in self._segments:
                self._idle.setdefault(segment.id, []).append(file)
                self._idle_files += 1
                return
        file.close(force=True)
