"""FHIR search over a type, the system or a compartment, by GET and by POST (R4 search.html)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from schemas.compartments import COMPARTMENTS
from schemas.outcomes import error
from schemas.search_params import SearchParam
from schemas.structure import RESOURCE_TYPES
from service.context import Context, Ctx, ResourceType
from service.prefer import preferences
from service.representation import holder_of
from service.request_body import media_type, read_limited
from service.responses import fhir_bytes
from service.searchset import (
    ALL_TYPES,
    Params,
    Place,
    of_compartment,
    of_system,
    of_type,
    searchset,
)

router = APIRouter()

MAX_FORM_BYTES = 1_048_576


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


Form = Annotated[Params, Depends(form_params)]


@router.get("", summary="search-system")
@router.get("/", include_in_schema=False)
def search_system(ctx: Ctx, request: Request) -> Response:
    """Resources of the types that `_type` names, or of all, that meet all parameters."""
    return answer(of_system(), request.query_params.multi_items(), ctx, request)


@router.post("/_search", summary="search-system by POST")
def search_system_by_post(params: Form, ctx: Ctx, request: Request) -> Response:
    """The same with its parameters in a form body."""
    return answer(of_system(), params, ctx, request)


@router.get("/{resource_type}", summary="search-type")
def search(resource_type: ResourceType, ctx: Ctx, request: Request) -> Response:
    """Resources of one type that meet all parameters, as a searchset Bundle."""
    return answer(of_type(resource_type), request.query_params.multi_items(), ctx, request)


@router.post("/{resource_type}/_search", summary="search-type by POST")
def search_by_post(
    resource_type: ResourceType, params: Form, ctx: Ctx, request: Request
) -> Response:
    """The same search with its parameters in a form body, out of the reach of access logs."""
    return answer(of_type(resource_type), params, ctx, request)


@router.get("/{resource_type}/{id}/{member}", summary="search-compartment")
def search_compartment(
    resource_type: ResourceType, id: str, member: str, ctx: Ctx, request: Request
) -> Response:
    """Resources of one type (or `*`) in the compartment of a resource."""
    place = of_compartment(resource_type, id, member)
    return answer(place, request.query_params.multi_items(), ctx, request)


@router.post("/{resource_type}/{id}/_search", summary="search-compartment by POST")
def search_whole_compartment_by_post(
    resource_type: ResourceType, id: str, params: Form, ctx: Ctx, request: Request
) -> Response:
    """All types of a compartment, with the parameters in a form body."""
    return answer(of_compartment(resource_type, id, ALL_TYPES), params, ctx, request)


@router.post("/{resource_type}/{id}/{member}/_search", summary="search-compartment by POST")
def search_compartment_by_post(
    resource_type: ResourceType, id: str, member: str, params: Form, ctx: Ctx, request: Request
) -> Response:
    """The same search in a compartment with its parameters in a form body."""
    return answer(of_compartment(resource_type, id, member), params, ctx, request)


def answer(place: Place, params: Params, ctx: Ctx, request: Request) -> Response:
    """The searchset for `params`, strict or lenient as `Prefer: handling=…` asks."""
    strict = preferences(request.headers).strict
    found = searchset(ctx.lake, place, params, ctx.base(request), strict=strict)
    return fhir_bytes(found.body, 200, **found.headers)


STATEMENT: Mapping[str, Any] = {
    "compartment": [
        f"http://hl7.org/fhir/CompartmentDefinition/{name[0].lower()}{name[1:]}"
        for name in sorted(COMPARTMENTS)
    ]
}

# References that may be to any type would make the statement megabytes long; they work as well.
_LISTED_TARGETS = 20


def describe(ctx: Context, resource_type: str) -> Mapping[str, Any]:
    """Members of `rest.resource` in the CapabilityStatement."""
    known = _ready(ctx, resource_type)
    params = [{"name": param.code, "definition": param.url, "type": param.type} for param in known]
    includes = [f"{resource_type}:{param.code}" for param in known if param.type == "reference"]
    found: dict[str, Any] = {"searchParam": params}
    if includes:
        found["searchInclude"] = ["*", *includes]
    reverse = [
        f"{source}:{param.code}"
        for source in RESOURCE_TYPES
        for param in ctx.lake.search_params(source).values()
        if resource_type in param.targets
        and len(param.targets) <= _LISTED_TARGETS
        and param.type == "reference"
        and param.pending is None
    ]
    if reverse:
        found["searchRevInclude"] = sorted(reverse)
    return found


def _ready(ctx: Context, resource_type: str) -> list[SearchParam]:
    known = ctx.lake.search_params(resource_type).values()
    return sorted((param for param in known if param.pending is None), key=lambda p: p.code)
