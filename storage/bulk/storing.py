"""Prepared segments into the lake: numbered, written, visible all at once.

A segment holds the numbers of its versions, so they have to be known before its file is written,
and they are only free as long as nobody else commits. So: nobody else commits (`CommitGate.alone`)
while files are written by the numbers that come next, and one transaction then takes those numbers,
records the files and everything that finds their rows. A crash before it leaves files that no one
knows of, which are removed (`storage.new_segments`); after it the batch is there, whole.

A segment takes all versions of its type up to a `v`, so what is hot of the type is flushed before.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import apsw
import numpy as np
import pyarrow as pa

from schemas.ids import format_instant
from schemas.outcomes import error
from schemas.parse import parse_resource
from storage import audit_trail, index, jobs, segment_columns, segments
from storage.audit import AuditLog
from storage.audit_record import AuditRecord, Entity
from storage.bulk.prepared import PreparedSegment
from storage.bulk.preparing import Accepted, prepare_segment
from storage.commit import Position
from storage.database import Database
from storage.flush import Flusher
from storage.hot_rows import flushed_v
from storage.index import DirectRows
from storage.new_segments import NewSegment, NewSegments
from storage.operations import stamped_body
from storage.packed_ids import pack
from storage.row_inserts import insert_rows
from storage.segment_store import LIVE
from storage.version_rows import COLUMNS, FROM, Bodies
from storage.versions import from_microseconds
from storage.writer import Writer

# An erase or the end of a moment that was asked for may take the numbers; a commit cannot.
_ATTEMPTS = 5

_METHOD = "PUT"


class BulkCommit(NamedTuple):
    """What a bulk commit stored. `t` is the last commit, a new one where anything changed.

    `versions`: for each segment given, the version number of each of its rows; 0 for a resource
    that says already what was given, which has no new version.
    """

    t: int
    instant_us: int
    versions: list[np.ndarray]


class _Moved(Exception):
    """The numbers that a file was written by are taken."""


class _Before(NamedTuple):
    """The last version of a resource."""

    v: int
    version_id: int
    deleted: bool
    patient: int | None


@dataclass(slots=True)
class _Numbered:
    """A segment with its numbers; row `n` is version `first_v + n`."""

    prepared: PreparedSegment
    first_v: int
    version_ids: np.ndarray
    before: dict[int, _Before]
    """By row, for those that are not the first of their resource."""

    @property
    def last_v(self) -> int:
        return self.first_v + len(self.prepared) - 1


class BulkStore:
    """Stores prepared segments; one caller at a time, in any thread."""

    def __init__(
        self,
        database: Database,
        writer: Writer,
        new: NewSegments,
        flusher: Flusher,
        bodies: Bodies,
        audit: AuditLog,
        rows: DirectRows,
    ) -> None:
        self._database = database
        self._writer = writer
        self._new = new
        self._flusher = flusher
        self._bodies = bodies
        self._audit = audit
        self._rows = rows

    def store(
        self,
        prepared: Sequence[PreparedSegment],
        record: AuditRecord,
        *,
        cursor: tuple[str, int] | None,
        progress: tuple[str, dict[str, Any]] | None,
    ) -> BulkCommit:
        """Store segments, of a type each, as one commit; durable on return.

        No one else may commit meanwhile. `cursor` moves a consumer's cursor, and `progress` (id of
        a job, what it is to hold) notes how far a job is, in the same transaction: also when
        nothing else changes. Raises FhirError `unavailable`, `conflict`; JobCancelled.
        """
        with self._flusher.paused():
            for one in prepared:
                self._flush_hot(one)
            kept, versions = self._changed(prepared)
            for _ in range(_ATTEMPTS):
                try:
                    return self._store(kept, versions, record, cursor, progress)
                except _Moved:
                    continue
        raise error("conflict", "The lake was changed again and again meanwhile; try once more.")

    def _flush_hot(self, prepared: PreparedSegment) -> None:
        number = prepared.type_number
        if self._is_hot(number):
            self._flusher.flush_type(number)
            if self._is_hot(number):
                raise error("unavailable", "The lake is being closed.")

    def _is_hot(self, type_number: int) -> bool:
        with self._database.reading() as connection:
            found = connection.execute(
                "SELECT 1 FROM version WHERE type = ? AND v > ? LIMIT 1",
                (type_number, flushed_v(connection, type_number)),
            ).get
        return found is not None

    # What changes

    def _changed(
        self, prepared: Sequence[PreparedSegment]
    ) -> tuple[list[tuple[PreparedSegment, dict[int, _Before]]], list[np.ndarray]]:
        """The segments without what the lake has already, with what each row supersedes; and for
        each of those given the version numbers of its rows."""
        kept: list[tuple[PreparedSegment, dict[int, _Before]]] = []
        versions: list[np.ndarray] = []
        for one in prepared:
            before, same = self._before(one)
            numbers = np.ones(len(one), np.int64)
            for row, found in before.items():
                numbers[row] = 0 if row in same else found.version_id + 1
            versions.append(numbers)
            if same:
                if len(same) == len(one):
                    continue
                one = _without(one, same, self._rows)
                before, _ = self._before(one)
            kept.append((one, before))
        return kept, versions

    def _before(self, prepared: PreparedSegment) -> tuple[dict[int, _Before], set[int]]:
        """The last versions of a segment's resources, by row; rows that say the same as those."""
        with self._database.reading() as connection:
            place = {key: row for row, key in enumerate(prepared.keys)}
            used = connection.execute(
                "SELECT 1 FROM version WHERE type = ? LIMIT 1", (prepared.type_number,)
            ).get
            if used is None:
                return {}, set()
            rows = _last_versions(connection, prepared)
            before = {place[row[2]]: _Before(row[0], row[3], bool(row[7]), row[10]) for row in rows}
            with audit_trail.unobserved():
                stored = self._bodies.load(connection, [row for row in rows if not row[7]])
        same = set()
        for version in stored:
            row = place[pack(version.id)]
            parts = prepared.bodies.parts(row)
            moment = format_instant(version.last_updated)
            if stamped_body(parts, version.version_id, moment) == version.body:
                same.add(row)
        return before, same

    # Storing it

    def _store(
        self,
        kept: Sequence[tuple[PreparedSegment, dict[int, _Before]]],
        versions: list[np.ndarray],
        record: AuditRecord,
        cursor: tuple[str, int] | None,
        progress: tuple[str, dict[str, Any]] | None,
    ) -> BulkCommit:
        position = self._writer.position
        now_us = time.time_ns() // 1_000_000 * 1000
        instant_us = max(now_us, position.instant_us, position.earliest_us)
        t, v = position.t + 1, position.v + 1
        first_v = v
        numbered: list[_Numbered] = []
        for segment, before in kept:
            ids = np.ones(len(segment), np.int64)
            for row, found in before.items():
                ids[row] = found.version_id + 1
            numbered.append(_Numbered(segment, v, ids, before))
            v += len(segment)
        drafts: list[NewSegment] = []
        try:
            for one in numbered:
                drafts.append(self._written(one, t, instant_us))
            about = record.about(*_concerned(numbered))

            def work(connection: apsw.Connection, ahead: Position) -> int:
                _note(connection, cursor, progress)
                if not numbered:
                    return ahead.t
                if (ahead.t, ahead.v) != (t - 1, first_v - 1) or ahead.earliest_us > instant_us:
                    raise _Moved
                ahead.t, ahead.v, ahead.instant_us = t, v - 1, instant_us
                connection.execute(
                    "INSERT INTO commit_log VALUES (?, ?, ?)", (t, instant_us, first_v)
                )
                for one, draft in zip(numbered, drafts, strict=True):
                    self._record(connection, ahead, one, draft)
                ahead.audit = self._audit.append(
                    connection, ahead.audit, [(part, t) for part in about], ahead.audit_references
                )
                return t

            made: int = self._writer.run_at(work)
        except BaseException:
            self._new.discard(drafts)
            raise
        self._new.recorded(drafts)
        return BulkCommit(made, instant_us, versions)

    def _written(self, one: _Numbered, t: int, instant_us: int) -> NewSegment:
        """The file of a segment, durable under its name."""
        table = _table(one, t, instant_us)
        body_bytes = table["body"].nbytes
        prepared = one.prepared
        group_rows = segments.group_rows(body_bytes, len(prepared))
        with self._new.draft(
            prepared.type_number, prepared.resource_type, table.schema, group_rows
        ) as draft:
            draft.write(table)
        return draft.segment

    def _record(
        self, connection: apsw.Connection, ahead: Position, one: _Numbered, draft: NewSegment
    ) -> None:
        """In the transaction: the segment with its blocks, its versions, and what they end."""
        prepared, t = one.prepared, ahead.t
        segment = self._new.record(connection, draft, None)
        connection.execute(f"UPDATE segment SET state = {LIVE} WHERE id = ?", (segment,))
        versions = draft.v
        index.write_blocks(
            connection,
            segment,
            prepared.type_number,
            [
                index.numbered_part(part, versions[part.first_row : part.first_row + part.rows])
                for part in prepared.parts
            ],
        )
        numbers = _patients(connection, prepared.patients)
        kind = prepared.type_number
        rows = [
            (one.first_v + row, kind, key, version_id, t, _METHOD, 0, patient, segment, row)
            for row, (key, version_id, patient) in enumerate(
                zip(
                    prepared.keys,
                    one.version_ids.tolist(),
                    map(numbers.get, prepared.patients),
                    strict=True,
                )
            )
        ]
        insert_rows(
            connection,
            "version",
            "v, type, id, version_id, t, method, deleted, patient, segment, segment_row",
            rows,
        )
        connection.executemany(
            "UPDATE version SET t_end = ? WHERE v = ?",
            [(t, found.v) for found in one.before.values()],
        )
        there = sum(not found.deleted for found in one.before.values())
        ahead.counts[kind] += len(prepared) - there


