"""`Patient/$timeline`: what happened to a patient, record and notes together, in clinical order."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from schemas.dates import date_range
from schemas.outcomes import error
from schemas.parse import canonical_bytes
from schemas.structure import RESOURCE_TYPES
from service.as_of import At, parse_at, view_at
from service.context import Context, Ctx
from service.notices import Notice
from service.operations.parameters import as_parameters
from service.responses import fhir_bytes

router = APIRouter()
plain_router = APIRouter()

Types = Annotated[str | None, Query(description="Resource types, comma-separated.")]
Since = Annotated[str | None, Query(description="First date (FHIR date or dateTime).")]
Until = Annotated[str | None, Query(description="Last date (FHIR date or dateTime).")]


@router.get("/Patient/{id}/$timeline", summary="a patient's timeline as FHIR Parameters")
def timeline(
    id: str,
    ctx: Ctx,
    at: At = None,
    types: Types = None,
    since: Since = None,
    until: Until = None,
) -> Response:
    """Parameters with one `event` per fact; undated facts come last."""
    events, said = events_of(ctx, id, at, types, since, until)
    answer = as_parameters({"event": events, "outcome": said.outcome})
    return fhir_bytes(canonical_bytes(answer), 200, **said.headers)


@plain_router.get("/patients/{id}/timeline", summary="a patient's timeline as plain JSON")
def plain_timeline(
    id: str,
    ctx: Ctx,
    response: Response,
    at: At = None,
    types: Types = None,
    since: Since = None,
    until: Until = None,
) -> list[dict[str, Any]]:
    """The same events as a JSON array, for notebooks and scripts."""
    events, said = events_of(ctx, id, at, types, since, until)
    response.headers.update(said.headers)
    return events


def events_of(
    ctx: Context,
    id: str,
    at: list[str] | None,
    types: str | None,
    since: str | None,
    until: str | None,
) -> tuple[list[dict[str, Any]], Notice]:
    """Timeline events as JSON objects, and what is to be said of them.

    Raises `FhirError` for a bad filter, unknown patient.
    """
    wanted = tuple(part.strip() for part in types.split(",")) if types else None
    for name in wanted or ():
        if name not in RESOURCE_TYPES:
            raise error("value", f"{name[:64]!r} is not a resource type of FHIR R4.", "types")
    for name, text in (("since", since), ("until", until)):
        if text is not None:
            try:
                date_range(text)
            except ValueError:
                raise error("value", f"{name} is not a FHIR date or dateTime.", name) from None
    with view_at(ctx.lake, parse_at(at)) as (view, said):
        events = view.timeline(id, types=wanted, since=since, until=until)
    return [event.to_dict() for event in events], said
