"""Pointing versions to their rows of a segment, some at a time, while others write.

It may be done again from the start at any time: after a crash it is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import apsw
import numpy as np
import pyarrow as pa

from storage import index
from storage.database import Database
from storage.segment_store import LIVE, SETTLING, Segment, SegmentStore
from storage.writer import Writer

# Rows settled in one transaction: some 20 ms in which other writers wait. Fewer cost more in all,
# as the same pages are written again and again.
SETTLE_ROWS = 2_000

# Hot rows of the index that its blocks have replaced, deleted in one transaction.
SETTLE_INDEX_ROWS = 10_000

# Where others write much, each transaction waits long for its turn: then it takes up to so many
# times as much, or the hot tier would grow faster than it is emptied.
_AT_MOST = 8


class _Pace:
    """How much to do in a transaction, by how long the last one waited for its turn."""

    def __init__(self, least: int) -> None:
        self._least = self.size = least

    def run(self, writer: Writer, work: Callable[[apsw.Connection], None]) -> None:
        """Do one transaction."""
        own_s = 0.0

        def timed(connection: apsw.Connection) -> None:
            nonlocal own_s
            began = time.perf_counter()
            work(connection)
            own_s = time.perf_counter() - began

        began = time.perf_counter()
        # Hot rows of the index are only deleted, and all of them are there: no need to wait for it.
        # What a crash undoes is done again at the next start, as the segment is not live yet.
        writer.run(timed, index=False, durable=False)
        if time.perf_counter() - began > 4 * own_s + 0.02:
            self.size = min(2 * self.size, _AT_MOST * self._least)
        else:
            self.size = max(self.size // 2, self._least)


class Settler:
    """Settles segments, and takes up again what was interrupted."""

    def __init__(self, database: Database, writer: Writer, store: SegmentStore) -> None:
        self._database = database
        self._writer = writer
        self._store = store
        self._in_progress: set[int] = set()
        self._lock = threading.Lock()

    def settle(
        self, segment: int, versions: np.ndarray, pause: Callable[[], None] | None = None
    ) -> None:
        """Point the versions to their rows of a segment, whose row n holds `versions[n]`.

        Drops their hot bodies and index rows; then the segment is live. `pause` is called between
        transactions; when it raises, `settle_rest` does the rest.
        """
        with self._lock:
            self._in_progress.add(segment)
        try:
            self._settle(segment, versions, pause)
        finally:
            with self._lock:
                self._in_progress.discard(segment)

    def settle_rest(self) -> None:
        """Settle what no one is settling. Raises FhirError when a segment cannot be read."""
        with self._lock:
            in_progress = set(self._in_progress)
        with self._database.reading() as connection:
            settling: list[Any] = connection.execute(
                f"SELECT id FROM segment WHERE state = {SETTLING} ORDER BY id"
            ).fetchall()
            rest = [self._store.get(connection, id) for (id,) in settling if id not in in_progress]
        for segment in rest:
            self.settle(segment.id, versions_in(segment))

    def _settle(self, segment: int, versions: np.ndarray, pause: Callable[[], None] | None) -> None:
        with self._database.reading() as connection:
            parameters = index.parameters_of(connection, _type_of(connection, segment))
        # In the order of `v`, so that a transaction changes few pages: neighbours lie together.
        order = np.argsort(versions, kind="stable")
        pace, start = _Pace(SETTLE_ROWS), 0
        while start < len(order):
            rows = order[start : start + pace.size]
            chunk = list(zip(rows.tolist(), versions[rows].tolist(), strict=True))

            def point(connection: apsw.Connection, chunk: Any = chunk) -> None:
                connection.executemany(
                    "UPDATE version SET segment = ?, segment_row = ? WHERE v = ?",
                    [(segment, row, v) for row, v in chunk],
                )
                connection.executemany("DELETE FROM hot_body WHERE v = ?", [(v,) for _, v in chunk])
                index.delete_by_version(connection, parameters, chunk[0][1], chunk[-1][1])

            pace.run(self._writer, point)
            start += len(chunk)
            if pause is not None:
                pause()
        self._delete_by_value(parameters, int(versions.max()) if len(versions) else 0, pause)
        self._writer.run(
            lambda connection: connection.execute(
                f"UPDATE segment SET state = {LIVE} WHERE id = ? AND state = {SETTLING}", (segment,)
            )
        )

    def _delete_by_value(
        self, parameters: Sequence[int], last_v: int, pause: Callable[[], None] | None
    ) -> None:
        """Delete the hot rows of the index that no key leads to from their version."""
        pace = _Pace(SETTLE_INDEX_ROWS)
        for parameter in parameters:
            with self._database.reading() as connection:
                found = list(index.rows_by_value(connection, [parameter], last_v))
            for table, columns, rows in found:
                start = 0
                while start < len(rows):
                    part = rows[start : start + pace.size]
                    pace.run(
                        self._writer,
                        partial(_delete_rows, table=table, columns=columns, rows=part),
                    )
                    start += len(part)
                    if pause is not None:
                        pause()


def _delete_rows(
    connection: apsw.Connection, table: str, columns: str, rows: Sequence[tuple[Any, ...]]
) -> None:
    index.delete_rows(connection, table, columns, rows)


def _type_of(connection: apsw.Connection, segment: int) -> str:
    found: str | None = connection.execute(
        "SELECT t.text FROM segment s JOIN term t ON t.id = s.type WHERE s.id = ?", (segment,)
    ).get
    # One that was retired and removed meanwhile has nothing left to settle.
    return found or ""


def versions_in(segment: Segment) -> np.ndarray:
    """The `v` of each row of a segment. Raises FhirError when it cannot be read."""
    try:
        with segment.file.open() as file:
            found: np.ndarray = file.read(columns=["v"]).column(0).to_numpy()
    except (OSError, ValueError, pa.ArrowException) as failure:
        raise segment.file.failure(failure) from None
    return found
