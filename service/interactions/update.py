"""FHIR update (R4 http.html#update): by id, create under the client's id included, or conditional.

https://hl7.org/fhir/R4/http.html#cond-update
"""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.change_requests import change_response, needed_condition, refuse_params
from service.changes.asked import Change, check_update_id, parse_if_match, parse_if_none_match
from service.context import Context, Ctx, FhirBody, ResourceType
from service.prefer import preferences

router = APIRouter()


@router.put("/{resource_type}/{id}", summary="update")
def update(
    resource_type: ResourceType, id: str, body: FhirBody, ctx: Ctx, request: Request
) -> Response:
    """Store a new version: 200, or 201 for the first; 412 when `If-Match` is not the current.

    `If-None-Match: *` creates only: 412 when there is a current version.
    """
    preferences(request.headers)
    refuse_params(request)
    resource = ctx.ingest.parse(body, resource_type)
    check_update_id(resource, id)
    change = Change(
        "PUT",
        resource_type,
        id,
        resource,
        if_match=parse_if_match(request.headers.get("if-match")),
        if_none_match=parse_if_none_match(request.headers.get("if-none-match")),
        base=ctx.base(request),
    )
    return change_response(ctx.ingest.change(change), request, ctx.base(request))


@router.put("/{resource_type}", summary="conditional update")
def conditional_update(
    resource_type: ResourceType, body: FhirBody, ctx: Ctx, request: Request
) -> Response:
    """Update the one resource that the search in the address matches, or create it.

    412 when it matches several; 400 when the body has another id than the match.
    """
    preferences(request.headers)
    change = Change(
        "PUT",
        resource_type,
        resource=ctx.ingest.parse(body, resource_type),
        condition=needed_condition(request),
        if_match=parse_if_match(request.headers.get("if-match")),
        if_none_match=parse_if_none_match(request.headers.get("if-none-match")),
        base=ctx.base(request),
    )
    return change_response(ctx.ingest.change(change), request, ctx.base(request))


def describe(ctx: Context, _resource_type: str) -> Mapping[str, Any]:
    """Members of `rest.resource` in the CapabilityStatement."""
    return {"updateCreate": ctx.ingest.policy.update_create, "conditionalUpdate": True}
