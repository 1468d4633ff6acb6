"""What the NLP finds: `$nlp` on a stored note, and `POST /nlp/annotate` on any text."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from schemas.outcomes import error
from service.context import Ctx
from service.note_text import text_of
from service.operations.parameters import as_parameters
from service.request_body import media_type, read_limited
from service.responses import fhir_resource

router = APIRouter()
plain_router = APIRouter()

MAX_WAIT_S = 60


Wait = Annotated[int, Query(ge=0, le=MAX_WAIT_S, description="Seconds to wait for the reading.")]


@router.get("/DocumentReference/{id}/$nlp", summary="what was found in a stored note")
def note_findings(id: str, ctx: Ctx, wait: Wait = 0) -> Response:
    """State of the note's reading, the mentions in its text, and the resources made of them.

    `state` is pending, done, failed (with the `reason`), unread (no readable text) or off.
    """
    return fhir_resource(as_parameters(plain_findings(id, ctx, wait)))


@plain_router.get("/notes/{id}/findings", summary="the same as plain JSON")
def plain_findings(id: str, ctx: Ctx, wait: Wait = 0) -> dict[str, Any]:
    """What `$nlp` tells, as a JSON object for scripts and notebooks."""
    return ctx.enricher.findings(ctx.lake.read("DocumentReference", id), wait_s=wait)


@plain_router.post("/nlp/annotate", summary="read a text without storing anything")
async def annotate(request: Request, ctx: Ctx) -> dict[str, Any]:
    """Mentions of a `text/plain` body; spans are code points of the text as sent."""
    kind, charset = media_type(request.headers.get("content-type"))
    if kind != "text/plain":
        raise error("unsupported-media", "Send the note as text/plain.")
    body = await read_limited(request, ctx.settings.max_note_bytes)
    text = text_of(body, charset)
    return {**await ctx.enricher.annotate(text), "pipeline": ctx.enricher.pipeline}
