"""FHIR search over one type, by GET and by POST `_search` (R4 search.html)."""

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from schemas.outcomes import error
from service.context import Context, Ctx, ResourceType
from service.representation import holder_of
from service.request_body import media_type, read_limited
from service.responses import fhir_bytes
from service.searchset import Params, searchset

router = APIRouter()

MAX_FORM_BYTES = 1_048_576


@router.get("/{resource_type}", summary="search-type")
def search(resource_type: ResourceType, ctx: Ctx, request: Request) -> Response:
    """Resources of one type that meet all parameters, as a searchset Bundle."""
    return answer(resource_type, request.query_params.multi_items(), ctx, request)


async def form_params(request: Request) -> Params:
    """Dependency: parameters of the address, then of the form body."""
    kind, _ = media_type(request.headers.get("content-type"))
    body = await read_limited(request, MAX_FORM_BYTES)
    if body and kind != "application/x-www-form-urlencoded":
        raise error("unsupported-media", "_search takes application/x-www-form-urlencoded.")
    try:
        form = parse_qsl(body.decode("utf-8"), keep_blank_values=True)
    except (UnicodeDecodeError, ValueError):
        raise error("invalid", "The form body is not UTF-8 text.") from None
    params = [*request.query_params.multi_items(), *form]
    holder_of(request).take(params)
    return params


@router.post("/{resource_type}/_search", summary="search-type by POST")
def search_by_post(
    resource_type: ResourceType,
    params: Annotated[Params, Depends(form_params)],
    ctx: Ctx,
    request: Request,
) -> Response:
    """The same search with its parameters in a form body, out of the reach of access logs."""
    return answer(resource_type, params, ctx, request)


def answer(resource_type: str, params: Params, ctx: Ctx, request: Request) -> Response:
    """The searchset for `params`, strict or lenient as `Prefer: handling=…` asks."""
    strict = "handling=strict" in request.headers.get("prefer", "")
    found = searchset(ctx.lake, resource_type, params, ctx.base(request), strict=strict)
    return fhir_bytes(found.body, request, 200, **found.headers)


def describe(ctx: Context, resource_type: str) -> Mapping[str, Any]:
    """Members of `rest.resource` in the CapabilityStatement."""
    params = [
        {"name": param.code, "definition": param.url, "type": param.type}
        for param in sorted(ctx.lake.search_params(resource_type).values(), key=lambda p: p.code)
        if param.pending is None
    ]
    return {"searchParam": params}
