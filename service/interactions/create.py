"""FHIR create (R4 http.html#create), conditional create included.

The condition stands in `If-None-Exist` or, as some clients send it, in the address.
"""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from schemas.outcomes import error
from service.change_requests import change_response, query_condition
from service.changes.asked import Change, Places, condition_of
from service.changes.store import store_soon
from service.context import Context, Ctx, FhirBody, ResourceType
from service.prefer import preferences

router = APIRouter()


@router.post("/{resource_type}", summary="create")
def create(resource_type: ResourceType, body: FhirBody, ctx: Ctx, request: Request) -> Response:
    """Store a resource under a new id: 201 with `Location`, or 200 for a conditional match."""
    done = ctx.ingest.change(_asked(resource_type, body, ctx, request))
    return change_response(done, request, ctx.base(request))


async def create_soon(resource_type: str, body: bytes, ctx: Context, request: Request) -> Response:
    """The same in the event loop, for a small resource without a condition."""
    done = await store_soon(ctx.ingest, _asked(resource_type, body, ctx, request))
    return change_response(done, request, ctx.base(request))


def _asked(resource_type: str, body: bytes, ctx: Context, request: Request) -> Change:
    preferences(request.headers)
    header = request.headers.get("if-none-exist")
    condition = query_condition(request)
    places = Places(if_none_exist=header is not None)
    if header is not None:
        given = condition_of(header, places.condition)
        if condition not in (None, given):
            raise error("invalid", "The address has another condition.", places.condition)
        condition = given
    resource = ctx.ingest.parse(body, resource_type)
    return Change(
        "POST",
        resource_type,
        resource=resource,
        condition=condition,
        places=places,
        base=ctx.base(request),
    )


def describe(_ctx: Context, _resource_type: str) -> Mapping[str, Any]:
    """Members of `rest.resource` in the CapabilityStatement."""
    return {"conditionalCreate": True}
