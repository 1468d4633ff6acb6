"""FHIR read (R4 http.html#read)."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.context import Ctx, ResourceType
from service.responses import etag, fhir_bytes, version_headers

router = APIRouter()


@router.api_route("/{resource_type}/{id}", methods=["GET", "HEAD"], summary="read")
def read(resource_type: ResourceType, id: str, ctx: Ctx, request: Request) -> Response:
    """The current version; 404 when it never existed, 410 when deleted, 304 when unchanged."""
    version = ctx.lake.read(resource_type, id)
    headers = version_headers(version)
    if request.headers.get("if-none-match") == etag(version):
        return Response(b"", 304, headers)
    return fhir_bytes(version.body, request, 200, **headers)
