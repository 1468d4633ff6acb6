"""The queue of notes: how far it is, what could not be read, and reading again."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from service.context import Ctx
from service.dead_letters import chosen, listed

router = APIRouter()
writing_router = APIRouter()


@router.get("/nlp/queue", summary="how far the reading of notes is")
def queue(ctx: Ctx) -> dict[str, Any]:
    """Unread notes, those to be read again, counts since the start, rates of the last minute."""
    return ctx.enricher.figures()


@router.get("/nlp/failures", summary="notes that could not be read")
def failures(ctx: Ctx) -> dict[str, Any]:
    """Each with its version, the time and the reason; they stay listed until they are read."""
    return {"failures": listed(ctx.lake)}


@writing_router.post("/nlp/retry", summary="read again what could not be read", status_code=202)
def retry(
    ctx: Ctx,
    note: Annotated[list[str] | None, Query(description="Id of a note; may be repeated.")] = None,
) -> dict[str, Any]:
    """The notes named, or all that could not be read, after those that arrive meanwhile."""
    ctx.enricher.require()
    return {"retrying": ctx.enricher.retry(chosen(ctx.lake, note or []))}


@writing_router.post("/nlp/reread", summary="read all notes again", status_code=202)
def reread(ctx: Ctx) -> dict[str, Any]:
    """With the pipeline of today: what it finds supersedes what an older one found."""
    return {"rereading": ctx.enricher.reread()}
