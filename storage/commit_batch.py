"""The rows of a group of transactions, gathered in memory and stored with few statements.

A transaction is checked against what is stored and what the group's earlier ones are about to
store; a refused one has added nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import apsw

from storage.audit import NewRows, Reference
from storage.operations import Prepared
from storage.packed_ids import pack, unpack
from storage.recent_versions import Generation
from storage.row_inserts import insert_rows

# Patients of the last transactions: most of a group's resources are of a few.
_CACHE_PATIENTS = 100_000

# Resources looked up by one statement.
_LOOK_UP = 64

Key = tuple[int, bytes | str]
"""Type and packed id of a resource."""


@dataclass(frozen=True, slots=True)
class Current:
    """The last version of a resource, a deletion perhaps."""

    v: int
    version_id: int
    deleted: bool
    patient: int | None


class CommitBatch:
    """What a group of transactions reads and is about to write on the writer's connection."""

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection
        self.audit = NewRows()
        """The rows of the audit log for what the batch holds."""
        self._current: dict[Key, Current | None] = {}
        self._patients: dict[str, int] = {}
        self._commits: list[tuple[int, int, int]] = []
        self._versions: list[list[Any]] = []
        self._ended: list[tuple[int, int]] = []
        self._bodies: list[tuple[int, bytes]] = []
        self._pending: list[tuple[int, bytes]] = []
        self._cursors: list[tuple[str, int]] = []
        self.unindexed: list[tuple[int, bytes]] = []
        """The group's new versions with their packed index rows."""
        self.audit_references: list[Reference] = []
        """What the group's rows of the audit log are to be found by."""
        self.fresh = Generation()
        """All versions of the group so far."""

    def look_up(self, operations: Iterable[Prepared]) -> None:
        """Read what is current of the operations' resources, as far as it is not known."""
        known = self._current
        keys = []
        for operation in operations:
            key = operation.key
            if key not in known:
                known[key] = None
                keys.append(key)
        for start in range(0, len(keys), _LOOK_UP):
            part = keys[start : start + _LOOK_UP]
            values = ", ".join(["(?, ?)"] * len(part))
            for type_term, id, v, version_id, deleted, patient in self.connection.execute(
                f"WITH wanted (type, id) AS (VALUES {values}) "
                "SELECT w.type, w.id, r.v, r.version_id, r.deleted, r.patient "
                "FROM wanted w CROSS JOIN version r ON r.v = (SELECT v FROM version "
                "WHERE type = w.type AND id = w.id ORDER BY version_id DESC LIMIT 1)",
                tuple(value for key in part for value in key),
            ):
                known[type_term, id] = Current(v, version_id, bool(deleted), patient)

    def current(self, key: Key) -> Current | None:
        """The last version of a resource that was looked up, this batch's own included."""
        return self._current[key]

    def patient(self, id: str | None) -> int | None:
        """The number of a patient's id, a new one where it has none."""
        if id is None:
            return None
        found = self._patients.get(id)
        if found is None:
            key = pack(id)
            found = self.connection.execute("SELECT id FROM patient WHERE packed = ?", (key,)).get
            if found is None:
                self.connection.execute("INSERT INTO patient (packed) VALUES (?)", (key,))
                found = self.connection.last_insert_rowid()
            if len(self._patients) >= _CACHE_PATIENTS:
                self._patients.clear()
            self._patients[id] = found
        return found

    def patient_id(self, operation: Prepared) -> str | None:
        """Whose record the last version of an operation's resource belongs to."""
        current = self._current[operation.key]
        if current is None or current.patient is None:
            return None
        found: Any = self.connection.execute(
            "SELECT packed FROM patient WHERE id = ?", (current.patient,)
        ).get
        return None if found is None else unpack(found)

    def add_commit(self, t: int, instant_us: int, first_v: int) -> None:
        """A new commit in the log."""
        self._commits.append((t, instant_us, first_v))

    def add_version(
        self,
        operation: Prepared,
        current: Current,
        t: int,
        superseded_v: int | None,
        body: bytes,
    ) -> None:
        """`current`, made by `operation` in commit `t`, in the place of `superseded_v`."""
        v, key = current.v, operation.key
        if superseded_v is not None:
            self._end(superseded_v, t)
        self._current[key] = current
        self._versions.append(
            [
                v,
                key[0],
                key[1],
                current.version_id,
                t,
                None,
                operation.method,
                current.deleted,
                current.patient,
            ]
        )
        if not current.deleted:
            self._bodies.append((v, body))
            self._pending.append((v, operation.packed_rows))
        self.fresh.add(t, key, None if current.deleted else operation.identifiers)

    def move_cursor(self, cursor: tuple[str, int]) -> None:
        """The last commit that a consumer has dealt with."""
        self._cursors.append(cursor)

    def write(self) -> None:
        """Store what was gathered, within the connection's transaction."""
        connection = self.connection
        insert_rows(connection, "commit_log", "t, instant_us, first_v", self._commits)
        insert_rows(
            connection,
            "version",
            "v, type, id, version_id, t, t_end, method, deleted, patient",
            self._versions,
        )
        insert_rows(connection, "hot_body", "v, body", self._bodies)
        insert_rows(connection, "index_pending", "v, rows", self._pending)
        self.unindexed += self._pending
        if self._ended:
            connection.executemany("UPDATE version SET t_end = ? WHERE v = ?", self._ended)
        if self._cursors:
            connection.executemany(
                "INSERT INTO consumer_cursor VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET t = excluded.t",
                self._cursors,
            )
        self.audit_references += self.audit.store(connection)
        self._clear()

    def forget(self) -> None:
        """Forget what other work on the connection may have changed, and what was not written."""
        self._patients.clear()
        self.next_group()

    def next_group(self) -> None:
        """Forget the resources of a group that is done with."""
        self._current.clear()
        self.unindexed = []
        self.audit_references = []
        self.fresh = Generation()
        self._clear()

    def _clear(self) -> None:
        """Forget the rows that were written, or that never will be."""
        self._commits.clear()
        self._versions.clear()
        self._ended.clear()
        self._bodies.clear()
        self._pending.clear()
        self._cursors.clear()
        self.audit.clear()

    def _end(self, v: int, t: int) -> None:
        """Note that commit `t` superseded version `v`, which may be one of this batch."""
        if self._versions and v >= self._versions[0][0]:
            self._versions[v - self._versions[0][0]][5] = t
        else:
            self._ended.append((t, v))