def _table(one: _Numbered, t: int, instant_us: int) -> pa.Table:
    """The rows of a segment as `segment_columns.table` makes them."""
    prepared = one.prepared
    schema = segment_columns.schema(prepared.resource_type)
    count = len(prepared)
    moment = format_instant(from_microseconds(instant_us))
    flat = prepared.columns()
    columns: dict[str, Any] = {
        "v": pa.array(np.arange(one.first_v, one.first_v + count)),
        "t": pa.array(np.full(count, t)),
        "id": pa.array(prepared.ids, pa.string()),
        "version_id": pa.array(one.version_ids),
        "last_updated": pa.array(np.full(count, instant_us)).cast(pa.timestamp("us", "UTC")),
        "method": pa.repeat(_METHOD, count),
        "deleted": pa.repeat(False, count),
        "patient_id": pa.array(prepared.patients, pa.string()),
        "body": _bodies(one, moment),
    }
    arrays = [columns[name] if name in columns else flat[name] for name in schema.names]
    return pa.Table.from_arrays(arrays, schema=schema)


def _bodies(one: _Numbered, moment: str) -> pa.Array:
    found = one.prepared.bodies.stamped(moment)
    if not one.before:
        return found
    bodies = found.to_pylist()
    for row in one.before:
        parts = one.prepared.bodies.parts(row)
        bodies[row] = stamped_body(parts, int(one.version_ids[row]), moment)
    return pa.array(bodies, pa.binary())


