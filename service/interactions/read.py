"""FHIR read (R4 http.html#read)."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.as_of import At, parse_at, view_at
from service.conditional_read import unchanged
from service.context import Context, Ctx, ResourceType
from service.prefer import refuse_unknown
from service.responses import fhir_bytes, version_headers

router = APIRouter()


@router.get("/{resource_type}/{id}", summary="read")
def read(
    resource_type: ResourceType, id: str, ctx: Ctx, request: Request, at: At = None
) -> Response:
    """The version current now or `at`; 404 when there was none, 410 deleted, 304 unchanged."""
    refuse_unknown(request)
    with view_at(ctx.lake, parse_at(at)) as (view, said):
        version = view.read(resource_type, id)
    headers = {**version_headers(version), **said.headers}
    same = unchanged(request, version, headers)
    return same or fhir_bytes(version.body, 200, **headers)


def describe(_ctx: Context, _resource_type: str) -> Mapping[str, Any]:
    """Members of `rest.resource` in the CapabilityStatement."""
    return {"conditionalRead": "full-support"}
