"""FHIR create (R4 http.html#create), conditional create with `If-None-Exist` included."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.context import Context, Ctx, FhirBody, ResourceType
from service.responses import write_response

router = APIRouter()


@router.post("/{resource_type}", summary="create")
def create(resource_type: ResourceType, body: FhirBody, ctx: Ctx, request: Request) -> Response:
    """Store a resource under a new id: 201 with `Location`, or 200 for a conditional match."""
    condition = request.headers.get("if-none-exist", "")
    stored = ctx.ingest.create(body, resource_type, if_none_exist=condition)
    return write_response(
        stored.version, request, ctx.base(request), created=stored.created, issues=stored.issues
    )


def describe(_ctx: Context, _resource_type: str) -> Mapping[str, Any]:
    """Members of `rest.resource` in the CapabilityStatement."""
    return {"conditionalCreate": True}
