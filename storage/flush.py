"""Moving bodies from the hot tier into segments, while others read and write.

1. A transaction notes the file that is about to be made (`segment_begun`); then the key store
   gets its key.
2. The file is written, encrypted, beside the lake's life; then made durable under its name.
3. One transaction records the segment. From here on its versions belong to the segment for
   analytic queries; readers of single versions still take the hot bodies.
4. Small transactions point the versions to their rows and drop the hot bodies ("settling").

A crash before 3 leaves a file that 1 tells to remove, and a key to destroy; one after it is settled
at the next start.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Sequence
from typing import Any

import apsw
import pyarrow.parquet as pq

from storage import segment_columns, segments
from storage.commit import Position
from storage.database import Database
from storage.hot_rows import HotType, hot_types, hot_versions
from storage.segment_store import Segment, SegmentStore
from storage.terms import Terms
from storage.writer import Writer

log = logging.getLogger("chartlake.storage")

# When the background flush begins.
HOT_ROWS = 20_000
HOT_BYTES = 64 * 2**20

# It leaves types with less than this in the hot tier: many tiny files help no one.
_WORTH_ROWS = 1_000
_WORTH_BYTES = 2 * 2**20

# One segment at most, so that a flush needs a bounded amount of memory.
SEGMENT_ROWS = 25_000
SEGMENT_BYTES = 64 * 2**20

# Rows settled in one transaction: some milliseconds in which other writers wait.
_SETTLE_ROWS = 500

_RETRY_S = 30.0


class Flusher:
    """Flushes when asked, and by itself when much is hot."""

    def __init__(
        self, database: Database, writer: Writer, store: SegmentStore, terms: Terms
    ) -> None:
        self._database = database
        self._writer = writer
        self._store = store
        self._terms = terms
        self._one_at_a_time = threading.Lock()
        self._wanted = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="chartlake-flush", daemon=True)

    def start(self) -> None:
        """Clear up after a crash, then watch the hot tier."""
        self._remove_begun()
        self._destroy_unknown_keys()
        self._settle_all()
        self._thread.start()

    def wake(self, position: Position) -> None:
        """Told after each commit how much is hot."""
        if position.hot_rows > HOT_ROWS or position.hot_bytes > HOT_BYTES:
            self._wanted.set()

    def stop(self) -> None:
        """Finish the segment being written and stop."""
        self._stopping.set()
        self._wanted.set()
        if self._thread.is_alive():
            self._thread.join()

    def flush(self, *, all_types: bool = True) -> None:
        """Move all hot bodies (or those of types worth a file) into segments."""
        with self._one_at_a_time:
            with self._database.reading() as connection:
                hot = hot_types(connection, self._terms)
            if not all_types:
                worth = [h for h in hot if h.rows >= _WORTH_ROWS or h.bytes >= _WORTH_BYTES]
                hot = worth or sorted(hot, key=lambda h: h.bytes)[-1:]
            for one in hot:
                self._flush_type(one)

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._stopping.is_set():
                return
            try:
                self.flush(all_types=False)
            except Exception as failure:
                if self._stopping.is_set():
                    return
                log.error("flush failed (%s), trying again", type(failure).__name__)
                self._stopping.wait(_RETRY_S)
                self._wanted.set()

    def _flush_type(self, hot: HotType) -> None:
        """Segments of a type up to the newest version that was there at the start."""
        done = hot.after_v
        while done < hot.last_v and not (self._stopping.is_set()):
            with self._database.reading() as connection:
                rows = hot_versions(
                    connection, hot.type_number, done, hot.last_v, SEGMENT_ROWS, SEGMENT_BYTES
                )
            if not rows:
                return
            self._write_segment(hot, rows)
            done = rows[-1][0]

    def _write_segment(self, hot: HotType, rows: Sequence[Sequence[Any]]) -> None:
        name = str(uuid.uuid4())
        versions = segment_columns.sorted_by_patient(
            hot.resource_type, segment_columns.table(hot.resource_type, rows)
        )
        group_rows = segments.group_rows(versions)
        body_bytes = sum(len(row[8]) for row in rows)
        self._writer.run(
            lambda connection: connection.execute(
                "INSERT INTO segment_begun VALUES (?, ?)", (name, hot.type_number)
            )
        )
        path = self._store.path(hot.resource_type, name)
        key = self._store.keystore.add_segment_key(name)
        size, digest = segments.write(path, versions, name, key, group_rows)

        def record(connection: apsw.Connection, position: Position) -> int:
            connection.execute("DELETE FROM segment_begun WHERE file = ?", (name,))
            connection.execute(
                "INSERT INTO segment (type, file, rows, group_rows, bytes, sha256, "
                "min_v, max_v, settled) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)",
                (
                    hot.type_number,
                    name,
                    len(rows),
                    group_rows,
                    size,
                    digest,
                    rows[0][0],
                    rows[-1][0],
                ),
            )
            position.hot_rows -= len(rows)
            position.hot_bytes -= body_bytes
            return connection.last_insert_rowid()

        segment = self._writer.run_at(record)
        self._settle(segment, versions["v"].to_pylist())

    def _settle(self, segment: int, versions: Sequence[int]) -> None:
        """Point the versions to their rows of the segment; row n holds `versions[n]`."""
        for start in range(0, len(versions), _SETTLE_ROWS):
            chunk = list(enumerate(versions[start : start + _SETTLE_ROWS], start))

            def point(connection: apsw.Connection, chunk: Any = chunk) -> None:
                connection.executemany(
                    "UPDATE version SET segment = ?, segment_row = ? WHERE v = ?",
                    [(segment, row, v) for row, v in chunk],
                )
                connection.executemany("DELETE FROM hot_body WHERE v = ?", [(v,) for _, v in chunk])

            self._writer.run(point)
        self._writer.run(
            lambda connection: connection.execute(
                "UPDATE segment SET settled = 1 WHERE id = ?", (segment,)
            )
        )

    def _settle_all(self) -> None:
        with self._database.reading() as connection:
            unsettled = {
                row[0] for row in connection.execute("SELECT id FROM segment WHERE NOT settled")
            }
            found = (
                [s for s in self._store.all(connection) if s.id in unsettled] if unsettled else []
            )
        for segment in found:
            self._settle(segment.id, _versions_in(segment))

    def _remove_begun(self) -> None:
        """Remove files of segments that were begun and never recorded; their rows are still hot."""
        with self._database.reading() as connection:
            begun = [
                (name, self._terms.text(connection, number))
                for name, number in connection.execute("SELECT file, type FROM segment_begun")
            ]
        for name, resource_type in begun:
            path = self._store.path(resource_type, name)
            path.with_name(path.name + ".tmp").unlink(missing_ok=True)
            path.unlink(missing_ok=True)
        if begun:
            self._writer.run(lambda connection: connection.execute("DELETE FROM segment_begun"))

    def _destroy_unknown_keys(self) -> None:
        """Keys of segments that a crash kept from being, or that a removal did not get to."""
        with self._database.reading() as connection:
            known = {file for (file,) in connection.execute("SELECT file FROM segment")}
        self._store.keystore.destroy_segment_keys(self._store.keystore.segment_names() - known)


def _versions_in(segment: Segment) -> list[int]:
    with pq.ParquetFile(
        segment.file.path, decryption_properties=segment.file.decryption_properties
    ) as file:
        found: list[int] = file.read(columns=["v"]).column(0).to_pylist()
    return found
