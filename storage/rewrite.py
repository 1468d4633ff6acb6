"""Replacing segments by others that hold the same versions, or all but some of them.

1. The new files are made (`storage.new_segments`), beside the lake's life.
2. One transaction records them and retires the old ones: analytic queries that begin after it read
   the new ones, those that began before it go on with the old ones.
3. Small transactions point single versions to the new segments (`storage.settling`).
4. The old files are removed when no one can be reading them (`storage.retirement`).

A crash before 2 leaves the old segments as they are, and files that are noted to be removed; one
after it is settled at the next start.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import apsw
import pyarrow as pa

from schemas.outcomes import FhirError, error
from storage import former_segments, index, segment_columns, segments
from storage.database import Database
from storage.new_segments import NewSegment, NewSegments
from storage.segment_merge import merged, regrouped
from storage.segment_store import LIVE, RETIRED, Segment, SegmentStore
from storage.settling import Settler
from storage.terms import Terms
from storage.writer import Writer

# Where one file of a run ends and the next begins: what a point-in-time copy moves in one piece.
TARGET_ROWS = 1_000_000
TARGET_BYTES = 256 * 2**20


class Interrupted(Exception):
    """A rewrite was given up before it changed anything."""


@dataclass(frozen=True, slots=True)
class Rewriting:
    """Segments of one type that become one sorted run."""

    resource_type: str
    segments: Sequence[int]


class Rewriter:
    """Rewrites segments, one rewrite at a time."""

    def __init__(
        self,
        database: Database,
        writer: Writer,
        store: SegmentStore,
        terms: Terms,
        new: NewSegments,
        settler: Settler,
    ) -> None:
        self._database = database
        self._writer = writer
        self._store = store
        self._terms = terms
        self._new = new
        self._settler = settler
        self._one_at_a_time = threading.RLock()
        self._waiting = 0
        self._counting = threading.Lock()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """No other rewrite goes on in the block; one that can be repeated is interrupted for it."""
        with self._counting:
            self._waiting += 1
        self._one_at_a_time.acquire()
        try:
            with self._counting:
                self._waiting -= 1
            yield
        finally:
            self._one_at_a_time.release()

    def rewrite(
        self,
        wanted: Sequence[Rewriting],
        leave_out: Collection[int] = (),
        *,
        also: Callable[[apsw.Connection], None] | None = None,
        erase: bool = False,
        pause: Callable[[], None] | None = None,
    ) -> None:
        """Replace segments, leaving out the versions whose `v` is in `leave_out`.

        Everything wanted changes in one transaction, in which `also` is called first: it has to
        delete the rows of what is left out, from `version` and whatever refers to it. With `erase`
        the old files go without delay, at the next `Retirement.remove`. `pause` is called now and
        then; it may sleep, or raise to give up. With it, `Interrupted` is raised for one that
        waits for `alone`, as long as nothing has changed. Raises FhirError: `conflict` (a segment
        is not live, or was erased), `internal` (one is damaged), `unavailable` (the store is
        away).
        """
        with self._one_at_a_time:
            with self._database.reading() as connection:
                found = [(one.resource_type, self._live(connection, one)) for one in wanted]
            new: list[NewSegment] = []
            try:
                for resource_type, old in found:
                    self._write(new, resource_type, old, leave_out, pause)
                blocks = self._blocks(found, new, pause)
                numbers = self._writer.run(
                    lambda connection: self._swap(
                        connection, found, new, blocks, leave_out, also, erase
                    )
                )
            except BaseException:
                self._new.discard(new)
                raise
            self._new.recorded(new)
            for number, segment in zip(numbers, new, strict=True):
                self._settler.settle(number, segment.v, pause)

    def _live(self, connection: apsw.Connection, one: Rewriting) -> list[Segment]:
        found = [self._store.get(connection, segment) for segment in one.segments]
        if any(segment.resource_type != one.resource_type for segment in found):
            raise ValueError("segments of another type")
        return found

    def _write(
        self,
        new: list[NewSegment],
        resource_type: str,
        old: list[Segment],
        leave_out: Collection[int],
        pause: Callable[[], None] | None,
    ) -> None:
        """Append to `new` the segments that hold the versions of `old`."""
        number = self._terms.id(resource_type)
        schema = segment_columns.schema(resource_type)
        group_rows = _group_rows(old)
        left_out = pa.array(sorted(leave_out), pa.int64())
        groups = regrouped(
            merged(resource_type, [segment.file for segment in old], left_out), group_rows
        )
        group = next(groups, None)
        while group is not None:
            with self._new.draft(number, resource_type, schema, group_rows) as draft:
                # Whatever becomes of it, the caller has to record or discard it.
                while group is not None:
                    self._give_way(pause)
                    draft.write(group)
                    group = next(groups, None)
                    if draft.segment.rows >= TARGET_ROWS or draft.size >= TARGET_BYTES:
                        break
            new.append(draft.segment)

    def _blocks(
        self,
        found: Sequence[tuple[str, list[Segment]]],
        new: Sequence[NewSegment],
        pause: Callable[[], None] | None,
    ) -> dict[str, list[index.PreparedPart]]:
        """The index of each new segment, by its name, from that of the old ones."""
        blocks = {}
        for resource_type, old in found:
            for draft in new:
                if draft.resource_type == resource_type:
                    self._give_way(pause)
                    with self._database.reading() as connection:
                        _check_live(connection, old)
                        blocks[draft.name] = index.merge(
                            connection, [segment.id for segment in old], draft.v
                        )
        return blocks

    def _give_way(self, pause: Callable[[], None] | None) -> None:
        if pause is not None:
            pause()
            if self._waiting:
                raise Interrupted

    def _swap(
        self,
        connection: apsw.Connection,
        found: Sequence[tuple[str, list[Segment]]],
        new: Sequence[NewSegment],
        blocks: dict[str, list[index.PreparedPart]],
        leave_out: Collection[int],
        also: Callable[[apsw.Connection], None] | None,
        erase: bool,
    ) -> list[int]:
        if also is not None:
            also(connection)
        for v in leave_out:
            if connection.execute("SELECT 1 FROM version WHERE v = ?", (v,)).get:
                raise ValueError("a version is left out of its segment, but it is still known")
        retired_us = 0 if erase else time.time_ns() // 1000
        numbers = []
        for resource_type, old in found:
            newest = 0
            runs = set()
            for segment in old:
                row = connection.execute(
                    f"UPDATE segment SET state = {RETIRED}, retired_us = ? "
                    f"WHERE id = ? AND state = {LIVE} RETURNING max_v, run",
                    (retired_us, segment.id),
                ).get
                if row is None:
                    raise _changed()
                index.drop_segment(connection, segment.id)
                newest = max(newest, row[0])
                runs.add(row[1])
            mine = [segment for segment in new if segment.resource_type == resource_type]
            # A part of a run that is rewritten stays in its place among the others of the run.
            run = next(iter(runs)) if len(runs) == 1 else None
            for draft in mine:
                # What was the type's newest flushed version stays it, also when it is left out.
                last = newest if draft is mine[-1] else 0
                numbers.append(self._new.record(connection, draft, run, last))
                index.write_blocks(connection, numbers[-1], draft.type_number, blocks[draft.name])
                run = numbers[-1] if run is None else run
            if erase or run is None:
                former_segments.erased(connection, runs)
            else:
                files = [segment.file.name for segment in old]
                former_segments.replaced(connection, files, runs, run)
        return numbers


def _check_live(connection: apsw.Connection, old: Sequence[Segment]) -> None:
    """Those retired have no index any more. Raises FhirError `conflict`."""
    for segment in old:
        state = connection.execute("SELECT state FROM segment WHERE id = ?", (segment.id,)).get
        if state != LIVE:
            raise _changed()


def _changed() -> FhirError:
    return error("conflict", "A segment changed while it was rewritten; ask again.")


def _group_rows(old: Sequence[Segment]) -> int:
    """Rows in a row group of what replaces some segments."""
    rows = size = 0
    for segment in old:
        try:
            with segment.file.open() as file:
                metadata = file.metadata
        except (OSError, ValueError, pa.ArrowException) as failure:
            raise segment.file.failure(failure) from None
        body = metadata.schema.to_arrow_schema().get_field_index("body")
        for group in range(metadata.num_row_groups):
            size += metadata.row_group(group).column(body).total_uncompressed_size
        rows += metadata.num_rows
    return segments.group_rows(size, rows)
