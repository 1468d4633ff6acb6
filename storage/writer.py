"""The one writer: transactions of many threads, numbered one after another, in one fsync.

Each transaction of a group has a SAVEPOINT of its own, so one that is refused harms no other. The
callers wait until the group's COMMIT, hence its fsync, has returned.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import apsw

from schemas.outcomes import FhirError, error
from storage import commit
from storage.commit import Position
from storage.operations import Prepared
from storage.versions import Commit

log = logging.getLogger("chartlake.storage")

# Bounds of a group: how long a caller may have to wait for the others' work.
_GROUP_JOBS = 512
_GROUP_OPERATIONS = 5_000

Work = Callable[[apsw.Connection, Position], Any]
Prepare = Callable[[apsw.Connection], None]
Replace = Callable[[apsw.Connection], apsw.Connection]
AfterCommit = Callable[[Position], None]
Also = Callable[[apsw.Connection, Position, Commit], None]


class _Job:
    __slots__ = ("future", "size", "work")

    def __init__(self, work: Work, size: int) -> None:
        self.work = work
        self.size = size
        self.future: Future[Any] = Future()


class _Replacement:
    """The connection's successor: made between two groups, outside any transaction."""

    __slots__ = ("future", "prepare", "replace")

    def __init__(self, prepare: Prepare, replace: Replace) -> None:
        self.prepare = prepare
        self.replace = replace
        self.future: Future[Any] = Future()


