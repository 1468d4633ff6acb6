"""FHIR delete (R4 http.html#delete): hides the resource, keeps its history."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.context import Ctx, ResourceType
from service.ingest import parse_if_match
from service.responses import version_headers

router = APIRouter()


@router.delete("/{resource_type}/{id}", summary="delete")
def delete(resource_type: ResourceType, id: str, ctx: Ctx, request: Request) -> Response:
    """204, whether the resource was there or not; 412 when `If-Match` is not the current."""
    version = ctx.ingest.delete(resource_type, id, parse_if_match(request.headers.get("if-match")))
    return Response(b"", 204, version_headers(version) if version is not None else None)
