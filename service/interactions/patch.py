"""FHIR patch (R4 http.html#patch): JSON Patch, JSON merge patch, FHIRPath Patch.

Which of them a body is says its Content-Type, see `service.changes.patch_document`.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from schemas.fhir_xml_parser import from_xml
from schemas.outcomes import error
from service.change_requests import change_response, needed_condition, refuse_params
from service.changes.asked import Change, parse_if_match
from service.changes.patch_document import (
    JSON_PATCH,
    MERGE_PATCH,
    Patch,
    parameters_patch,
    read_patch,
)
from service.context import Ctx, ResourceType
from service.prefer import preferences
from service.request_body import FHIR_XML_TYPES, media_type, read_limited

router = APIRouter()

STATEMENT = {"patchFormat": [JSON_PATCH, MERGE_PATCH, "application/fhir+json"]}


async def patch_body(request: Request) -> Patch:
    """Dependency: the patch in the body.

    Raises `unsupported-media` (415) for an XML Patch, among others; Parameters may be XML.
    """
    kind, charset = media_type(request.headers.get("content-type"))
    if charset not in (None, "utf-8", "utf8", "us-ascii"):
        raise error("unsupported-media", f"A patch is UTF-8; charset {charset} is not accepted.")
    body = await read_limited(request, request.app.state.settings.max_body_bytes)
    if kind in FHIR_XML_TYPES:
        parameters = await run_in_threadpool(from_xml, body)
        return parameters_patch(parameters)
    return read_patch(body, kind)


PatchBody = Annotated[Patch, Depends(patch_body)]


@router.patch("/{resource_type}/{id}", summary="patch")
def patch(
    resource_type: ResourceType, id: str, body: PatchBody, ctx: Ctx, request: Request
) -> Response:
    """Change parts of a resource: 200; 412 when `If-Match` is not the current version.

    422 when the patch cannot be applied to it, or what it gives is not valid.
    """
    preferences(request.headers)
    refuse_params(request)
    if_match = parse_if_match(request.headers.get("if-match"))
    base = ctx.base(request)
    change = Change("PATCH", resource_type, id, patch=body, if_match=if_match, base=base)
    return change_response(ctx.ingest.change(change), request, base)


@router.patch("/{resource_type}", summary="conditional patch")
def conditional_patch(
    resource_type: ResourceType, body: PatchBody, ctx: Ctx, request: Request
) -> Response:
    """Patch the one resource that the search in the address matches: 404 for none, 412 several."""
    preferences(request.headers)
    change = Change(
        "PATCH",
        resource_type,
        patch=body,
        condition=needed_condition(request),
        if_match=parse_if_match(request.headers.get("if-match")),
        base=ctx.base(request),
    )
    return change_response(ctx.ingest.change(change), request, ctx.base(request))
