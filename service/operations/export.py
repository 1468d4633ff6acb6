"""`$export`: everything, all patients' records, or those of a group, as files.

https://hl7.org/fhir/uv/bulkdata/export.html. What is exported how: `service.bulk_export`.
"""

from __future__ import annotations

import json
from email.utils import format_datetime

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from schemas.outcomes import error
from service.auth import LOCAL_AGENT
from service.bulk_export.exports import manifest
from service.bulk_export.request import GROUP, NDJSON, PATIENT, SYSTEM, read_request
from service.context import Context, Ctx
from service.operations.arguments import Arguments, Given
from service.operations.jobs import accepted, without_result
from service.prefer import preferences
from service.responses import JSON
from storage import audit_trail
from storage.jobs import FAILED

router = APIRouter()

STATEMENT = {"instantiates": ["http://hl7.org/fhir/uv/bulkdata/CapabilityStatement/bulk-data"]}


@router.get("/$export", summary="export everything")
@router.post("/$export", summary="export everything")
def of_system(ctx: Ctx, request: Request, given: Given) -> Response:
    """202 with `Content-Location`: all resources, or those of some types or searches."""
    return _accept(ctx, request, given, SYSTEM)


@router.get("/Patient/$export", summary="export patients' records")
@router.post("/Patient/$export", summary="export patients' records")
def of_patients(ctx: Ctx, request: Request, given: Given) -> Response:
    """202 with `Content-Location`: the records of all patients, or of those named."""
    return _accept(ctx, request, given, PATIENT)


@router.get("/Group/{id}/$export", summary="export the records of a group")
@router.post("/Group/{id}/$export", summary="export the records of a group")
def of_group(id: str, ctx: Ctx, request: Request, given: Given) -> Response:
    """202 with `Content-Location`: the records of the members of a group."""
    return _accept(ctx, request, given, GROUP, id)


def _accept(
    ctx: Context, request: Request, given: Arguments, level: str, group: str | None = None
) -> Response:
    asked = read_request(
        given,
        ctx.lake.at(),
        level=level,
        group=group,
        elements=request.query_params.getlist("_elements"),
        lenient=preferences(request.headers).lenient,
    )
    base = ctx.base(request)
    path = request.url.path.partition("/fhir")[2]
    query = f"?{request.url.query}" if request.url.query and request.method == "GET" else ""
    job = ctx.exports.accept(asked, agent=_agent(), url=f"{base}{path}{query}", base=base)
    ctx.jobs.queue(job)
    return accepted(ctx, request, job, "_export")


@router.get("/_export/{id}", summary="state of an export, or where its files are")
def status(id: str, ctx: Ctx) -> Response:
    """202 with `X-Progress` while it is written, then 200 with the manifest and `Expires`.

    For who asked for the export, and nobody else.
    """
    job = ctx.exports.get(id, _agent())
    pending = without_result(ctx, job)
    if pending is not None:
        return pending
    body = manifest(job, requires_token=bool(ctx.settings.api_token_file))
    headers = {"Expires": format_datetime(ctx.exports.expires(job), usegmt=True)}
    return Response(json.dumps(body), 200, headers, media_type=JSON)


@router.delete("/_export/{id}", summary="cancel an export, or remove its files")
def delete(id: str, ctx: Ctx) -> Response:
    """202; the export is not there afterwards."""
    ctx.exports.delete(id, _agent())
    return Response(b"", 202)


@router.get("/_export/{id}/{file}", summary="a file of an export")
def content(id: str, file: str, ctx: Ctx) -> Response:
    """The file, decrypted on its way. For who asked for the export, and nobody else."""
    job = ctx.exports.get(id, _agent())
    if not job.is_finished or job.state == FAILED:
        raise error("not-found", "This export is not finished, so it has no files.")
    entry, pieces = ctx.exports.content(job, file)
    kind = NDJSON if file.endswith(".ndjson") else str((job.result or {})["format"])
    headers = {"Content-Length": str(entry["bytes"])}
    return StreamingResponse(pieces, 200, headers, media_type=kind)


def _agent() -> str:
    trail = audit_trail.current()
    return trail.agent if trail is not None else LOCAL_AGENT