class Writer:
    """Runs work on the writing connection in its own thread."""

    def __init__(self, connection: apsw.Connection, after_commit: AfterCommit) -> None:
        """`after_commit` is called, in the writer's thread, before the callers go on."""
        self._connection = connection
        self._after_commit = after_commit
        self.position = _read_position(connection)
        self._jobs: queue.SimpleQueue[_Job | _Replacement | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self._failed: str | None = None
        self._thread = threading.Thread(target=self._run, name="chartlake-writer", daemon=True)
        self._thread.start()

    def transact(
        self,
        operations: Sequence[Prepared],
        cursor: tuple[str, int] | None = None,
        also: Also | None = None,
    ) -> Commit:
        """Store prepared operations; durable on return. Raises FhirError when refused.

        `also` is called with what was stored, in the same transaction.
        """

        def work(connection: apsw.Connection, position: Position) -> Commit:
            stored = commit.apply(connection, position, operations, cursor)
            if also is not None:
                also(connection, position, stored)
            return stored

        found: Commit = self._submit(_Job(work, len(operations)))
        return found

    def run(self, work: Callable[[apsw.Connection], Any]) -> Any:
        """Run other work (no new versions) in a durable transaction and return its result."""
        return self._submit(_Job(lambda connection, _position: work(connection), 1))

    def run_at(self, work: Work) -> Any:
        """Like `run`, for work that also changes what the position counts as hot."""
        return self._submit(_Job(work, 1))

    def begin(self, work: Work) -> Future[Any]:
        """Like `run_at`, without waiting: the future is done when the work is durable."""
        return self._queue(_Job(work, 1))

    def replace_connection(self, prepare: Prepare, replace: Replace) -> None:
        """Go on with another connection: that which `replace` gives for the present one.

        Both run in the writer's thread, with no transaction open, one after the other: where
        `prepare` fails all stays as it was; where `replace` fails nothing is written any more
        until a restart. Raises what they raise.
        """
        self._submit(_Replacement(prepare, replace))

    def close(self) -> None:
        """Finish what is queued and close the connection."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._jobs.put(None)
        self._thread.join()

    def _submit(self, job: _Job | _Replacement) -> Any:
        return self._queue(job).result()

    def _queue(self, job: _Job | _Replacement) -> Future[Any]:
        with self._lock:
            if self._closed:
                raise error("unavailable", "The lake is closed.")
            self._jobs.put(job)
        return job.future

    def _run(self) -> None:
        go_on = True
        while go_on:
            group, after = self._next_group()
            if group:
                self._commit(group)
            if isinstance(after, _Replacement):
                self._replace(after)
            go_on = after is not None
        self._connection.close()

    def _next_group(self) -> tuple[list[_Job], _Replacement | bool | None]:
        """Jobs for one transaction, and what is to follow it: None is the end."""
        group: list[_Job] = []
        size = 0
        job = self._jobs.get()
        while isinstance(job, _Job):
            group.append(job)
            size += job.size
            if len(group) >= _GROUP_JOBS or size >= _GROUP_OPERATIONS:
                return group, True
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return group, True
        return group, job

    def _replace(self, job: _Replacement) -> None:
        try:
            if self._failed is not None:
                raise error("unavailable", self._failed)
            job.prepare(self._connection)
        except BaseException as failure:
            job.future.set_exception(failure)
            return
        try:
            self._connection = job.replace(self._connection)
        except BaseException as failure:
            self._failed = (
                "The lake stopped writing: its database was being put under a new key and "
                f"that failed ({type(failure).__name__}). Restart it; nothing is lost."
            )
            log.error("a new key for the database: %s", type(failure).__name__)
            job.future.set_exception(error("unavailable", self._failed))
            return
        job.future.set_result(None)

    def _commit(self, group: list[_Job]) -> None:
        done: list[tuple[_Job, Any]] = []
        try:
            if self._failed is not None:
                raise error("unavailable", self._failed)
            self._connection.execute("BEGIN IMMEDIATE")
            position = self.position
            for job in group:
                position = self._one(job, position, done)
            _write_counts(self._connection, position.counts)
            position.counts.clear()
            self._connection.execute("COMMIT")
        except BaseException as failure:
            self._give_up(group, failure)
            return
        self.position = position
        try:
            self._after_commit(position)
        except Exception as failure:
            log.error("after a commit: %s", type(failure).__name__)
        for job, result in done:
            job.future.set_result(result)

    def _one(self, job: _Job, position: Position, done: list[tuple[_Job, Any]]) -> Position:
        """Run one job in its savepoint; the position after it, or the same when it was refused."""
        ahead = position.copy()
        self._connection.execute("SAVEPOINT job")
        try:
            result = job.work(self._connection, ahead)
        except (apsw.FullError, apsw.IOError, apsw.CorruptError, apsw.NoMemError):
            # The database itself is in trouble, not this job: no one is to be told "stored".
            raise
        except Exception as failure:
            self._connection.execute("ROLLBACK TO job")
            self._connection.execute("RELEASE job")
            job.future.set_exception(failure)
            return position
        self._connection.execute("RELEASE job")
        done.append((job, result))
        return ahead

    def _give_up(self, group: list[_Job], failure: BaseException) -> None:
        """Nothing of the group was stored, as far as can be known: tell each of its callers."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        if isinstance(failure, apsw.IOError | apsw.CorruptError):
            # After a failed write or fsync it is not known what reached the disk. Going on could
            # number commits that a restart would number otherwise.
            self._failed = (
                f"The lake stopped writing after a disk failure ({type(failure).__name__}). "
                "Check the disk, then restart: what was acknowledged is kept."
            )
        if isinstance(failure, apsw.FullError):
            failure = error("unavailable", "The disk is full; nothing was stored. Make room.")
        elif isinstance(failure, apsw.Error):
            log.error("a commit failed: %s", type(failure).__name__)
            failure = error(
                "unavailable",
                f"The database failed on the commit ({type(failure).__name__}); nothing was "
                "acknowledged. Read before you repeat it.",
            )
        elif not isinstance(failure, FhirError):
            log.error("a commit failed: %s", type(failure).__name__)
        for job in group:
            if not job.future.done():
                job.future.set_exception(failure)


def _read_position(connection: apsw.Connection) -> Position:
    row = connection.execute("SELECT t, instant_us FROM commit_log ORDER BY t DESC LIMIT 1").get
    t, instant_us = row or (0, 0)
    v = connection.execute("SELECT max(v) FROM version").get or 0
    return Position(t, instant_us, v)


def _write_counts(connection: apsw.Connection, counts: Counter[int]) -> None:
    connection.executemany(
        "INSERT INTO resource_count VALUES (?, ?) "
        "ON CONFLICT (type) DO UPDATE SET count = count + excluded.count",
        list(counts.items()),
    )
