"""The audit records of a change, filled in when it is stored: its commit, versions and patients."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from functools import cache

from storage.audit import REBUILT, AuditLog
from storage.audit_record import AuditRecord, Entity
from storage.audit_trail import AuditTrail
from storage.commit import Position
from storage.commit_batch import CommitBatch
from storage.operations import Prepared
from storage.versions import Commit
from storage.writer_jobs import Also


def recorder(log: AuditLog, record: AuditRecord, operations: Sequence[Prepared]) -> Also:
    """What the writer calls with a stored change: add its record to the batch.

    `operations` in the order of the commit's versions.
    """

    def append(batch: CommitBatch, position: Position, stored: Commit) -> None:
        entities: list[Entity] = []
        patients: list[str] = []
        for operation, version in zip(operations, stored.versions, strict=True):
            done = "D" if version.deleted else "C" if version.version_id == 1 else "U"
            entities.append(Entity(version.resource_type, version.id, version.version_id, done))
            # A tombstone's patient is that of what it hides.
            patient = batch.patient_id(operation) if version.deleted else operation.patient_id
            if patient is not None:
                patients.append(patient)
        action = record.action
        if len(entities) == 1 and action in "CU":
            action = entities[0].done  # An update may create.
        t = stored.t if any(version.t == stored.t for version in stored.versions) else None
        position.audit = log.chain(
            position.audit or log.head(batch.connection),
            [(part, t) for part in record.about(entities, patients, action)],
            batch.audit,
        )

    return append


def both(first: Also, second: Also) -> Also:
    """One after the other."""

    def add(batch: CommitBatch, position: Position, stored: Commit) -> None:
        first(batch, position, stored)
        second(batch, position, stored)

    return add


def of_process(operations: Sequence[Prepared]) -> AuditRecord:
    """The record of a change that no request or command is known for: a program's own."""
    name = "transaction"
    action = "E"
    if len(operations) == 1:
        deletes = operations[0].body is None
        action, name = ("D", "delete") if deletes else ("U", "update")
    return AuditRecord(action, name, f"process:{user()}")


def opening(trail: AuditTrail | None) -> AuditRecord:
    """The record of a lake being opened, by the command of a trail or by a program."""
    return AuditRecord("E", "open", trail.agent if trail is not None else f"process:{user()}")


def rebuilding() -> AuditRecord:
    """The record of a database made anew from its segments: the first of a new log.

    Its commit is the last one whose event was in the old log. Only who has the key store can write
    it, so it does not excuse a log that was removed.
    """
    return AuditRecord("E", REBUILT, f"process:{user()}")


@cache
def user() -> str:
    """The name of the operating system's user that this process runs as."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # A container's user without a name.
        return "unknown"
