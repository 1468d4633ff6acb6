"""Removing the files of retired segments, when no one can be reading them any more.

A snapshot of this process pins its segments; other processes may read the folder too, so a file
stays for a while after its segment was retired. An erase waits for neither: a reader that it
overtakes is told so.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from schemas.outcomes import FhirError
from storage import former_segments
from storage.database import Database
from storage.segment_store import RETIRED, SETTLING, SegmentStore
from storage.terms import Terms
from storage.writer import Writer

# Longer than any query, page or read may take in another process.
GRACE_S = 15 * 60


class Retirement:
    """Removes retired segments."""

    def __init__(
        self, database: Database, writer: Writer, store: SegmentStore, terms: Terms
    ) -> None:
        self._database = database
        self._writer = writer
        self._store = store
        self._terms = terms

    def remove(self, *, grace_s: float | None = None) -> int:
        """Remove what may go now; how many segments went. Raises FhirError `unavailable`.

        First the keys, so that what was erased cannot be read even when its file stays for now;
        then the file; then what the database knows of it. It may stop between any two. The keys of
        what compaction replaced stay, for backups (`storage.former_segments`).
        """
        due, former, doomed = self._due(GRACE_S if grace_s is None else grace_s)
        erased = {id for id, _, _, retired_us in due if not retired_us}
        taken = set(self._store.take_out([row[0] for row in due if row[0] in erased], pinned=True))
        taken.update(
            self._store.take_out([row[0] for row in due if row[0] not in erased], pinned=False)
        )
        going = [row for row in due if row[0] in taken]
        if not going and not doomed:
            return 0
        for _, resource_type, name, _ in going:
            _forget_columns(self._store.files.cache_key(resource_type, name))
        self._store.keystore.destroy_segment_keys(
            doomed.union(name for _, _, name, _ in going).difference(former)
        )
        if doomed:
            self._writer.run(former_segments.forget_doomed)
        failed: FhirError | OSError | None = None
        gone = []
        for id, resource_type, name, _ in going:
            try:
                self._store.files.delete(resource_type, name)
            except OSError as failure:
                failed = self._store.files.failure(failure) or failure
            else:
                gone.append((id,))
        if gone:
            self._writer.run(
                lambda connection: connection.executemany(
                    f"DELETE FROM segment WHERE id = ? AND state = {RETIRED}", gone
                )
            )
        if failed is not None:
            raise failed
        return len(gone)

    def _due(
        self, grace_s: float
    ) -> tuple[Sequence[tuple[int, str, str, int]], set[str], set[str]]:
        """`id`, type, name, `retired_us` of those retired long ago; keys to keep and to destroy.

        While a segment of a type settles, versions may still point to those that it replaces.
        """
        latest_us = time.time_ns() // 1000 - int(grace_s * 1e6)
        with self._database.reading() as connection:
            found: list[Any] = connection.execute(
                "SELECT s.id, t.text, s.file, s.retired_us FROM segment s "
                f"JOIN term t ON t.id = s.type WHERE s.state = {RETIRED} AND s.retired_us <= ? "
                f"AND s.type NOT IN (SELECT type FROM segment WHERE state = {SETTLING})",
                (latest_us,),
            ).fetchall()
            return found, former_segments.kept(connection), former_segments.doomed(connection)


def _forget_columns(cache_key: str) -> None:
    from storage.analytics.column_cache import CACHE

    CACHE.drop(cache_key)
