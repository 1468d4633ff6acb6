"""FHIR history of one resource (R4 http.html#history), newest first, deletions included."""

from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import Response

from schemas.outcomes import error
from service.context import Ctx, ResourceType
from service.responses import bundle_bytes, fhir_bytes, history_entry
from service.whole_number import whole_number

router = APIRouter()

MAX_COUNT = 1000


@router.get("/{resource_type}/{id}/_history", summary="history-instance")
def history(resource_type: ResourceType, id: str, ctx: Ctx, request: Request) -> Response:
    """Every version of one resource in pages of `_count`; `next` links go on."""
    unknown = sorted(set(request.query_params) - {"_count", "_cursor", "_format", "_pretty"})
    if unknown:
        raise error("not-supported", f"History does not support {unknown[0][:64]!r}.", unknown[0])
    count = whole_number(request.query_params.get("_count", "100"))
    if count is None or not 1 <= count <= MAX_COUNT:
        raise error("value", f"_count must be a number from 1 to {MAX_COUNT}.", "_count")
    page = ctx.lake.history(
        resource_type, id, count=count, cursor=request.query_params.get("_cursor")
    )
    base = ctx.base(request)
    here = f"{base}/{resource_type}/{id}/_history"
    links = [("self", f"{here}?{request.query_params}" if request.query_params else here)]
    if page.next:
        links.append(("next", f"{here}?{urlencode({'_count': count, '_cursor': page.next})}"))
    entries = (history_entry(version, base) for version in page.versions)
    return fhir_bytes(bundle_bytes("history", entries, total=page.total, links=links), request)
