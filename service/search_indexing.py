"""Search parameters that were added, indexed as jobs of the service: see `storage`."""

from __future__ import annotations

from typing import Any

from schemas.outcomes import Issue, operation_outcome
from service.jobs import Handler, Interrupted, JobRunner, Stopping
from storage.index_definitions import IndexStopped
from storage.jobs import Job
from storage.lake import Lake
from storage.search_definitions import KIND


def handlers(lake: Lake) -> dict[str, Handler]:
    """What indexes by added search parameters."""

    def run(job: Job, stopping: Stopping) -> dict[str, Any]:
        try:
            return lake.index_definitions(job, stopping)
        except IndexStopped:
            raise Interrupted from None

    return {KIND: Handler(run, result_body)}


def result_body(job: Job) -> dict[str, Any]:
    """What was indexed, as an OperationOutcome."""
    result = job.result or {}
    names = ", ".join(f"SearchParameter/{id}" for id in result.get("parameters", ()))
    said = (
        f"{result.get('versions', 0):,} versions were indexed; searches by "
        f"{names or 'what was added'} are answered."
    )
    return operation_outcome([Issue("information", "informational", said)])


def follow(lake: Lake, jobs: JobRunner) -> None:
    """Index by whatever is added from now on, and what an earlier process left."""

    def accept() -> None:
        job = lake.accept_indexing()
        if job is not None:
            jobs.queue(job)

    lake.on_definitions.append(accept)
    accept()
