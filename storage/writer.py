"""The one writer: transactions of many threads, numbered one after another, in one fsync.

The transactions of a group are checked one by one and stored together; one that is refused has
added nothing and harms no other. Other work has a SAVEPOINT of its own. The callers wait until the
group's COMMIT, hence its fsync, has returned. Between groups the writer empties the queue of index
rows (`storage.index_queue`).
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

import apsw

from schemas.outcomes import FhirError, error
from storage import commit
from storage.audit_references import QUEUED, AuditReferences
from storage.checkpoints import Checkpoints
from storage.commit import Position
from storage.commit_batch import CommitBatch
from storage.disk_failures import concerns_disk, is_beyond_repair, naming_damage, refusal, stopped
from storage.elsewhere import Published
from storage.index_queue import QUEUED_VERSIONS, IndexQueue
from storage.operations import Prepared
from storage.recent_versions import Guard, OvertakenError, RecentVersions
from storage.versions import Commit
from storage.writer_jobs import Also, Job

log = logging.getLogger("chartlake.storage")

# Bounds of a group: how long a caller may have to wait for the others' work.
_GROUP_JOBS = 512
_GROUP_OPERATIONS = 5_000

# How long the callers of the last group are waited for, as a part of how long its COMMIT took, and
# at most: they come back within that time, or with the next group.
_TARRY = 0.5
_TARRY_S = 0.002

# How long there is nothing else to do before the index queue is emptied, short as it may be.
_IDLE_S = 0.02

# The longest that rows wait for the index: processes that only read wait for them.
_LAG_S = 0.5

# After the disk was full, before the index queue is tried again.
_RETRY_S = 1.0

Work = Callable[[apsw.Connection, Position], Any]
Prepare = Callable[[apsw.Connection], None]
Replace = Callable[[apsw.Connection], apsw.Connection]
AfterCommit = Callable[[Position], None]


class Writer:
    """Runs work on the writing connection in its own thread."""

    def __init__(self, connection: apsw.Connection, after_commit: AfterCommit) -> None:
        """`after_commit` is called, in the writer's thread, before the callers go on."""
        self._after_commit = after_commit
        with naming_damage():
            self.position = _read_position(connection)
            self.recent = RecentVersions(self.position.t)
            self._take_up(connection)
        self._emptying: Iterator[None] | None = None
        self._empty_after = 0.0
        self._waiting_since = 0.0
        self._expected, self._expected_until = 0, 0.0
        self.indexed_t = 0
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._held: Job | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._failed: str | None = None
        self.published: Published | None = None
        """Where other processes are told how far this one is."""
        self._note_indexed()
        self._thread = threading.Thread(target=self._run, name="chartlake-writer", daemon=True)
        self._thread.start()

    def transact(
        self,
        operations: Sequence[Prepared],
        cursor: tuple[str, int] | None = None,
        also: Also | None = None,
        guards: Sequence[Guard] = (),
    ) -> Commit:
        """Store prepared operations; durable on return. Raises FhirError when refused.

        `also` is called with what is about to be stored, to add to it. `guards`: what the
        operations were decided by; `OvertakenError` when that may have changed.
        """
        job = Job(operations=operations, cursor=cursor, also=also, guards=guards)
        found: Commit = self._submit(job)
        return found

    def begin_transact(
        self,
        operations: Sequence[Prepared],
        also: Also | None = None,
        guards: Sequence[Guard] = (),
    ) -> Future[Commit]:
        """`transact` without waiting: the future is done when it is durable, or refused."""
        future: Future[Commit] = Future()
        # Who waits may give up; the work is done all the same.
        future.set_running_or_notify_cancel()
        self._put(Job(operations=operations, also=also, guards=guards, future=future))
        return future

    def run(
        self,
        work: Callable[[apsw.Connection], Any],
        *,
        index: bool = True,
        durable: bool = True,
    ) -> Any:
        """Run other work (no new versions) in a durable transaction and return its result.

        `index`: the work needs the search index, or what may be waiting for it; the queue is empty
        then. Work that touches neither is done sooner without. Not `durable`: a crash may undo it,
        as long as nothing durable was done after it.
        """

        def run(connection: apsw.Connection, _position: Position) -> Any:
            return work(connection)

        return self._submit(Job(work=run, index=index, durable=durable))

    def run_at(self, work: Work) -> Any:
        """Like `run`, for work that also changes what the position counts as hot."""
        return self._submit(Job(work=work, index=True))

    def index_all(self) -> None:
        """Return when all that was committed before is in the search index."""
        self._submit(Job(alone=lambda: None))

    def begin(self, work: Work) -> Future[Any]:
        """Like `run(index=False)`, without waiting: the future is done when it is durable."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        self._put(Job(work=work, future=future))
        return future

    def replace_connection(self, prepare: Prepare, replace: Replace) -> None:
        """Go on with another connection: that which `replace` gives for the present one.

        Both run in the writer's thread, with no transaction open, one after the other: where
        `prepare` fails all stays as it was; where `replace` fails nothing is written any more
        until a restart. Raises what they raise.
        """
        self._submit(Job(alone=lambda: self._replace(prepare, replace)))

    @property
    def failure(self) -> str | None:
        """Why nothing can be stored any more; None as long as all is well."""
        return self._failed

    def close(self) -> None:
        """Finish what is queued and close the connection."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._jobs.put(None)
        self._thread.join()

    def _submit(self, job: Job) -> Any:
        self._put(job)
        return job.wait()

    def _put(self, job: Job) -> None:
        with self._lock:
            if self._closed:
                raise error("unavailable", "The lake is closed.")
            self._jobs.put(job)

    # In the writer's thread

    def _take_up(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._batch = CommitBatch(connection)
        self._index = IndexQueue(connection)
        self._references = AuditReferences(connection)
        self._checkpoints = Checkpoints(connection)

    def _run(self) -> None:
        last = False
        while not last:
            group, last = self._next_group()
            if group and group[0].index:
                self._commit_indexed(group)
            elif group:
                self._commit(group)
            self._empty_some(idle=not group)
            self._checkpoint()
        with contextlib.suppress(apsw.Error, FhirError):
            self._empty_all()
            while self._references.waits:
                self._references.store_some()
        self._connection.close()

    def _next_group(self) -> tuple[list[Job], bool]:
        """Jobs for one COMMIT, none when there is time for the index; and whether it is the end."""
        group: list[Job] = []
        size = 0
        job, self._held = self._held, None
        if job is None:
            try:
                job = self._jobs.get(timeout=self._patience())
            except queue.Empty:
                return group, False
        while job is not None:
            if job.index and group:
                self._held = job
                return group, False
            group.append(job)
            size += job.size
            if job.index or len(group) >= _GROUP_JOBS or size >= _GROUP_OPERATIONS:
                return group, False
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                wait = self._expected_until - time.monotonic()
                if len(group) >= self._expected or wait <= 0:
                    return group, False
                # An fsync costs more than to wait for who is about to ask for another.
                try:
                    job = self._jobs.get(timeout=wait)
                except queue.Empty:
                    return group, False
        return group, True

    def _patience(self) -> float | None:
        """Seconds to wait for a job; None: there is nothing else to do."""
        if self._failed is not None or not (self._index or self._references.waits):
            return None
        wait = self._empty_after - time.monotonic()
        if wait > 0:
            return wait
        return 0 if self._emptying is not None else _IDLE_S

    def _commit_indexed(self, group: list[Job]) -> None:
        """One job that finds all index rows in the index."""
        job = group[0]
        try:
            self._empty_all()
            if job.alone is not None:
                job.alone()
        except Exception as failure:
            job.fail(self._told(failure))
            return
        if job.alone is not None:
            job.succeed(None)
        else:
            self._commit(group)

    def _replace(self, prepare: Prepare, replace: Replace) -> None:
        prepare(self._connection)
        try:
            self._take_up(replace(self._connection))
        except Exception as failure:
            self._failed = (
                "The lake stopped writing: its database was being put under a new key and "
                f"that failed ({type(failure).__name__}). Restart it; nothing is lost."
            )
            log.error("a new key for the database: %s", type(failure).__name__)
            raise error("unavailable", self._failed) from None

    def _commit(self, group: list[Job]) -> None:
        if self._failed is not None:
            self._refuse(group, error("unavailable", self._failed))
            return
        connection, batch = self._connection, self._batch
        position = self.position.copy()
        outcomes: list[tuple[Job, Any, Exception | None]] = []
        durable = any(job.durable for job in group)
        try:
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            connection.execute("BEGIN IMMEDIATE")
            batch.look_up(operation for job in group for operation in job.operations)
            for job in group:
                if job.work is not None:
                    position = self._run_work(job, job.work, position, outcomes)
                    continue
                try:
                    self.recent.check(job.guards, batch.fresh)
                    made = commit.apply(connection, batch, position, job.operations, job.cursor)
                except (FhirError, OvertakenError) as refused:
                    outcomes.append((job, None, refused))
                else:
                    if job.also is not None:
                        job.also(batch, position, made)
                    outcomes.append((job, made, None))
            batch.write()
            _write_counts(connection, position.counts)
            position.counts.clear()
            began = time.monotonic()
            connection.execute("COMMIT")
            ended = time.monotonic()
        except Exception as failure:
            self._give_up(group, failure)
            return
        if not self._index:
            self._waiting_since = time.monotonic()
        self._index.extend(batch.unindexed)
        if position.audit is not None and position.audit != self.position.audit:
            references = batch.audit_references + position.audit_references
            self._references.add(references, position.audit.n)
            position.audit_references.clear()
        if group[0].index and position.t > self.position.t:
            # An erase (its group has nothing else): nobody may store what was made of something
            # that it took out. Or a bulk commit, of too many versions to be remembered singly.
            self.recent.forget(position.t)
            if self.published is not None:
                self.published.erased(position.t)
        if self.published is not None:
            self.published.touch(batch.fresh.resources, position.t)
        self.recent.add(batch.fresh)
        batch.next_group()
        self.position = position
        self._note_indexed()
        try:
            self._after_commit(position)
        except Exception as failure:
            log.error("after a commit: %s", type(failure).__name__)
        self._expected = len(group) + self._jobs.qsize()
        self._expected_until = time.monotonic() + min((ended - began) * _TARRY, _TARRY_S)
        for job, made, failed in outcomes:
            if failed is None:
                job.succeed(made)
            else:
                job.fail(failed)

    def _run_work(
        self,
        job: Job,
        work: Work,
        position: Position,
        outcomes: list[tuple[Job, Any, Exception | None]],
    ) -> Position:
        """Run work in its savepoint; the position after it, or the same when it failed."""
        connection, batch = self._connection, self._batch
        batch.write()
        ahead = position.copy()
        connection.execute("SAVEPOINT job")
        try:
            made = work(connection, ahead)
        except Exception as failure:
            if isinstance(failure, apsw.Error) and concerns_disk(failure):
                # The database itself is in trouble, not this job: no one is to be told "stored".
                raise
            connection.execute("ROLLBACK TO job")
            connection.execute("RELEASE job")
            outcomes.append((job, None, failure))
            return position
        connection.execute("RELEASE job")
        if job.index:
            batch.forget()
        outcomes.append((job, made, None))
        return ahead

    def _give_up(self, group: list[Job], failure: Exception) -> None:
        """Nothing of the group was stored, as far as can be known: tell each of its callers."""
        self._roll_back()
        if not isinstance(failure, apsw.Error) and len(group) > 1:
            # One of them is at fault, and not the disk: the others shall not suffer from it.
            for job in group:
                self._commit([job])
            return
        self._refuse(group, self._told(failure))

    def _roll_back(self) -> None:
        self._batch.forget()
        if self._connection.in_transaction:
            with contextlib.suppress(apsw.Error):
                self._connection.execute("ROLLBACK")

    def _told(self, failure: Exception) -> Exception:
        """What a caller is told; after a failure of the disk, nothing is stored from here on."""
        if isinstance(failure, FhirError):
            return failure
        log.error("the writer met %s", type(failure).__name__)
        if not isinstance(failure, apsw.Error):
            return failure
        if self._failed is None and is_beyond_repair(failure):
            self._failed = stopped(failure)
            log.error("%s", self._failed)
        return refusal(failure)

    def _refuse(self, group: list[Job], failure: Exception) -> None:
        for job in group:
            job.fail(failure)

    def _empty_some(self, *, idle: bool) -> None:
        """A step of emptying the index queue, when it is long or there is nothing else to do."""
        if self._failed is not None or time.monotonic() < self._empty_after:
            return
        if len(self._references) >= QUEUED:
            # Under a load the index has always something to do: they must not wait for its end.
            self._store_references(idle=False)
            if time.monotonic() < self._empty_after:
                return
        if self._emptying is None:
            late = time.monotonic() - self._waiting_since > _LAG_S
            if not self._index or not (idle or late or len(self._index) >= QUEUED_VERSIONS):
                self._store_references(idle=idle)
                return
            self._emptying = self._index.empty()
        try:
            if next(self._emptying, self) is self:
                self._emptying = None
                self._waiting_since = time.monotonic()
                self._note_indexed()
        except Exception as failure:
            self._index_failed(failure)

    def _store_references(self, *, idle: bool) -> None:
        """Store some of what audit events are found by, under the same conditions."""
        if not (len(self._references) >= QUEUED or (idle and self._references.waits)):
            return
        try:
            self._references.store_some()
        except Exception as failure:
            self._index_failed(failure)

    def _empty_all(self) -> None:
        """Empty the index queue. Raises what keeps it from being emptied."""
        if self._failed is not None:
            raise error("unavailable", self._failed)
        while self._index:
            steps = self._emptying or self._index.empty()
            self._emptying = steps
            try:
                for _ in steps:
                    pass
            except Exception as failure:
                self._index_failed(failure)
                raise
            self._emptying = None
        self._note_indexed()

    def _index_failed(self, failure: Exception) -> None:
        """Try again later: what waits is durable, and a search says that it cannot be answered."""
        self._emptying = None
        self._roll_back()
        self._told(failure)
        self._empty_after = time.monotonic() + _RETRY_S

    def _checkpoint(self) -> None:
        if self._failed is None:
            try:
                self._checkpoints.run_if_due()
            except apsw.Error as failure:
                self._told(failure)

    def _note_indexed(self) -> None:
        if not self._index:
            self.indexed_t = self.position.t
            if self.published is not None:
                self.published.indexed(self.indexed_t)


def _read_position(connection: apsw.Connection) -> Position:
    row = connection.execute("SELECT t, instant_us FROM commit_log ORDER BY t DESC LIMIT 1").get
    t, instant_us = row or (0, 0)
    v = connection.execute("SELECT max(v) FROM version").get or 0
    # No `v` is given twice: the greatest one may have been erased.
    erased = connection.execute("SELECT value FROM lake WHERE name = 'last_v'").get
    return Position(t, instant_us, max(v, int(erased or 0)))


def _write_counts(connection: apsw.Connection, counts: Counter[int]) -> None:
    connection.executemany(
        "INSERT INTO resource_count VALUES (?, ?) "
        "ON CONFLICT (type) DO UPDATE SET count = count + excluded.count",
        list(counts.items()),
    )
