"""The job runner: one thread that works off the lake's jobs, and goes on with them after a restart.

A kind of job has one handler. It is called again for a job that a stop or a crash interrupted, so
it must get to the same end from wherever the job's `progress` says that it stands.
"""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from schemas.outcomes import FhirError, operation_outcome
from service.errors import unexpected
from storage.jobs import CANCELLED, COMPLETED, FAILED, RUNNING, Job, JobCancelled, Jobs

log = logging.getLogger("chartlake.jobs")

# How often a handler that fails for no reason of the request's is tried, and after what pause.
_RETRY_S = 30.0


class Postponed(Exception):
    """Raised by a handler: the job cannot be finished now; try it again after `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


Stopping = Callable[[], bool]
"""Whether the service stops: a handler should then return to where it can go on from, and raise."""


class Interrupted(Exception):
    """Raised by a handler because the service stops; the job goes on after the next start."""


Run = Callable[[Job, Stopping], dict[str, Any]]


@dataclass(frozen=True)
class Handler:
    """What does the jobs of a kind, and how its result is told as a FHIR resource.

    `run` returns the result (JSON) or raises FhirError (the job failed), `Postponed` or
    `Interrupted`. `finished(job)` is called once a job is completed or has failed; `cancelled(job)`
    when it was cancelled while it waited for its next turn, so that `run` is not called any more.
    """

    run: Run
    body: Callable[[Job], dict[str, Any]]
    finished: Callable[[Job], None] = lambda _job: None
    cancelled: Callable[[Job], None] = lambda _job: None


class JobRunner:
    """Runs the jobs of one lake, one after another."""

    def __init__(self, jobs: Jobs, handlers: Mapping[str, Handler]) -> None:
        """Nothing runs until `start`."""
        self.jobs = jobs
        self.handlers = handlers
        self._due: list[tuple[float, str]] = []
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Take up what is unfinished, then what is submitted."""
        if self._thread is None:
            for job in self.jobs.unfinished(self.handlers):
                self._queue(job.id, 0.0)
            self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop after the step in hand; the job goes on after the next start."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=60)

    def queue(self, job: Job) -> None:
        """Run an accepted job when those before it are done."""
        self._queue(job.id, 0.0)

    def body(self, job: Job) -> dict[str, Any]:
        """The result of a finished job as a resource."""
        if job.state == FAILED:
            return dict((job.result or {})["outcome"])
        return self.handlers[job.kind].body(job)

    def _queue(self, id: str, pause_s: float) -> None:
        with self._changed:
            heapq.heappush(self._due, (time.monotonic() + pause_s, id))
            self._changed.notify_all()

    def _next(self) -> str | None:
        with self._changed:
            while not self._stopping.is_set():
                pause_s = self._due[0][0] - time.monotonic() if self._due else None
                if pause_s is not None and pause_s <= 0:
                    return heapq.heappop(self._due)[1]
                self._changed.wait(pause_s)
        return None

    def _run(self) -> None:
        while (id := self._next()) is not None:
            try:
                self._one(id)
            except Exception as failure:
                # The lake itself refuses (a full disk): the job stays, and is tried again.
                if not self._stopping.is_set():
                    log.error("a job is put off (%s)", type(failure).__name__)
                    self._queue(id, _RETRY_S)

    def _one(self, id: str) -> None:
        job = self.jobs.get(id)
        handler = self.handlers[job.kind]
        if job.state == CANCELLED:
            handler.cancelled(job)
        if job.is_finished:
            return
        try:
            job = self.jobs.update(id, state=RUNNING)
            result = handler.run(job, self._stopping.is_set)
            job = self.jobs.get(id)
            if not job.is_finished:
                job = self.jobs.update(id, state=COMPLETED, result=result)
        except JobCancelled:
            return
        except Interrupted:
            return
        except Postponed as pause:
            self._queue(id, pause.seconds)
            return
        except FhirError as failure:
            job = self._failed(id, failure)
        except Exception as failure:
            if self._stopping.is_set():
                return
            job = self._failed(id, unexpected(failure))
        handler.finished(job)

    def _failed(self, id: str, failure: FhirError) -> Job:
        job = self.jobs.get(id)
        if job.is_finished:
            return job  # The handler has ended it itself.
        result = {"outcome": operation_outcome(failure.issues), "category": failure.category}
        return self.jobs.update(id, state=FAILED, result=result)
