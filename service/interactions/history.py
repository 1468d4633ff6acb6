"""FHIR history of a resource, a type or the whole lake (R4 http.html#history).

Newest first, deletions included, in pages pinned to the commit of the first one.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import Response

from schemas.outcomes import error
from service.as_of import parse_at
from service.context import Context, Ctx, ResourceType
from service.notices import notice
from service.representation import REPRESENTATION_PARAMETERS, holder_of
from service.responses import bundle_bytes, fhir_bytes, history_entry
from service.whole_number import whole_number

router = APIRouter()

DEFAULT_COUNT = 100
MAX_COUNT = 1000

_PARAMETERS = ("_count", "_since", "_at", "_cursor", "_type", "at")


@router.get("/_history", summary="history-system")
def history_system(ctx: Ctx, request: Request) -> Response:
    """Every version of every resource, or of the types in `_type`."""
    return answer(ctx, request)


@router.get("/{resource_type}/_history", summary="history-type")
def history_type(resource_type: ResourceType, ctx: Ctx, request: Request) -> Response:
    """Every version of the resources of a type."""
    return answer(ctx, request, resource_type)


@router.get("/{resource_type}/{id}/_history", summary="history-instance")
def history(resource_type: ResourceType, id: str, ctx: Ctx, request: Request) -> Response:
    """Every version of one resource."""
    return answer(ctx, request, resource_type, id)


def answer(
    ctx: Context, request: Request, resource_type: str | None = None, id: str | None = None
) -> Response:
    """The history Bundle that the parameters ask for. Raises FhirError naming the parameter."""
    given = _parameters(request, with_types=resource_type is None)
    types = tuple(given["_type"].split(",")) if "_type" in given else ()
    at = parse_at(given.get("at"))
    page = ctx.lake.history(
        resource_type,
        id,
        types=types,
        since=given.get("_since"),
        during=given.get("_at"),
        at=at,
        count=_count(given.get("_count")),
        cursor=given.get("_cursor"),
    )
    past = at is not None or "_cursor" in given
    said = notice(ctx.lake, page.t, past=past)
    base = ctx.base(request)
    here = "/".join([base, *(part for part in (resource_type, id) if part), "_history"])
    if "at" in given:
        given["at"] = str(page.t)
    given |= holder_of(request).asked.parameters
    links = [("self", f"{here}?{urlencode(given)}" if given else here)]
    if page.next:
        following = {name: value for name, value in given.items() if name != "at"}
        links.append(("next", f"{here}?{urlencode({**following, '_cursor': page.next})}"))
    entries = (history_entry(version, base) for version in page.versions)
    body = bundle_bytes("history", entries, total=page.total, links=links)
    return fhir_bytes(body, 200, **said.headers)


def _parameters(request: Request, *, with_types: bool) -> dict[str, str]:
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in REPRESENTATION_PARAMETERS:
            continue
        if name not in _PARAMETERS or (name == "_type" and not with_types):
            raise error("not-supported", f"History does not support {name[:64]!r}.", name[:64])
        if given.setdefault(name, value) != value:
            raise error("invalid", f"{name} is given twice, with different values.", name)
    return given


def _count(text: str | None) -> int:
    if text is None:
        return DEFAULT_COUNT
    count = whole_number(text)
    if count is None:
        raise error("value", "_count must be a whole number from 0 on.", "_count")
    return min(count, MAX_COUNT)


def describe(_ctx: Context, _resource_type: str) -> Mapping[str, Any]:
    """Members of `rest.resource` in the CapabilityStatement."""
    return {"versioning": "versioned", "readHistory": True}
