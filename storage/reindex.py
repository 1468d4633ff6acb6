"""Rebuilding the search index from the bodies, while others search and write.

Segment by segment, part by part, in small transactions: each replaces what the index has of some
versions by the same worked out anew, so that a search finds one or the other. Nothing is flushed
meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import apsw
import numpy as np

from schemas.param_set import ParamSet
from schemas.parse import parse_resource
from storage import index
from storage.database import Database
from storage.hot_rows import flushed_v
from storage.index import build
from storage.index.parts import PreparedPart
from storage.segment_store import Segment, SegmentStore
from storage.settling import versions_in
from storage.terms import Terms
from storage.version_rows import COLUMNS, FROM, Bodies
from storage.writer import Writer

# Hot versions indexed anew in one transaction.
_HOT_BATCH = 500
_BODIES_BATCH = 500


class Reindex:
    """One rebuilding. The caller keeps segments from being made or replaced meanwhile."""

    def __init__(
        self,
        database: Database,
        writer: Writer,
        bodies: Bodies,
        terms: Terms,
        params: Callable[[], ParamSet],
    ) -> None:
        """`params`: what is to be indexed."""
        self._params = params
        self._database = database
        self._writer = writer
        self._bodies = bodies
        self._terms = terms

    def run(
        self,
        store: SegmentStore,
        types: frozenset[str] | None = None,
        progress: Callable[[int], None] = lambda _done: None,
    ) -> None:
        """Index everything again, or the versions of some types alone.

        `progress` is told how many versions are done. Raises FhirError when a segment cannot be
        read, and what `progress` raises.
        """
        self._done, self._progress = 0, progress
        with self._database.reading() as connection:
            segments = store.all(connection)
        for segment in segments:
            if types is None or segment.resource_type in types:
                self._segment(segment)
        known = {segment.id for segment in segments}
        self._writer.run(lambda connection: index.drop_strays(connection, known))
        self._hot(types)

    def count(self, store: SegmentStore, types: frozenset[str]) -> int:
        """How many versions `run` will index."""
        with self._database.reading() as connection:
            flushed: list[int] = [
                connection.execute("SELECT rows FROM segment WHERE id = ?", (one.id,)).get
                for one in store.all(connection)
                if one.resource_type in types
            ]
            return sum(flushed) + len(self._hot_versions(connection, types))

    def _segment(self, segment: Segment) -> None:
        parts = self._parts(versions_in(segment))
        type_number = self._terms.id(segment.resource_type)

        def replace(connection: apsw.Connection) -> None:
            index.drop_segment(connection, segment.id)
            index.write_blocks(connection, segment.id, type_number, parts)

        self._writer.run(replace)

    def _parts(self, versions: np.ndarray) -> list[PreparedPart]:
        found = []
        for first in range(0, len(versions), build.PART_ROWS):
            mine = versions[first : first + build.PART_ROWS]
            rows = self._rows(mine)
            deleted = [one is None for one in rows]
            made = index.blocks_of_rows(mine, deleted, [one or {} for one in rows])
            found += [part.moved(first) for part in made]
        return found

    def _rows(self, versions: Sequence[int] | np.ndarray) -> list[index.Rows | None]:
        """What the index has to have of some versions; None for deletions and what was erased."""
        found: dict[int, index.Rows | None] = {}
        params = self._params()
        for start in range(0, len(versions), _BODIES_BATCH):
            batch = np.array(versions[start : start + _BODIES_BATCH], np.int64)
            with self._database.reading() as connection:
                rows: list[Any] = connection.execute(
                    f"SELECT {COLUMNS} FROM carray(?) a CROSS JOIN {FROM} WHERE r.v = a.value",
                    (apsw.carray(batch),),
                ).fetchall()
                read = self._bodies.load(connection, rows)
            for row, version in zip(rows, read, strict=True):
                found[row[0]] = (
                    None
                    if version.deleted
                    else index.rows(parse_resource(version.body), self._terms.id, params)
                )
            self._done += len(batch)
            self._progress(self._done)
        return [found.get(int(v)) for v in versions]

    def _hot(self, types: frozenset[str] | None) -> None:
        """Hot versions, and rows of versions that are not hot."""
        with self._database.reading() as connection:
            hot = self._hot_versions(connection, types)
            strays: set[int] = set()
            if types is None:
                last_v = connection.execute("SELECT ifnull(max(v), 0) FROM version").get
                strays = index.hot_versions(connection, last_v).difference(hot)
        for batch in _batches(sorted(strays), _HOT_BATCH):
            self._replace(batch, [None] * len(batch))
        for batch in _batches(sorted(hot), _HOT_BATCH):
            self._replace(batch, self._rows(batch))

    def _hot_versions(self, connection: apsw.Connection, types: frozenset[str] | None) -> list[int]:
        """The hot versions of some types, up to the last one."""
        numbers: list[Any] = connection.execute(
            "SELECT c.type, t.text FROM resource_count c JOIN term t ON t.id = c.type"
        ).fetchall()
        return [
            v
            for number, resource_type in numbers
            if types is None or resource_type in types
            for (v,) in connection.execute(
                "SELECT v FROM version WHERE type = ? AND v > ?",
                (number, flushed_v(connection, number)),
            )
        ]

    def _replace(self, versions: Sequence[int], rows: Sequence[index.Rows | None]) -> None:
        def replace(connection: apsw.Connection) -> None:
            index.delete_hot(connection, versions)
            for v, one in zip(versions, rows, strict=True):
                index.insert(connection, v, one or {})

        self._writer.run(replace)


def _batches(versions: Sequence[int], size: int) -> list[Sequence[int]]:
    return [versions[start : start + size] for start in range(0, len(versions), size)]
