"""Moving bodies from the hot tier into segments, while others read and write.

1. The file is made (`storage.new_segments`), beside the lake's life.
2. One transaction records the segment. From here on its versions belong to the segment for
   analytic queries; readers of single versions still take the hot bodies.
3. Small transactions point the versions to their rows and drop the hot bodies
   (`storage.settling`); one that a crash cut short is done again at the next start.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import apsw

from schemas.outcomes import FhirError
from storage import index, segment_columns, segments
from storage.commit import Position
from storage.database import Database, give_back_pages
from storage.hot_rows import HotType, hot_types, hot_versions
from storage.new_segments import NewSegments
from storage.segment_store import SegmentStore
from storage.settling import Settler
from storage.terms import Terms
from storage.writer import Writer

log = logging.getLogger("chartlake.storage")

# When the background flush begins.
HOT_ROWS = 20_000
HOT_BYTES = 64 * 2**20

# Where writers are faster than the flush for long, each transaction waits for it a while from here
# on: the hot tier stays of a size that its index is fast in, and that a restart reads soon.
STALL_ROWS = 5 * HOT_ROWS
STALL_BYTES = 5 * HOT_BYTES
_STALL_S = 1.0

# It leaves types with less than this in the hot tier: many tiny files help no one.
_WORTH_ROWS = 1_000
_WORTH_BYTES = 2 * 2**20

# One segment at most, so that a flush needs a bounded amount of memory.
SEGMENT_ROWS = 25_000
SEGMENT_BYTES = 64 * 2**20

_RETRY_S = 30.0


class Flusher:
    """Flushes when asked, and by itself when much is hot."""

    def __init__(
        self,
        database: Database,
        writer: Writer,
        store: SegmentStore,
        terms: Terms,
        new: NewSegments,
        settler: Settler,
        after_flush: Callable[[], None],
    ) -> None:
        self._database = database
        self._writer = writer
        self._store = store
        self._terms = terms
        self._new = new
        self._settler = settler
        self._after_flush = after_flush
        self._one_at_a_time = threading.RLock()
        self._wanted = threading.Event()
        self._stopping = threading.Event()
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="chartlake-flush", daemon=True)

    def start(self) -> None:
        """Clear up after a crash, then watch the hot tier.

        What an object store that is away keeps from being cleared up waits for the next flush.
        """
        try:
            self._clear_up()
        except FhirError as failure:
            if failure.category != "unavailable":
                raise
            log.warning("segments cannot be reached; the hot tier serves without them")
        self._thread.start()

    def _clear_up(self) -> None:
        self._new.remove_begun()
        self._settler.settle_rest()

    def wake(self, position: Position) -> None:
        """Told after each commit how much is hot."""
        if position.hot_rows > HOT_ROWS or position.hot_bytes > HOT_BYTES:
            self._wanted.set()

    def relieve(self) -> None:
        """Called before each transaction: waits a little where very much is hot.

        A second at most, and not at all while flushing fails: then the hot tier has to grow.
        """
        if not self.is_overfull:
            return
        self._wanted.set()
        deadline = time.monotonic() + _STALL_S
        while (
            self.is_overfull
            and not self._failing
            and not self._stopping.is_set()
            and time.monotonic() < deadline
        ):
            time.sleep(0.01)

    @property
    def is_overfull(self) -> bool:
        """Whether so much is hot that transactions are held up."""
        position = self._writer.position
        return position.hot_rows > STALL_ROWS or position.hot_bytes > STALL_BYTES

    def stop(self) -> None:
        """Finish the segment being written and stop."""
        self._stopping.set()
        self._wanted.set()
        if self._thread.is_alive():
            self._thread.join()

    def flush(self, *, all_types: bool = True) -> None:
        """Move all hot bodies (or those of types worth a file) into segments."""
        with self._one_at_a_time:
            self._clear_up()
            with self._database.reading() as connection:
                hot = hot_types(connection, self._terms)
            if not all_types:
                worth = [h for h in hot if h.rows >= _WORTH_ROWS or h.bytes >= _WORTH_BYTES]
                hot = worth or sorted(hot, key=lambda h: h.bytes)[-1:]
            for one in hot:
                self._flush_type(one)
            self._give_back()

    def flush_type(self, type_number: int) -> None:
        """Move the hot bodies of one type, however few, into segments."""
        with self._one_at_a_time:
            with self._database.reading() as connection:
                hot = [
                    h for h in hot_types(connection, self._terms) if h.type_number == type_number
                ]
            for one in hot:
                self._flush_type(one)

    def _give_back(self) -> None:
        """Give the pages of the database that moved rows left behind back to the disk."""
        while self._writer.run(give_back_pages):
            pass

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """No flush goes on in the block, but those that it asks for itself."""
        with self._one_at_a_time:
            yield

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._stopping.is_set():
                return
            try:
                self.flush(all_types=False)
                self._failing = False
            except Exception as failure:
                if self._stopping.is_set():
                    return
                self._failing = True
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
        versions = segment_columns.sorted_by_patient(
            hot.resource_type, segment_columns.table(hot.resource_type, rows)
        )
        body_bytes = sum(len(row[8]) for row in rows)
        group_rows = segments.group_rows(body_bytes, len(rows))
        with self._new.draft(
            hot.type_number, hot.resource_type, versions.schema, group_rows
        ) as draft:
            draft.write(versions)
        new = draft.segment
        # All of their rows must be there: what is not in the blocks is never found again.
        self._writer.index_all()
        with self._database.reading() as connection:
            blocks = index.hot_blocks(
                connection, hot.resource_type, new.v, versions["deleted"].to_pylist()
            )

        def record(connection: apsw.Connection, position: Position) -> int:
            position.hot_rows -= len(rows)
            position.hot_bytes -= body_bytes
            segment = self._new.record(connection, new, None)
            index.write_blocks(connection, segment, hot.type_number, blocks)
            return segment

        try:
            segment = self._writer.run_at(record)
        except BaseException:
            self._new.discard([new])
            raise
        self._new.recorded([new])
        self._settler.settle(segment, new.v)
        self._after_flush()
