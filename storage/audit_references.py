"""By which patients and resources audit events are found: entries on their way into their index.

`ref` is a hash, so each entry has a page of the tree to itself once the log is long: put there with
each event they would be half of what a commit writes. They are stored many at once instead, in the
order of the tree. The `lake` table says up to which event all of them are in it; whoever looks for
events by what they concern looks at those after it one by one.

A crash loses nothing: what is missing is worked out of the events themselves.
"""

from __future__ import annotations

import apsw

from storage.audit import Reference, references, rows
from storage.row_inserts import insert_missing_rows, without_fsync

# Entries waiting before they are stored although there is something else to do. Searches by patient
# look at the events of as many: some ten milliseconds.
QUEUED = 6_000

# Stored in one transaction: some milliseconds in which other writers wait.
_ROWS = 6_000

_REFERRED = "audit_referred"
_KEEP = "INSERT OR REPLACE INTO lake VALUES (?, ?)"


def referred(connection: apsw.Connection) -> int | None:
    """The last event of those that all have their entries; None: all have."""
    found = connection.execute("SELECT value FROM lake WHERE name = ?", (_REFERRED,)).get
    return None if found is None else int(found)


class AuditReferences:
    """The entries that wait, on the writer's connection; used by its thread alone."""

    def __init__(self, connection: apsw.Connection) -> None:
        """Take up what a process before this one did not store."""
        self._connection = connection
        self._waiting: list[Reference] = []
        self._last_n = 0
        last: int = connection.execute("SELECT ifnull(max(n), 0) FROM audit").get
        done = referred(connection)
        if done is None or done > last:
            connection.execute(_KEEP, (_REFERRED, str(last)))
            return
        for row in rows(connection, "n > ? ORDER BY n", (done,)):
            self.add([(ref, row.n) for ref in references(row.record())], row.n)

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def waits(self) -> bool:
        """Whether there is an event whose entries are not stored."""
        return bool(self._last_n)

    def add(self, entries: list[Reference], last_n: int) -> None:
        """Add the entries of events that were committed, up to the event `last_n`."""
        self._waiting += entries
        self._last_n = last_n

    def store_some(self) -> None:
        """Store what has waited longest, in a transaction. What fails leaves it waiting."""
        entries, rest = self._waiting[:_ROWS], self._waiting[_ROWS:]
        # Of an event that is cut in two the rest comes with the next ones.
        done = min(n for _, n in rest) - 1 if rest else self._last_n
        with without_fsync(self._connection):
            insert_missing_rows(self._connection, "audit_reference", "ref, n", sorted(entries))
            self._connection.execute(_KEEP, (_REFERRED, str(done)))
        self._waiting = rest
        if not rest:
            self._last_n = 0
