"""The lake as of one commit, in columns: what analytic queries read.

For each type, segments, hot rows and what is not current are taken in one read transaction, so
that a version is in exactly one of the two tiers, also while a flush goes on. Segment files are
immutable and stay where they are while a snapshot holds them, so it can be read for as long as it
is held; only an erase takes a file from under it, and then its readers are told so.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import apsw
import numpy as np
import pyarrow as pa

from schemas.outcomes import FhirError
from storage import segment_columns
from storage.database import Database
from storage.hot_rows import flushed_v, hot_versions
from storage.segment_store import Segment, SegmentStore
from storage.segments import SegmentFile
from storage.terms import Terms
from storage.versions import from_microseconds

__all__ = ["HotTables", "SegmentFile", "Snapshot"]

_NO_V = pa.array([], pa.int64())


@dataclass(frozen=True, slots=True)
class _TypeRows:
    """One type in a snapshot."""

    segments: list[SegmentFile]
    hot: pa.Table
    superseded: pa.Array


class HotTables:
    """The hot rows of each type as a table, kept and extended from query to query."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._tables: dict[str, tuple[int, pa.Table]] = {}
        self._erasures = 0
        self._lock = threading.Lock()

    def forget(self) -> None:
        """Let go of the rows kept."""
        with self._lock:
            self._tables.clear()

    def rows(
        self,
        connection: apsw.Connection,
        resource_type: str,
        type_number: int,
        after_v: int,
        last_v: int,
    ) -> pa.Table:
        """Versions of a type with `after_v < v <= last_v`, by `v`; none of them is flushed."""
        erasures = int(connection.execute("SELECT count(*) FROM erasure").get)
        with self._lock:
            if erasures > self._erasures:
                # Rows kept from before may be of versions that were erased.
                self._tables.clear()
                self._erasures = erasures
            elif erasures < self._erasures:
                # This reader began before an erase that the kept tables have already followed.
                return _table(connection, resource_type, type_number, after_v, last_v)
            begins, table = self._tables.get(resource_type, (after_v, None))
            if table is None:
                table = segment_columns.schema(resource_type).empty_table()
            if begins > after_v:
                # This reader began before a flush that the kept table has already followed.
                return _table(connection, resource_type, type_number, after_v, last_v)
            # Rows that were flushed since go; they are at the front.
            table = table.slice(_count_to(table, after_v))
            newest = table["v"][-1].as_py() if table.num_rows else after_v
            if newest < last_v:
                added = _table(connection, resource_type, type_number, newest, last_v)
                if added.num_rows:
                    table = pa.concat_tables([table, added])
                    if table["v"].num_chunks > 64:
                        table = table.combine_chunks()
            self._tables[resource_type] = (after_v, table)
        return table.slice(0, _count_to(table, last_v))


def _table(
    connection: apsw.Connection, resource_type: str, type_number: int, after_v: int, last_v: int
) -> pa.Table:
    rows = hot_versions(connection, type_number, after_v, last_v)
    return segment_columns.table(resource_type, rows)


def _count_to(table: pa.Table, v: int) -> int:
    """How many rows, of a table ordered by `v`, have no greater one."""
    return int(np.searchsorted(table["v"].to_numpy(), v, side="right"))


class Snapshot:
    """The lake right after commit `t`.

    What it has read stays readable until it is closed or garbage.
    """

    def __init__(
        self,
        database: Database,
        store: SegmentStore,
        terms: Terms,
        hot_tables: HotTables,
        t: int,
    ) -> None:
        self.t = t
        self._database = database
        self._store = store
        self._terms = terms
        self._hot_tables = hot_tables
        self._types: dict[str, _TypeRows] = {}
        self._releases: list[Callable[[], object]] = []
        self._lock = threading.Lock()

    @property
    def instant(self) -> datetime:
        """When commit `t` was made (aware, UTC); the epoch for a lake without commits."""
        with self._database.reading() as connection:
            found = connection.execute(
                "SELECT instant_us FROM commit_log WHERE t = ?", (self.t,)
            ).get
        return from_microseconds(found or 0)

    def segments(self, resource_type: str) -> list[SegmentFile]:
        """The segments that hold versions of a type."""
        return self._type(resource_type).segments

    def hot_rows(self, resource_type: str) -> pa.Table:
        """Versions of a type up to `t` that are in no segment, with the columns of the segments."""
        return self._type(resource_type).hot

    def superseded(self, resource_type: str) -> pa.Array:
        """The `v` (int64, ascending) of versions not current at `t`, in segments or hot.

        Those followed by another one, tombstones, and those committed after `t`.
        """
        return self._type(resource_type).superseded

    def failure(self, exception: BaseException) -> FhirError | None:
        """What to tell a client when a query over segments that it no longer knows apart failed.

        None when none of them was erased and their store can be reached.
        """
        with self._lock:
            held = [file for rows in self._types.values() for file in rows.segments]
        for file in held:
            found = file.failure(exception)
            if found.category != "internal":
                return found
        return None

    def close(self) -> None:
        """Let go of the files. Reading goes on to work as long as they are there."""
        with self._lock:
            for release in self._releases:
                release()
            self._releases.clear()

    def _type(self, resource_type: str) -> _TypeRows:
        with self._lock:
            found = self._types.get(resource_type)
            while found is None:
                with self._database.reading() as connection:
                    found, segments = self._read(connection, resource_type)
                ids = [segment.id for segment in segments]
                if not self._store.pin(ids):
                    # Erased since the transaction began; the next one sees what came in its place.
                    found = None
                    continue
                release = weakref.finalize(self, self._store.unpin, ids)
                release.atexit = False
                self._releases.append(release)
                self._types[resource_type] = found
            return found

    def _read(
        self, connection: apsw.Connection, resource_type: str
    ) -> tuple[_TypeRows, Sequence[Segment]]:
        number = self._terms.find(connection, resource_type)
        if number is None:
            empty = segment_columns.schema(resource_type).empty_table()
            return _TypeRows([], empty, _NO_V), ()
        after_v = flushed_v(connection, number)
        next_v = connection.execute(
            "SELECT first_v FROM commit_log WHERE t > ? ORDER BY t LIMIT 1", (self.t,)
        ).get
        last_v = connection.execute(
            "SELECT ifnull(max(v), 0) FROM version WHERE type = ? AND v < ?",
            (number, next_v if next_v is not None else 2**63 - 1),
        ).get
        hidden = connection.execute(
            "SELECT v FROM version WHERE type = ?1 AND t_end <= ?2 AND t_end IS NOT NULL "
            "UNION SELECT v FROM version WHERE type = ?1 AND deleted AND t <= ?2 "
            "UNION SELECT v FROM version WHERE type = ?1 AND v > ?3 AND v <= ?4 "
            # Erased, but still in a segment that is being rewritten.
            "UNION SELECT v FROM erased_version WHERE type = ?1 ORDER BY 1",
            (number, self.t, last_v, after_v),
        )
        segments = self._store.of_type(connection, number)
        rows = _TypeRows(
            [segment.file for segment in segments],
            self._hot_tables.rows(connection, resource_type, number, after_v, last_v),
            pa.array([v for (v,) in hidden], pa.int64()),
        )
        return rows, segments
