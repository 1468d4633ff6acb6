"""FHIR search over one type, by GET and by POST `_search` (R4 search.html)."""

from typing import Annotated
from urllib.parse import parse_qsl, urlencode

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from schemas.outcomes import Issue, error, operation_outcome
from service.context import Ctx, ResourceType
from service.request_body import media_type, read_limited
from service.responses import bundle_bytes, fhir_bytes, match_entry, outcome_entry

router = APIRouter()

MAX_FORM_BYTES = 1_048_576
_NOT_CRITERIA = frozenset({"_format", "_pretty"})

Params = list[tuple[str, str]]


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
    return [*request.query_params.multi_items(), *form]


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
    """The searchset for `params`; what was not applied is told in an outcome entry."""
    criteria = [(name, value) for name, value in params if name not in _NOT_CRITERIA]
    strict = "handling=strict" in request.headers.get("prefer", "")
    page = ctx.lake.search(resource_type, criteria, strict=strict)
    base = ctx.base(request)
    applied = [(n, v) for n, v in criteria if n not in page.ignored and n != "_cursor"]
    links = [
        ("self", _link(base, resource_type, [p for p in criteria if p[0] not in page.ignored]))
    ]
    if page.next:
        links.append(("next", _link(base, resource_type, [*applied, ("_cursor", page.next)])))
    entries = [match_entry(version, base) for version in page.versions]
    if page.ignored:
        entries.append(outcome_entry(_ignored(resource_type, page.ignored)))
    body = bundle_bytes("searchset", entries, total=page.total, links=links)
    return fhir_bytes(body, request)


def _link(base: str, resource_type: str, params: Params) -> str:
    query = urlencode(params)
    return f"{base}/{resource_type}?{query}" if query else f"{base}/{resource_type}"


def _ignored(resource_type: str, names: list[str]) -> dict[str, object]:
    return operation_outcome(
        [
            Issue(
                "warning",
                "not-supported",
                f"{name[:64]!r} is not a search parameter of {resource_type} here and was not "
                "applied: the result is wider than asked.",
                (name[:64],),
            )
            for name in names
        ]
    )
