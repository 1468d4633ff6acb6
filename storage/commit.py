"""One transaction: its checks, its place in the log, and the rows it adds to its group's batch."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import apsw

from schemas.ids import format_instant
from schemas.outcomes import FhirError, error
from storage.audit import Head, Reference
from storage.commit_batch import CommitBatch, Current
from storage.operations import ANY_VERSION, Prepared, RefusedError, stamped_body
from storage.versions import Commit, Version, from_microseconds


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
    audit_references: list[Reference] = field(default_factory=list)

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
            list(self.audit_references),
        )

    def pass_by(self, moment_us: int) -> None:
        """Let all later commits be after a moment that has passed, whatever the clock does."""
        self.earliest_us = max(self.earliest_us, (moment_us // 1000 + 1) * 1000)


class _Step(NamedTuple):
    """One prepared operation with the version that is current before it."""

    operation: Prepared
    before: Current | None

    @property
    def changes_nothing(self) -> bool:
        return self.operation.body is None and self.before is not None and self.before.deleted


def apply(
    connection: apsw.Connection,
    batch: CommitBatch,
    position: Position,
    operations: Sequence[Prepared],
    cursor: tuple[str, int] | None,
) -> Commit:
    """Add the operations to the batch as the commit after `position`, and advance `position`.

    Nothing is numbered when nothing changes (deletions of what is deleted, a cursor alone). Raises
    FhirError: `precondition`, `conflict`, `not-found`; then nothing was added or advanced.
    """
    batch.look_up(operations)
    steps = []
    for index, operation in enumerate(operations):
        try:
            steps.append(_check(batch, operation))
        except FhirError as failure:
            raise RefusedError(failure, index) from None
    if cursor is not None:
        batch.move_cursor(cursor)
    if all(step.changes_nothing for step in steps):
        tombstones = [_tombstone(connection, batch, step) for step in steps]
        return Commit(position.t, from_microseconds(position.instant_us), tombstones)
    position.t += 1
    # Milliseconds, as FHIR instants show them; never back, whatever the clock does.
    now_us = time.time_ns() // 1_000_000 * 1000
    position.instant_us = max(now_us, position.instant_us, position.earliest_us)
    batch.add_commit(position.t, position.instant_us, position.v + 1)
    instant = from_microseconds(position.instant_us)
    last_updated = format_instant(instant)
    versions = []
    for step in steps:
        if step.changes_nothing:
            versions.append(_tombstone(connection, batch, step))
            continue
        operation = step.operation
        version_id = step.before.version_id + 1 if step.before is not None else 1
        body = _store(batch, position, step, version_id, last_updated)
        versions.append(
            Version(
                operation.resource_type,
                operation.id,
                version_id,
                position.t,
                instant,
                operation.method,
                operation.body is None,
                body,
            )
        )
    return Commit(position.t, instant, versions)


def _check(batch: CommitBatch, operation: Prepared) -> _Step:
    before = batch.current(operation.key)
    if operation.if_match == ANY_VERSION and (before is None or before.deleted):
        raise error("precondition", f"{operation.place} should exist.", operation.resource_type)
    if operation.if_match not in (None, ANY_VERSION) and (
        before is None or before.version_id != operation.if_match
    ):
        have = f"its current version is {before.version_id}" if before else "it does not exist"
        raise error(
            "precondition",
            f"{operation.place} should be at version {operation.if_match}, but {have}. "
            "Read it again and repeat the change on what is there now.",
            operation.resource_type,
        )
    if operation.must_be_known and before is None:
        raise error(
            "method-not-allowed",
            f"{operation.place} is not known, and clients give no ids here: create it by POST.",
            f"{operation.resource_type}.id",
        )
    if operation.must_not_exist and before is not None and not before.deleted:
        raise error(
            "conflict",
            f"{operation.place} exists already (version {before.version_id}).",
            f"{operation.resource_type}.id",
        )
    if before is None and operation.body is None:
        raise error("not-found", f"{operation.place} is not known, so it cannot be deleted.")
    return _Step(operation, before)


def _store(
    batch: CommitBatch, position: Position, step: _Step, version_id: int, last_updated: str
) -> bytes:
    operation, before = step.operation, step.before
    position.v += 1
    deleted = operation.body is None
    body = b""
    if operation.body is not None:
        body = stamped_body(operation.body, version_id, last_updated)
        patient = batch.patient(operation.patient_id)
    else:
        # A tombstone stays with the patient of what it hides.
        patient = before.patient if before is not None else None
    batch.add_version(
        operation,
        Current(position.v, version_id, deleted, patient),
        position.t,
        before.v if before is not None else None,
        body,
    )
    position.hot_rows += 1
    position.hot_bytes += len(body)
    if (before is None or before.deleted) != deleted:
        position.counts[operation.key[0]] += -1 if deleted else 1
    return body


def _tombstone(connection: apsw.Connection, batch: CommitBatch, step: _Step) -> Version:
    """The deletion that is there already, perhaps of this very group."""
    assert step.before is not None
    batch.write()
    row = connection.execute(
        "SELECT t, method, instant_us FROM version JOIN commit_log USING (t) WHERE v = ?",
        (step.before.v,),
    ).get
    operation = step.operation
    return Version(
        operation.resource_type,
        operation.id,
        step.before.version_id,
        row[0],
        from_microseconds(row[2]),
        row[1],
        True,
        b"",
    )
