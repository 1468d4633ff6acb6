"""Jobs: work that outlasts the request that asked for it, and the process that began it.

A job is a row of `hot.db`, so it is durable before anyone is told that it was accepted, and goes on
after a crash where its `progress` says. Its JSON holds types, ids, counts and a reason. What may be
a value of a resource (the criteria of a search, a patch) stands in the member `VALUES` of `request`
and `progress`, which goes when the job ends, whichever way. https://hl7.org/fhir/R4/async.html
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import apsw

from schemas.outcomes import error
from storage.database import Database
from storage.versions import from_microseconds

ACCEPTED, RUNNING = "accepted", "running"
COMPLETED, FAILED, CANCELLED = "completed", "failed", "cancelled"
FINISHED = (COMPLETED, FAILED, CANCELLED)

IRREVOCABLE = "irrevocable"
"""Member of `progress` of a job that is past the point where it can be cancelled."""

VALUES = "values"
"""Member of `request` and `progress` that is forgotten when the job is finished."""

_COLUMNS = "id, kind, state, request, progress, result, created_us, updated_us"

RunInTransaction = Callable[[Callable[[apsw.Connection], Any]], Any]
Json = dict[str, Any]


class JobCancelled(Exception):
    """The job was cancelled: whoever works on it stops, and leaves nothing behind."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it stood when it was read. `result` is there when it is finished."""

    id: str
    kind: str
    state: str
    request: Json
    progress: Json
    result: Json | None
    created: datetime
    updated: datetime

    @property
    def is_finished(self) -> bool:
        """Completed, failed or cancelled: it will not change any more."""
        return self.state in FINISHED


class Jobs:
    """The jobs of one lake. All methods may be called from many threads."""

    def __init__(self, database: Database, run: RunInTransaction) -> None:
        """`run` runs a function in a durable transaction and returns what it returned."""
        self._database = database
        self._run = run

    def add(self, kind: str, request: Mapping[str, Any]) -> Job:
        """Accept a job; durable on return."""
        id, now_us = str(uuid.uuid4()), time.time_ns() // 1000

        def insert(connection: apsw.Connection) -> Job:
            connection.execute(
                f"INSERT INTO job ({_COLUMNS}) VALUES (?, ?, ?, ?, '{{}}', NULL, ?, ?)",
                (id, kind, ACCEPTED, json.dumps(dict(request)), now_us, now_us),
            )
            return read(connection, id)

        job: Job = self._run(insert)
        return job

    def get(self, id: str) -> Job:
        """One job. Raises FhirError `not-found`."""
        with self._database.reading() as connection:
            return read(connection, id)

    def unfinished(self, kinds: Iterable[str]) -> list[Job]:
        """Accepted and running jobs of these kinds, the oldest first."""
        wanted = list(kinds)
        marks = ", ".join("?" * len(wanted))
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM job WHERE state IN ('{ACCEPTED}', '{RUNNING}') "
                f"AND kind IN ({marks}) ORDER BY created_us, id",
                wanted,
            )
            return [_job(row) for row in rows]

    def finished(self, kind: str) -> list[Job]:
        """Finished jobs of a kind that were not removed, the oldest first."""
        marks = ", ".join("?" * len(FINISHED))
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM job WHERE kind = ? AND state IN ({marks}) "
                "ORDER BY created_us, id",
                (kind, *FINISHED),
            ).fetchall()
        return [_job(row) for row in rows]

    def remove(self, id: str) -> None:
        """Forget a finished job altogether; nothing when there is none, or it is not finished."""
        marks = ", ".join("?" * len(FINISHED))
        self._run(
            lambda connection: connection.execute(
                f"DELETE FROM job WHERE id = ? AND state IN ({marks})", (id, *FINISHED)
            ).fetchall()
        )

    def update(self, id: str, **changes: Any) -> Job:
        """Change a job in a transaction of its own; see `write`."""

        def change(connection: apsw.Connection) -> Job:
            write(connection, id, **changes)
            return read(connection, id)

        job: Job = self._run(change)
        return job

    def cancel(self, id: str) -> Job:
        """Stop a job that is not finished.

        Raises FhirError: `not-found`; `conflict` when it is finished or cannot be undone any more.
        """

        def change(connection: apsw.Connection) -> Job:
            job = read(connection, id)
            if job.state == CANCELLED:
                return job
            if job.is_finished:
                raise error("conflict", f"The job {id} is {job.state}: nothing is left to cancel.")
            if job.progress.get(IRREVOCABLE):
                raise error(
                    "conflict",
                    f"The job {id} is past the point where it can be cancelled: what it removes "
                    "is gone already, and it goes on until no copy can be read.",
                )
            write(connection, id, state=CANCELLED)
            return read(connection, id)

        job: Job = self._run(change)
        return job


def read(connection: apsw.Connection, id: str) -> Job:
    """One job, inside of a transaction. Raises FhirError `not-found`."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM job WHERE id = ?", (id,)).fetchall()
    if not row:
        raise error("not-found", f"There is no job {id[:64]}.")
    return _job(row[0])


def write(
    connection: apsw.Connection,
    id: str,
    *,
    state: str | None = None,
    request: Json | None = None,
    progress: Json | None = None,
    result: Json | None = None,
) -> None:
    """Change a job inside of a transaction; what is None stays as it is.

    Raises JobCancelled when it was cancelled meanwhile, ValueError when it is finished otherwise.
    """
    job = read(connection, id)
    if job.state == CANCELLED:
        raise JobCancelled
    if job.is_finished:
        raise ValueError(f"the job {id} is {job.state}")
    request = job.request if request is None else request
    progress = job.progress if progress is None else progress
    if state in FINISHED:
        request = {name: member for name, member in request.items() if name != VALUES}
        progress = {name: member for name, member in progress.items() if name != VALUES}
    connection.execute(
        "UPDATE job SET state = ?, request = ?, progress = ?, result = ?, updated_us = ? "
        "WHERE id = ?",
        (
            state or job.state,
            json.dumps(request),
            json.dumps(progress),
            None if result is None else json.dumps(result),
            max(time.time_ns() // 1000, 1),
            id,
        ),
    )


def _job(row: Any) -> Job:
    id, kind, state, request, progress, result, created_us, updated_us = row
    return Job(
        id,
        kind,
        state,
        json.loads(request),
        json.loads(progress),
        None if result is None else json.loads(result),
        from_microseconds(created_us),
        from_microseconds(updated_us),
    )
