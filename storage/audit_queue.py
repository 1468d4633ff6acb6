"""Records of accesses on their way to the disk: those that arrive together share one fsync."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any

import apsw

from storage.audit import AuditLog
from storage.audit_record import AuditRecord
from storage.commit import Position
from storage.writer import Writer

log = logging.getLogger("chartlake.audit")

BATCH_S = 0.1
"""How long a record may wait that is not written before the answer."""

_MAX_WAITING = 10_000


Pull = Callable[[], list[AuditRecord]]
"""Gives what is waiting; called once, by the job that appends it."""

Begin = Callable[[Pull], Future[Any]]
"""Begins a job that appends what is waiting; the future is done when it is durable."""


def into_log(writer: Writer, audit: AuditLog) -> Begin:
    """Append to the audit log itself, in the writer's next transaction."""

    def begin(pull: Pull) -> Future[Any]:
        def append(connection: apsw.Connection, position: Position) -> None:
            records = [(record, None) for record in pull()]
            position.audit = audit.append(
                connection, position.audit, records, position.audit_references
            )

        return writer.begin(append)

    return begin


class AuditQueue:
    """Collects records until a job takes them, all at once."""

    def __init__(self, begin: Begin) -> None:
        """`begin`: `into_log`, or `AuditSpool.begin` in a process that only reads."""
        self._begin_job = begin
        # Reentrant: a job that the writer refuses at once ends while it is being begun.
        self._lock = threading.RLock()
        self._waiting: list[tuple[AuditRecord, bool]] = []
        self._job: Future[Any] | None = None
        self._timer: threading.Timer | None = None
        self._failing = False

    def add(self, records: Iterable[AuditRecord], *, durable: bool = True) -> Future[Any]:
        """Have records appended. The future is done when they are on the disk, or has failed.

        Not `durable`: it is done at once, and the records follow within `BATCH_S`. When that
        failed they are kept, and every call waits and fails until they could be written: who
        cannot be recorded is given nothing.
        """
        with self._lock:
            self._waiting += [(record, durable) for record in records]
            if durable or self._failing or len(self._waiting) > _MAX_WAITING:
                return self._begin()
            if self._timer is None and self._job is None:
                self._timer = threading.Timer(BATCH_S, self._timed)
                self._timer.daemon = True
                self._timer.start()
        later: Future[Any] = Future()
        later.set_result(None)
        return later

    def close(self) -> None:
        """Write what is waiting. Raises FhirError when that fails."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            job = self._begin() if self._waiting else None
        if job is not None:
            job.result()

    def _begin(self) -> Future[Any]:
        """The job that will take what is waiting; under the lock."""
        if self._job is not None:
            return self._job
        taken: list[tuple[AuditRecord, bool]] = []

        def pull() -> list[AuditRecord]:
            with self._lock:
                taken.extend(self._waiting)
                self._waiting = []
                self._job = None
            return [record for record, _ in taken]

        job = self._begin_job(pull)
        self._job = job
        job.add_done_callback(lambda done: self._ended(done, taken))
        return job

    def _ended(self, job: Future[Any], taken: list[tuple[AuditRecord, bool]]) -> None:
        failure = job.exception()
        with self._lock:
            if self._job is job:  # It failed before it could take anything.
                self._job = None
                taken, self._waiting = self._waiting, []
            self._failing = failure is not None
            if failure is not None:
                # The callers of the others were told that theirs failed.
                self._waiting = [one for one in taken if not one[1]] + self._waiting
        if failure is not None:
            log.error("accesses could not be recorded: %s", type(failure).__name__)

    def _timed(self) -> None:
        with self._lock:
            self._timer = None
            if self._waiting:
                self._begin()
