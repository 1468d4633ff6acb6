"""`$erase` (one resource, all versions) and `$purge` (a patient's whole record), as jobs.

https://hl7.org/fhir/R4/async.html; $purge: https://hl7.org/fhir/patient-operation-purge.html
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from schemas.outcomes import error
from schemas.parse import parse_resource
from service.context import Context, Ctx, FhirBody, ResourceType
from service.operations.jobs import accepted
from storage.erase.target import ERASE, PURGE, Target

router = APIRouter()

_OPTIONS = {ERASE: "keepDerived", PURGE: "includeShared"}


@router.post("/Patient/{id}/$purge", summary="erase a patient's whole record, for ever")
async def purge(id: str, ctx: Ctx, request: Request, body: FhirBody) -> Response:
    """202 with `Content-Location`; what the Patient compartment holds is erased by a job.

    Parameters: `reason` (string, required; do not name the patient in it), `includeShared`
    (boolean: also what is another patient's record as well). 404 for an unknown patient.
    """
    reason, shared = _parameters(body, PURGE)
    target = Target(PURGE, frozenset({("Patient", id)}), id, shared=shared)
    return await run_in_threadpool(_accept, ctx, request, target, reason)


@router.post("/{resource_type}/{id}/$erase", summary="erase all versions of a resource, for ever")
async def erase(
    resource_type: ResourceType, id: str, ctx: Ctx, request: Request, body: FhirBody
) -> Response:
    """202 with `Content-Location`; all versions are erased by a job.

    With a note goes what the NLP read in it, unless `keepDerived` (boolean). Parameters: `reason`
    (string, required). 404 for what was never there.
    """
    reason, keep_derived = _parameters(body, ERASE)
    target = Target(ERASE, frozenset({(resource_type, id)}), keep_derived=keep_derived)
    return await run_in_threadpool(_accept, ctx, request, target, reason)


def _accept(ctx: Context, request: Request, target: Target, reason: str) -> Response:
    job = ctx.lake.eraser.accept(target, reason)
    ctx.jobs.queue(job)
    return accepted(ctx, request, job)


def _parameters(body: bytes, kind: str) -> tuple[str, bool]:
    """`reason` and the option of an operation. Raises FhirError: what cannot be undone is exact."""
    parameters = parse_resource(body)
    if parameters["resourceType"] != "Parameters":
        raise error("invalid", "The body of this operation is a Parameters resource.")
    values: dict[str, Any] = {}
    option = _OPTIONS[kind]
    types = {"reason": ("valueString", str), option: ("valueBoolean", bool)}
    parts = parameters.get("parameter", [])
    for number, part in enumerate(parts if isinstance(parts, list) else []):
        place = f"Parameters.parameter[{number}]"
        name = part.get("name") if isinstance(part, dict) else None
        if name not in types:
            raise error("value", f"${kind} takes `reason` and `{option}` only.", place)
        member, wanted = types[name]
        if not isinstance(part.get(member), wanted) or name in values:
            raise error("value", f"`{name}` is given once, as {member}.", place)
        values[name] = part[member]
    if "reason" not in values:
        raise error("required", f"${kind} needs a parameter `reason`.", "Parameters.parameter")
    return values["reason"], values.get(option, False)
