"""FHIR delete (R4 http.html#delete, #cdelete): hides resources, keeps their history."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.change_requests import change_response, needed_condition, refuse_params
from service.changes.asked import Change, parse_if_match
from service.context import Context, Ctx, ResourceType
from service.prefer import preferences

router = APIRouter()


@router.delete("/{resource_type}/{id}", summary="delete")
def delete(resource_type: ResourceType, id: str, ctx: Ctx, request: Request) -> Response:
    """204, whether the resource was there or not; 412 when `If-Match` is not the current."""
    preferences(request.headers)
    refuse_params(request)
    if_match = parse_if_match(request.headers.get("if-match"))
    change = Change("DELETE", resource_type, id, if_match=if_match)
    return change_response(ctx.ingest.change(change), request, ctx.base(request))


@router.delete("/{resource_type}", summary="conditional delete")
def conditional_delete(resource_type: ResourceType, ctx: Ctx, request: Request) -> Response:
    """Delete what the search in the address matches: one resource, or by policy all of them.

    412 when it matches more than the setting `conditional_delete` allows; then none is deleted.
    """
    preferences(request.headers)
    change = Change(
        "DELETE",
        resource_type,
        condition=needed_condition(request),
        if_match=parse_if_match(request.headers.get("if-match")),
        base=ctx.base(request),
    )
    return change_response(ctx.ingest.change(change), request, ctx.base(request))


def describe(ctx: Context, _resource_type: str) -> Mapping[str, Any]:
    """Members of `rest.resource` in the CapabilityStatement."""
    return {"conditionalDelete": ctx.ingest.policy.conditional_delete}
