"""Erases as jobs of the service: see `storage.erase`."""

from __future__ import annotations

import logging
from typing import Any

from schemas.outcomes import FhirError
from service.jobs import Handler, Interrupted, Postponed, Stopping
from service.operations.parameters import as_parameters
from storage.erase.eraser import Paused, ended
from storage.erase.target import KINDS
from storage.jobs import Job, JobCancelled
from storage.lake import Lake

log = logging.getLogger("chartlake.erase")

RETRY_S = 30.0


def handlers(lake: Lake) -> dict[str, Handler]:
    """The handlers of the kinds of erase."""

    def run(job: Job, stopping: Stopping) -> dict[str, Any]:
        try:
            return lake.eraser.run(job.id, stopping).result or {}
        except (JobCancelled, Paused) as failure:
            raise (Interrupted() if isinstance(failure, Paused) else failure) from None
        except Exception as failure:
            now = lake.jobs.get(job.id)
            if stopping():
                raise Interrupted from None
            if isinstance(failure, FhirError) and ended(failure, now):
                lake.eraser.fail(now, failure)
            if not now.progress.get("irrevocable"):
                raise
            # Something is removed already: the job has to get to its end, however often it takes.
            log.error("job %s is not finished (%s), trying again", job.id, type(failure).__name__)
            told = failure.issues[0].diagnostics if isinstance(failure, FhirError) else ""
            text = f"waiting at: {now.progress['step']}"
            lake.jobs.update(job.id, progress={**now.progress, "text": text, "waiting": told})
            raise Postponed(RETRY_S) from None

    return {kind: Handler(run, result_body) for kind in KINDS}


def result_body(job: Job) -> dict[str, Any]:
    """The result of a completed erase as Parameters."""
    return as_parameters({"job": job.id, **erase_report(job.result or {})})


def erase_report(result: dict[str, Any]) -> dict[str, Any]:
    """The result with the counts by type as lists of `{type, count}`, as FHIR has no maps."""
    report = dict(result)
    report["resources"] = _counts(result.get("resources", {}))
    for name in ("shared", "referring"):
        found = dict(result.get(name, {}))
        found["types"] = _counts(found.get("types", {}))
        report[name] = found
    return report


def _counts(counts: dict[str, int]) -> list[dict[str, Any]]:
    return [{"type": name, "count": count} for name, count in counts.items()]
