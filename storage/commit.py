"""One transaction on the writer's connection: versions, bodies, index rows, log, cursor."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import apsw

from schemas.ids import format_instant
from schemas.outcomes import error
from storage import index
from storage.audit import Head
from storage.operations import Prepared, stamped_body
from storage.packed_ids import pack
from storage.version_rows import current_row
from storage.versions import Commit, Version, from_microseconds

_INSERT_VERSION = (
    "INSERT INTO version (v, type, id, version_id, t, method, deleted, patient) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)


@dataclass
class Position:
    """Where the log stands: last commit, its moment, last version; and what a group adds to it.

    No later commit is given a moment before `earliest_us`.
    """

    t: int
    instant_us: int
    v: int
    counts: Counter[int] = field(default_factory=Counter)
    hot_rows: int = 0
    hot_bytes: int = 0
    earliest_us: int = 0
    audit: Head | None = None

    def copy(self) -> Position:
        """A position to go on from, to be dropped when its transaction fails."""
        return Position(
            self.t,
            self.instant_us,
            self.v,
            Counter(self.counts),
            self.hot_rows,
            self.hot_bytes,
            self.earliest_us,
            self.audit,
        )

    def pass_by(self, moment_us: int) -> None:
        """Let all later commits be after a moment that has passed, whatever the clock does."""
        self.earliest_us = max(self.earliest_us, (moment_us // 1000 + 1) * 1000)


@dataclass(frozen=True, slots=True)
class _Step:
    """One prepared operation with the row that is current before it."""

    operation: Prepared
    v: int | None
    version_id: int
    deleted: bool


def apply(
    connection: apsw.Connection,
    position: Position,
    operations: Sequence[Prepared],
    cursor: tuple[str, int] | None,
) -> Commit:
    """Store the operations as the commit after `position`, and advance `position`.

    Nothing is numbered when nothing changes (deletions of what is deleted, a cursor alone). Raises
    FhirError: `precondition`, `conflict`, `not-found`; the caller rolls back.
    """
    steps = [_check(connection, operation) for operation in operations]
    if cursor is not None:
        connection.execute(
            "INSERT INTO consumer_cursor VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET t = excluded.t",
            cursor,
        )
    if all(step.operation.body is None and step.deleted for step in steps):
        tombstones = [_tombstone(connection, step) for step in steps]
        return Commit(position.t, from_microseconds(position.instant_us), tombstones)
    position.t += 1
    # Milliseconds, as FHIR instants show them; never back, whatever the clock does.
    now_us = time.time_ns() // 1_000_000 * 1000
    position.instant_us = max(now_us, position.instant_us, position.earliest_us)
    connection.execute(
        "INSERT INTO commit_log (t, instant_us, first_v) VALUES (?, ?, ?)",
        (position.t, position.instant_us, position.v + 1),
    )
    instant = from_microseconds(position.instant_us)
    last_updated = format_instant(instant)
    versions = []
    for step in steps:
        if step.operation.body is None and step.deleted:
            versions.append(_tombstone(connection, step))
            continue
        body = _store(connection, position, step, last_updated)
        operation = step.operation
        versions.append(
            Version(
                operation.resource_type,
                operation.id,
                step.version_id + 1,
                position.t,
                instant,
                operation.method,
                operation.body is None,
                body,
            )
        )
    return Commit(position.t, instant, versions)


def _check(connection: apsw.Connection, operation: Prepared) -> _Step:
    place = f"{operation.resource_type}/{operation.id}"
    row = current_row(connection, operation.type_term, operation.id)
    if operation.if_match is not None:
        have = f"its current version is {row[1]}" if row else "it does not exist"
        if row is None or row[1] != operation.if_match:
            raise error(
                "precondition",
                f"{place} should be at version {operation.if_match}, but {have}. "
                "Read it again and repeat the change on what is there now.",
                operation.resource_type,
            )
    if operation.must_not_exist and row is not None and not row[2]:
        raise error(
            "conflict",
            f"{place} exists already (version {row[1]}).",
            f"{operation.resource_type}.id",
        )
    if row is None:
        if operation.body is None:
            raise error("not-found", f"{place} is not known, so it cannot be deleted.")
        return _Step(operation, None, 0, True)
    return _Step(operation, row[0], row[1], bool(row[2]))


def _store(
    connection: apsw.Connection, position: Position, step: _Step, last_updated: str
) -> bytes:
    operation = step.operation
    position.v += 1
    v = position.v
    if step.v is not None:
        connection.execute("UPDATE version SET t_end = ? WHERE v = ?", (position.t, step.v))
    deleted = operation.body is None
    patient = (
        _patient_of(connection, step) if deleted else _patient(connection, operation.patient_id)
    )
    connection.execute(
        _INSERT_VERSION,
        (
            v,
            operation.type_term,
            pack(operation.id),
            step.version_id + 1,
            position.t,
            operation.method,
            deleted,
            patient,
        ),
    )
    position.hot_rows += 1
    if step.deleted != deleted:
        position.counts[operation.type_term] += -1 if deleted else 1
    if operation.body is None:
        return b""
    body = stamped_body(operation.body, step.version_id + 1, last_updated)
    connection.execute("INSERT INTO hot_body (v, body) VALUES (?, ?)", (v, body))
    position.hot_bytes += len(body)
    index.insert(connection, v, operation.rows)
    return body


def _patient(connection: apsw.Connection, id: str | None) -> int | None:
    """The number of a patient's id, a new one where it has none."""
    if id is None:
        return None
    key = pack(id)
    found: int | None = connection.execute("SELECT id FROM patient WHERE packed = ?", (key,)).get
    if found is None:
        connection.execute("INSERT INTO patient (packed) VALUES (?)", (key,))
        found = connection.last_insert_rowid()
    return found


def _patient_of(connection: apsw.Connection, step: _Step) -> int | None:
    """A tombstone stays with the patient of what it hides."""
    found: int | None = connection.execute("SELECT patient FROM version WHERE v = ?", (step.v,)).get
    return found


def _tombstone(connection: apsw.Connection, step: _Step) -> Version:
    row = connection.execute(
        "SELECT t, method, instant_us FROM version JOIN commit_log USING (t) WHERE v = ?",
        (step.v,),
    ).get
    operation = step.operation
    return Version(
        operation.resource_type,
        operation.id,
        step.version_id,
        row[0],
        from_microseconds(row[2]),
        row[1],
        True,
        b"",
    )
