"""The status of a job: FHIR's asynchronous request pattern.

https://hl7.org/fhir/R4/async.html, https://hl7.org/fhir/uv/bulkdata/export.html#bulk-data-status-request
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from schemas.outcomes import Issue, error, operation_outcome
from schemas.parse import canonical_bytes
from service.bulk_export.exports import EXPORT
from service.context import Context, Ctx
from service.errors import FHIR_JSON, STATUS
from service.responses import fhir_resource
from storage.jobs import ACCEPTED, CANCELLED, FAILED, Job

router = APIRouter()

RETRY_AFTER_S = 2


@router.get("/_jobs/{id}", summary="state or result of a job")
def job_status(id: str, ctx: Ctx) -> Response:
    """202 with `X-Progress` while it is not finished, then 200 with its result.

    A failed job answers with the status and OperationOutcome of its failure, a cancelled one 404.
    """
    job = _known(ctx, id)
    return without_result(ctx, job) or fhir_resource(ctx.jobs.body(job))


def without_result(ctx: Context, job: Job) -> Response | None:
    """The answer about a job that is not finished, or failed; None for one that has a result."""
    if not job.is_finished:
        headers = {"X-Progress": progress_text(job), "Retry-After": str(RETRY_AFTER_S)}
        return Response(b"", 202, headers)
    if job.state == FAILED:
        return fhir_resource(ctx.jobs.body(job), STATUS[str((job.result or {})["category"])])
    return None


@router.delete("/_jobs/{id}", summary="cancel a job")
def cancel(id: str, ctx: Ctx) -> Response:
    """202 once it is cancelled; 409 when it is finished or can no longer be cancelled."""
    _known(ctx, id)
    ctx.lake.jobs.cancel(id)
    return Response(b"", 202)


def accepted(ctx: Context, request: Request, job: Job, place: str = "_jobs") -> Response:
    """202 and where, below `place`, to ask for the state of a job that was accepted now."""
    url = f"{ctx.base(request)}/{place}/{job.id}"
    text = f"The job {job.id} was accepted; ask {url} for its state."
    body = operation_outcome([Issue("information", "informational", text)])
    headers = {"Content-Location": url, "Retry-After": str(RETRY_AFTER_S)}
    return Response(canonical_bytes(body), 202, headers, media_type=FHIR_JSON)


def progress_text(job: Job) -> str:
    """`X-Progress`: the state in a few words, without anything of a resource."""
    if job.state == ACCEPTED:
        return "accepted"
    text = job.progress.get("text") or job.state
    return str(text).encode("ascii", "replace").decode()[:100]


def _known(ctx: Context, id: str) -> Job:
    job = ctx.lake.jobs.get(id)
    if job.kind == EXPORT:  # They are of who asked for them: see `service.operations.export`.
        raise error("not-found", f"There is no job {job.id}.")
    if job.state == CANCELLED:
        raise error("not-found", f"The job {job.id} was cancelled.")
    return job
