"""FHIR update (R4 http.html#update), create under the client's id included."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.context import Context, Ctx, FhirBody, ResourceType
from service.ingest import parse_if_match
from service.responses import write_response

router = APIRouter()


@router.put("/{resource_type}/{id}", summary="update")
def update(
    resource_type: ResourceType, id: str, body: FhirBody, ctx: Ctx, request: Request
) -> Response:
    """Store a new version: 200, or 201 for the first; 412 when `If-Match` is not the current."""
    if_match = parse_if_match(request.headers.get("if-match"))
    stored = ctx.ingest.update(body, resource_type, id, if_match)
    return write_response(
        stored.version, request, ctx.base(request), created=stored.created, issues=stored.issues
    )


def describe(_ctx: Context, _resource_type: str) -> Mapping[str, Any]:
    """Members of `rest.resource` in the CapabilityStatement."""
    return {"updateCreate": True}
