"""What is left of erased versions after the removal, and how each kind of it goes.

All of it may be repeated, and finds by itself what is still to be done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import apsw
import pyarrow as pa
import pyarrow.compute as pc

from storage import index
from storage.database import Database
from storage.flush import Flusher
from storage.keystore import Keystore
from storage.new_segments import NewSegments
from storage.retirement import Retirement
from storage.rewrite import Rewriter, Rewriting
from storage.segment_store import Segment, SegmentStore
from storage.terms import Terms
from storage.writer import Writer

# Versions whose index rows go in one transaction. It goes through all rows that are keyed by
# value, however few versions it is for: few transactions are shorter in sum.
_INDEX_VERSIONS = 20_000


class Remnants:
    """Removes what is noted in `erased_version`, then what older copies could be read with."""

    def __init__(
        self,
        database: Database,
        writer: Writer,
        store: SegmentStore,
        terms: Terms,
        flusher: Flusher,
        new: NewSegments,
        rewriter: Rewriter,
        retirement: Retirement,
        keystore: Keystore,
        renew_database_key: Callable[[], None],
    ) -> None:
        """`renew_database_key` gives `hot.db` a new file and key."""
        self._database = database
        self._writer = writer
        self._store = store
        self._terms = terms
        self._flusher = flusher
        self._new = new
        self._rewriter = rewriter
        self._retirement = retirement
        self._keystore = keystore
        self._renew_database_key = renew_database_key

    def check(self) -> None:
        """Refuse what could not be finished: the master key was rotated by another process."""
        self._keystore.check_master_key()

    def rewrite_segments(self) -> int:
        """Rewrite the segments that hold erased versions without them; how many were rewritten.

        The old ones' keys are destroyed and their files deleted, also where a snapshot reads them;
        so are the keys of the segments that a compaction put into them (`former_segments`).
        """
        rewritten = 0
        with self._flusher.paused(), self._rewriter.alone():
            with self._database.reading() as connection:
                rows: Any = connection.execute("SELECT type, v FROM erased_version").fetchall()
                erased: dict[int, list[int]] = {}
                for type_number, v in rows:
                    erased.setdefault(type_number, []).append(v)
                affected = [
                    (segment, set(vs))
                    for type_number, vs in erased.items()
                    for segment in self._store.of_type(connection, type_number)
                    if _holds(segment, pa.array(vs, pa.int64()))
                ]
            for segment, leave_out in affected:
                wanted = [Rewriting(segment.resource_type, [segment.id])]
                self._rewriter.rewrite(wanted, leave_out, erase=True)
                rewritten += 1
            # Unfinished files may hold it too, and keys that no segment has.
            self._new.remove_begun()
            self._retirement.remove()
        return rewritten

    def remove_index_rows(self) -> dict[str, Any]:
        """Remove the index rows of what is noted, and the notes."""
        with self._database.reading() as connection:
            vs = [v for (v,) in connection.execute("SELECT v FROM erased_version ORDER BY v")]
        for start in range(0, len(vs), _INDEX_VERSIONS):
            chunk = vs[start : start + _INDEX_VERSIONS]

            def take_out(connection: apsw.Connection, chunk: Sequence[int] = chunk) -> None:
                index.delete_versions(connection, chunk)
                connection.executemany(
                    "DELETE FROM erased_version WHERE v = ?", [(v,) for v in chunk]
                )

            self._writer.run(take_out)
        return {}

    def remove_patients(self, numbers: Sequence[int]) -> dict[str, Any]:
        """Remove the numbers of patients that no version is of; looks through all versions."""
        with self._database.reading() as connection:
            last_v = connection.execute("SELECT ifnull(max(v), 0) FROM version").get
            unused = [n for n in numbers if not _is_used(connection, n, 0)]

        def take_out(connection: apsw.Connection) -> None:
            for number in unused:
                if not _is_used(connection, number, int(last_v or 0)):
                    connection.execute("DELETE FROM patient WHERE id = ?", (number,))

        self._writer.run(take_out)
        return {}

    def renew_database_key(self) -> dict[str, Any]:
        """Give `hot.db` a new file under a new key; the old key is destroyed."""
        self._renew_database_key()
        return {}

    def renew_datastore_key(self) -> dict[str, Any]:
        """Wrap every key anew, so that an older copy of the key store's file opens nothing."""
        self._keystore.renew_datastore_key()
        return {}


def _holds(segment: Segment, erased: pa.Array) -> bool:
    """Whether a segment has one of the versions, whatever the database says of it."""
    try:
        with segment.file.open() as file:
            column = file.read(columns=["v"]).column(0)
    except (OSError, ValueError, pa.ArrowException) as failure:
        raise segment.file.failure(failure) from None
    return bool(pc.any(pc.is_in(column, value_set=erased)).as_py())


def _is_used(connection: apsw.Connection, number: int, after_v: int) -> bool:
    return bool(
        connection.execute(
            "SELECT EXISTS (SELECT 1 FROM version WHERE v > ? AND patient = ?)", (after_v, number)
        ).get
    )
