"""Erases as jobs: accepted, run step by step, and taken up again wherever they were interrupted.

Up to the removal (`storage.erase.removal`) nothing has changed and a job may be cancelled. After it
no reader finds what was erased; the steps that follow make every older copy unreadable:

| step | what is gone after it |
|---|---|
| `segments` | the rows in segments: rewritten without them, old keys destroyed, old files deleted |
| `index` | the rows of the search index |
| `patients` | the numbers of patients that no version is of any more |
| `database key` | pages of `hot.db` and its WAL, in older copies too: it has a new file and key |
| `datastore key` | older copies of the key store's entries |
| `key copies` | what registered copies of the key store could open |

Each step may be repeated, and is repeated after a crash in it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

import apsw

from schemas.ids import is_id
from schemas.outcomes import FhirError, error, operation_outcome
from schemas.structure import RESOURCE_TYPES
from storage import audit_trail, jobs
from storage.audit import AuditLog
from storage.audit_change import user
from storage.audit_record import AuditRecord, Entity
from storage.commit import Position
from storage.database import Database
from storage.erase.remnants import Remnants
from storage.erase.removal import FIRST_STEP, Removed, SelectionChanged, remove
from storage.erase.selection import Selector, version_rows
from storage.erase.target import KINDS, PURGE, Target
from storage.flush import Flusher
from storage.jobs import COMPLETED, FAILED, RUNNING, Job, Jobs
from storage.key_copies import KeyCopies
from storage.packed_ids import pack
from storage.segment_store import SegmentStore
from storage.terms import Terms
from storage.version_rows import Bodies
from storage.writer import Writer

log = logging.getLogger("chartlake.erase")

MAX_REASON = 1000
_ATTEMPTS = 10

Key = tuple[str, str]
Listener = Callable[[frozenset[Key]], None]
Stopping = Callable[[], bool]


class Paused(Exception):
    """The job is not finished and will go on: the service stops, or a key copy is out of reach."""


class Eraser:
    """Erases of one lake, one after another."""

    def __init__(
        self,
        database: Database,
        writer: Writer,
        store: SegmentStore,
        terms: Terms,
        bodies: Bodies,
        flusher: Flusher,
        remnants: Remnants,
        key_copies: KeyCopies,
        lake_jobs: Jobs,
        audit: AuditLog,
    ) -> None:
        self._database = database
        self._writer = writer
        self._store = store
        self._terms = terms
        self._bodies = bodies
        self._flusher = flusher
        self._remnants = remnants
        self._key_copies = key_copies
        self._jobs = lake_jobs
        self._audit = audit
        self._one_at_a_time = threading.Lock()
        self.listeners: list[Listener] = []
        self.gate = threading.RLock()

    def accept(self, target: Target, reason: str) -> Job:
        """Accept an erase; durable on return, and nothing is removed yet.

        Raises FhirError: `not-found` (there is nothing of it), `unknown-type`, `value`.
        """
        reason = reason.strip()
        if not reason or len(reason) > MAX_REASON:
            raise error(
                "value", f"An erase needs a reason of 1 to {MAX_REASON} characters.", "reason"
            )
        if not target.keys:
            raise error("required", "Name at least one resource to erase.")
        with self._database.reading() as connection:
            for resource_type, id in target.keys:
                if resource_type not in RESOURCE_TYPES:
                    raise error(
                        "unknown-type", f"{resource_type[:64]!r} is not a resource type of R4."
                    )
                known = is_id(id) and any(
                    version_rows(connection, self._terms, [(resource_type, id)], "1")
                )
                if not known and target.kind == PURGE and is_id(id):
                    # Erased itself before, or never there: what refers to it is its record still.
                    known = bool(
                        connection.execute(
                            "SELECT 1 FROM patient WHERE packed = ?", (pack(id),)
                        ).get
                    )
                if not known:
                    raise error("not-found", f"{resource_type}/{id[:64]} is not known.")
        trail = audit_trail.current()
        agent = trail.agent if trail is not None else f"process:{user()}"
        return self._jobs.add(target.kind, target.request(reason, agent))

    def unfinished(self) -> list[Job]:
        """Erases that were begun or accepted and are not finished."""
        return self._jobs.unfinished(KINDS)

    def run(self, job_id: str, stopping: Stopping = lambda: False) -> Job:
        """Run an accepted erase to its end, or go on with it; the finished job.

        Raises JobCancelled; Paused; FhirError, which ends the job only before the removal.
        """
        with self._one_at_a_time:
            job = self._jobs.get(job_id)
            if job.is_finished:
                return job
            if not job.progress.get(jobs.IRREVOCABLE):
                self._remove(job)
            while not self._step(job_id, stopping):
                pass
            return self._jobs.get(job_id)

    def finish(self, job: Job) -> Job:
        """Run a job here and now; before the removal, a failure ends it and Ctrl-C cancels it.

        Raises FhirError, Paused, KeyboardInterrupt.
        """
        try:
            return self.run(job.id)
        except FhirError as failure:
            if ended(failure, self._jobs.get(job.id)):
                self.fail(job, failure)
            raise
        except KeyboardInterrupt:
            if not self._jobs.get(job.id).progress.get(jobs.IRREVOCABLE):
                self._jobs.cancel(job.id)
            raise

    def _remove(self, job: Job) -> None:
        """Select and remove, again when what is written meanwhile asks for another look."""
        self._jobs.update(job.id, state=RUNNING, progress={"text": "selecting"})
        target = Target.from_request(job.kind, job.request)
        self._remnants.check()
        for _ in range(_ATTEMPTS):
            try:
                removed = self._remove_once(target, job.id)
            except SelectionChanged:
                continue
            for listener in self.listeners:
                listener(removed.keys)
            log.info("job %s: %s versions removed", job.id, removed.result["versions"])
            return
        raise error(
            "conflict",
            "What is to be erased is written to all the time, so nothing was erased. Stop what "
            "writes it, and ask again.",
        )

    def _remove_once(self, target: Target, job_id: str) -> Removed:
        # What is committed after the selection stays hot, where the removal looks for it.
        with self._flusher.paused():
            with self._database.reading() as connection:
                parts = (connection, self._store, self._terms, self._bodies)
                selection = Selector(*parts, target).select()

            def work(connection: apsw.Connection, position: Position) -> Removed:
                removed = remove(connection, position, self._terms, target, selection, job_id)
                job = jobs.read(connection, job_id)
                self._record(connection, position, job, target.named(), position.t)
                return removed

            with self.gate:
                removed: Removed = self._writer.run_at(work)
        return removed

    def _step(self, job_id: str, stopping: Stopping) -> bool:
        """Do the step that a job stands at; True when there is none left."""
        if stopping():
            raise Paused
        progress = self._jobs.get(job_id).progress
        steps = self._steps()
        names = [name for name, _ in steps]
        at = names.index(progress["step"])
        more = steps[at][1](progress)
        progress = {**progress, "result": {**progress["result"], **more}}
        if at + 1 < len(steps):
            progress |= {"step": names[at + 1], "text": f"making unreadable: {names[at + 1]}"}
            self._jobs.update(job_id, progress=progress)
            return False
        self._complete(job_id, progress["result"])
        log.info("job %s: completed", job_id)
        return True

    def _complete(self, job_id: str, result: dict[str, Any]) -> None:
        def work(connection: apsw.Connection, position: Position) -> None:
            jobs.write(
                connection,
                job_id,
                state=COMPLETED,
                progress={jobs.IRREVOCABLE: True},
                result=result,
            )
            job = jobs.read(connection, job_id)
            self._record(connection, position, job, ((), ()), None, done="-completed")

        self._writer.run_at(work)

    def fail(self, job: Job, failure: FhirError) -> None:
        """End a job that has removed nothing, and record that it was asked for in vain."""
        result = {"outcome": operation_outcome(failure.issues), "category": failure.category}
        target = Target.from_request(job.kind, job.request)

        def work(connection: apsw.Connection, position: Position) -> None:
            jobs.write(connection, job.id, state=FAILED, result=result)
            self._record(connection, position, job, target.named(), None, failure=failure.category)

        self._writer.run_at(work)

    def _record(
        self,
        connection: apsw.Connection,
        position: Position,
        job: Job,
        named: tuple[Sequence[Entity], Sequence[str]],
        t: int | None,
        *,
        done: str = "",
        failure: str = "",
    ) -> None:
        """An audit event of a job: what was named when it was asked for, by whom."""
        outcome = 4 if failure else 0
        agent = str(job.request["agent"])
        record = AuditRecord("D", job.kind + done, agent, outcome=outcome, failure=failure)
        position.audit = self._audit.append(
            connection, position.audit, [(part, t) for part in record.about(*named)]
        )

    def _steps(self) -> Sequence[tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]]:
        return (
            (FIRST_STEP, lambda _progress: {"segments": self._remnants.rewrite_segments()}),
            ("index", lambda _progress: self._remnants.remove_index_rows()),
            ("patients", lambda progress: self._remnants.remove_patients(progress["patients"])),
            ("database key", lambda _progress: self._remnants.renew_database_key()),
            ("datastore key", lambda _progress: self._remnants.renew_datastore_key()),
            ("key copies", lambda _progress: self._update_key_copies()),
        )

    def _update_key_copies(self) -> dict[str, Any]:
        failed = self._key_copies.update_all()
        if failed:
            told = "; ".join(f"{folder}: {reason}" for folder, reason in failed.items())
            raise error(
                "unavailable",
                "What was erased is gone from the lake, but these copies of the key store could "
                f"not be brought up to date and still open older backups: {told}. Make them "
                "reachable, or destroy them and take them from the list; the job goes on then.",
            )
        return {"key_copies": self._key_copies.folders()}


def ended(failure: BaseException, job: Job) -> bool:
    """Whether a failure of `run` ends the job: it does until something was removed."""
    return isinstance(failure, FhirError) and not job.progress.get(jobs.IRREVOCABLE)
