"""How far each spool file was taken into the audit log: rows beside the log, in its transactions.

A row stays when its file is gone, so that no file is taken in twice. Each has an authenticator, so
that who has the database and its key alone cannot have accesses skipped.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import apsw

from storage.audit import AuditLog
from storage.audit_spool import START, Place

DDL = """
CREATE TABLE audit_spool (
  file BLOB PRIMARY KEY, state INTEGER NOT NULL, frames INTEGER NOT NULL, bytes INTEGER NOT NULL,
  tag BLOB NOT NULL, mac BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX audit_spool_undone ON audit_spool (state) WHERE state <> 1
"""
UNDONE = "state <> 1"

OPEN, DONE, DAMAGED, REMOVED = range(4)
"""More may come; taken in whole; kept, as it is not what was written; gone before it was done."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What was taken in of a file, and whether that is all."""

    state: int = OPEN
    place: Place = START


def read(
    connection: apsw.Connection, log: AuditLog, where: str, args: Sequence[Any] = ()
) -> tuple[dict[str, Taken], set[str]]:
    """Files that meet a condition, by name; and those whose row is not what was written."""
    found: dict[str, Taken] = {}
    wrong: set[str] = set()
    for file, state, frames, size, tag, mac in connection.execute(
        f"SELECT file, state, frames, bytes, tag, mac FROM audit_spool WHERE {where}", tuple(args)
    ):
        name = bytes(file).hex()
        taken = Taken(state, Place(frames, size, bytes(tag)))
        if not hmac.compare_digest(_mac(log, name, taken), bytes(mac)):
            wrong.add(name)
        found[name] = taken
    return found, wrong


def of_file(connection: apsw.Connection, log: AuditLog, name: str) -> tuple[Taken, bool]:
    """What was taken in of one file, and whether its row is what was written."""
    found, wrong = read(connection, log, "file = ?", (bytes.fromhex(name),))
    return found.get(name, Taken()), name not in wrong


def write(connection: apsw.Connection, log: AuditLog, name: str, taken: Taken) -> None:
    """Record how far a file was taken in, in the open transaction."""
    connection.execute(
        "INSERT OR REPLACE INTO audit_spool VALUES (?, ?, ?, ?, ?, ?)",
        (bytes.fromhex(name), taken.state, *taken.place, _mac(log, name, taken)),
    )


def close_all(connection: apsw.Connection, log: AuditLog) -> None:
    """For a lake that was restored: its spool is empty, no file of before is waited for."""
    found, wrong = read(connection, log, UNDONE)
    with connection:
        for name, taken in found.items():
            if taken.state == OPEN and name not in wrong:
                write(connection, log, name, Taken(DONE, taken.place))


def _mac(log: AuditLog, name: str, taken: Taken) -> bytes:
    text = f"{name} {taken.state} {taken.place.frames} {taken.place.offset} {taken.place.tag.hex()}"
    return log.authenticator("spool position", text)[:16]
