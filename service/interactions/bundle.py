"""POST of a Bundle to the base: transaction or batch (R4 http.html#transaction)."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from schemas.outcomes import error
from schemas.parse import parse_resource
from service.context import Ctx, FhirBody
from service.interactions.batch import run_batch
from service.interactions.transaction import transact
from service.prefer import preferences
from service.responses import fhir_bytes
from service.sub_requests import SubRequests
from storage import audit_trail
from storage.elsewhere import NotHere

router = APIRouter()


@router.post("", summary="transaction, batch")
@router.post("/", include_in_schema=False)
def post_bundle(body: FhirBody, ctx: Ctx, request: Request) -> Response:
    """Store a transaction whole or not at all, or do each entry of a batch."""
    bundle = parse_resource(body)
    if bundle["resourceType"] != "Bundle":
        raise error(
            "invalid",
            f"Only a Bundle is posted to the base; post this to /fhir/{bundle['resourceType']}.",
            "Bundle",
        )
    wanted = preferences(request.headers)
    kind = bundle.get("type")
    base = ctx.base(request)
    if kind == "transaction":
        with SubRequests(request) as ask:
            answer = transact(bundle, ctx.ingest, ask, base, wanted)
    elif kind == "batch":
        if not ctx.lake.stores_itself:
            raise NotHere  # Of each entry by itself: before the first of them is done.
        trail = audit_trail.current()
        if trail is not None:
            trail.name = "batch"
        with SubRequests(request) as ask:
            answer = run_batch(bundle, ctx.ingest, ask, base, wanted)
    else:
        raise error(
            "value",
            "A Bundle posted to the base is a transaction or a batch; "
            "to store any other Bundle as a document, post it to /fhir/Bundle.",
            "Bundle.type",
        )
    return fhir_bytes(answer)
