"""Index rows of the last commits, on their way into the tables of the search index.

A commit stores the index rows of a version packed, as one row of `index_pending`: put into the
index at once, each would touch ten pages in as many trees, and writing those pages is most of what
a commit costs. Rows of some thousand versions together touch a page once. Whoever needs the index
(a search, the upkeep of segments) has the queue emptied first, so no one sees an index that lags.

Emptying needs no fsync of its own: what a crash undoes is still in `index_pending`. Rows may be
stored twice after a crash, so those that are there are left alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

import apsw
import msgspec

from schemas.outcomes import error
from storage import index
from storage.row_inserts import insert_missing_rows, without_fsync

# Versions waiting before the writer empties the queue by itself. More would make a search that
# comes after many commits wait longer (25 µs a version, measured) and gain little: 2,000 cost 24,
# 4,000 cost 22 µs a version.
QUEUED_VERSIONS = 2_000

# Rows stored in one transaction: some 15 ms in which other writers wait.
_ROWS = 8_000

# How long a process that only reads waits for the one that writes.
_AWAIT_S = 10.0
_POLL_S = 0.005

DDL = "CREATE TABLE index_pending (v INTEGER PRIMARY KEY, rows BLOB NOT NULL)"

_DECODER = msgspec.msgpack.Decoder(dict[str, list[tuple[int | float | str, ...]]])
pack_rows = msgspec.msgpack.Encoder().encode


class Reads(Protocol):
    """What lends connections to readers (`storage.database.Database`)."""

    def reading(self) -> AbstractContextManager[apsw.Connection]:
        """A connection in a read transaction."""


class Indexes(Protocol):
    """What puts rows into the index (`storage.writer.Writer`)."""

    indexed_t: int

    def index_all(self) -> None:
        """Return when all that was committed before is in the search index."""


def await_index(database: Reads, writer: Indexes | None, t: int) -> None:
    """Return when nothing up to `t` waits for the index; `writer` None: this process only reads.

    The process that writes keeps nothing waiting for longer than a second. Raises FhirError
    `unavailable` when it seems to have ended before it could put its last rows into the index.
    """
    if writer is not None:
        if t > writer.indexed_t:
            writer.index_all()
        return
    deadline = time.monotonic() + _AWAIT_S
    while True:
        with database.reading() as connection:
            waits = connection.execute(
                "SELECT 1 FROM index_pending p CROSS JOIN version r ON r.v = p.v "
                "WHERE r.t <= ? LIMIT 1",
                (t,),
            ).get
        if waits is None:
            return
        if time.monotonic() > deadline:
            raise error(
                "unavailable",
                "The last commits are not in the search index yet. If the process that writes "
                "this lake has ended, open the lake for writing once; else try again.",
            )
        time.sleep(_POLL_S)


class IndexQueue:
    """The queue on the writer's connection; used by its thread alone."""

    def __init__(self, connection: apsw.Connection) -> None:
        """Take up what a process before this one left in the queue."""
        self._connection = connection
        # Packed: objects by the ten thousand would keep Python's garbage collector busy.
        self._waiting: list[tuple[int, bytes]] = list(
            connection.execute("SELECT v, rows FROM index_pending ORDER BY v")
        )

    def __len__(self) -> int:
        return len(self._waiting)

    def extend(self, versions: list[tuple[int, bytes]]) -> None:
        """Add versions that were committed, with their packed rows."""
        self._waiting += versions

    def empty(self) -> Iterator[None]:
        """Move what is waiting now into the index; yields after each of its short transactions.

        What fails (apsw.Error) leaves the queue as it was.
        """
        count = len(self._waiting)
        if not count:
            return
        last_v = self._waiting[count - 1][0]
        connection = self._connection
        waiting = ((v, _DECODER.decode(rows)) for v, rows in self._waiting[:count])
        for table, rows in index.by_table(waiting):
            for start in range(0, len(rows), _ROWS):
                with without_fsync(connection):
                    insert_missing_rows(
                        connection, table.NAME, table.COLUMNS, rows[start : start + _ROWS]
                    )
                yield
        with without_fsync(connection):
            connection.execute("DELETE FROM index_pending WHERE v <= ?", (last_v,))
        del self._waiting[:count]
        yield
