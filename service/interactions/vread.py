"""FHIR vread (R4 http.html#vread)."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from schemas.outcomes import error
from service.as_of import At, parse_at, view_at
from service.conditional_read import unchanged
from service.context import Ctx, ResourceType
from service.prefer import refuse_unknown
from service.responses import fhir_bytes, version_headers
from service.whole_number import whole_number

router = APIRouter()


@router.get("/{resource_type}/{id}/_history/{version_id}", summary="vread")
def vread(
    resource_type: ResourceType,
    id: str,
    version_id: str,
    ctx: Ctx,
    request: Request,
    at: At = None,
) -> Response:
    """One version that was there `at`, current or not; 410 when that version is a deletion."""
    refuse_unknown(request)
    number = whole_number(version_id)
    if number is None:
        raise error("not-found", f"{resource_type} versions are whole numbers from 1.")
    with view_at(ctx.lake, parse_at(at)) as (view, said):
        version = view.vread(resource_type, id, number)
    if version.deleted:
        raise error("deleted", f"Version {number} of this {resource_type} is its deletion.")
    headers = {**version_headers(version), **said.headers}
    same = unchanged(request, version, headers)
    return same or fhir_bytes(version.body, 200, **headers)
