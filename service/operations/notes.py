"""`POST /notes?patient=…`: a plain text note becomes a DocumentReference."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from schemas.ids import is_id
from schemas.outcomes import error
from service.context import Context, Ctx
from service.note_text import document_reference, text_of
from service.request_body import media_type, read_limited
from service.responses import write_response

router = APIRouter()


@router.post("/notes", summary="store a plain text note", status_code=201)
async def post_note(
    request: Request,
    ctx: Ctx,
    patient: Annotated[str, Query(description="Id of the patient.")],
    encounter: Annotated[str | None, Query(description="Id of the encounter.")] = None,
    date: Annotated[str | None, Query(description="When it was written (instant).")] = None,
    type: Annotated[str | None, Query(description="LOINC code of the kind of note.")] = None,
    title: Annotated[str | None, Query(description="Title of the note.")] = None,
) -> Response:
    """Store the body as a note of the patient; the NLP reads it at once (see `$nlp`)."""
    kind, charset = media_type(request.headers.get("content-type"))
    if kind != "text/plain":
        raise error(
            "unsupported-media",
            f"Content-Type {kind or '(none)'} is not accepted; send text/plain.",
        )
    body = await read_limited(request, ctx.settings.max_note_bytes)
    text = text_of(body, charset)
    patient_id = patient.removeprefix("Patient/")
    if not is_id(patient_id):
        raise error("value", "patient is not a FHIR id.", "DocumentReference.subject")
    if encounter is not None and not is_id(encounter.removeprefix("Encounter/")):
        raise error(
            "value", "encounter is not a FHIR id.", "DocumentReference.context.encounter[0]"
        )
    resource = document_reference(
        text,
        patient=patient_id,
        encounter=encounter.removeprefix("Encounter/") if encounter else None,
        date=date,
        type_code=type,
        title=title,
    )
    return await run_in_threadpool(_store, ctx, resource, request)


def _store(ctx: Context, resource: dict[str, Any], request: Request) -> Response:
    encounters = resource.get("context", {}).get("encounter", [])
    if encounters:
        ctx.ingest.require(encounters[0]["reference"], "DocumentReference.context.encounter[0]")
    created = ctx.ingest.create(resource)
    return write_response(
        created.stored,
        request,
        ctx.base(request),
        created=True,
        issues=[*created.issues, *created.advice],
    )