def _without(prepared: PreparedSegment, left_out: set[int], rows: DirectRows) -> PreparedSegment:
    """The segment without some rows: made anew, as blocks and order are of all of them."""
    accepted = []
    for row in range(len(prepared)):
        if row not in left_out:
            before, after = prepared.bodies.parts(row)
            body = before + _ANY_STAMP + after
            accepted.append(Accepted(parse_resource(body), None, int(prepared.places[row])))
    return prepare_segment(prepared.resource_type, accepted, rows, prepared.definitions)


# A stamp that any parser reads; `prepare_segment` takes it out.
_ANY_STAMP = b'"versionId":"1","lastUpdated":""'


def _last_versions(connection: apsw.Connection, prepared: PreparedSegment) -> list[Any]:
    """The rows of `COLUMNS` of the last versions of a segment's resources, as far as there are."""
    found: list[Any] = []
    statement = "SELECT v FROM version WHERE type = ? AND id = ? ORDER BY version_id DESC LIMIT 1"
    numbers = array("q")
    kind = prepared.type_number
    for key in sorted(prepared.keys, key=lambda one: (isinstance(one, str), one)):
        v = connection.execute(statement, (kind, key)).get
        if v is not None:
            numbers.append(v)
    if numbers:
        found = connection.execute(
            f"SELECT {COLUMNS} FROM carray(?) a CROSS JOIN {FROM} WHERE r.v = a.value",
            (apsw.carray(numbers),),
        ).fetchall()
    return found


def _patients(
    connection: apsw.Connection, patients: Sequence[str | None]
) -> dict[str | None, int | None]:
    """The number of each patient, a new one where it has none."""
    found: dict[str | None, int | None] = {None: None}
    for id in dict.fromkeys(patients):
        if id is None:
            continue
        key = pack(id)
        number = connection.execute("SELECT id FROM patient WHERE packed = ?", (key,)).get
        if number is None:
            connection.execute("INSERT INTO patient (packed) VALUES (?)", (key,))
            number = connection.last_insert_rowid()
        found[id] = number
    return found


def _concerned(numbered: Sequence[_Numbered]) -> tuple[list[Entity], list[str]]:
    """What the audit log says of a bulk commit: every resource, and every patient."""
    entities = [
        Entity(one.prepared.resource_type, id, version_id, "C" if version_id == 1 else "U")
        for one in numbered
        for id, version_id in zip(one.prepared.ids, one.version_ids.tolist(), strict=True)
    ]
    patients = dict.fromkeys(
        patient for one in numbered for patient in one.prepared.patients if patient is not None
    )
    return entities, list(patients)


def _note(
    connection: apsw.Connection,
    cursor: tuple[str, int] | None,
    progress: tuple[str, dict[str, Any]] | None,
) -> None:
    """How far a consumer, and a job, are."""
    if cursor is not None:
        connection.execute(
            "INSERT INTO consumer_cursor VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET t = excluded.t",
            cursor,
        )
    if progress is not None:
        jobs.write(connection, progress[0], progress=progress[1])
