"""`Composition/$document`: a Composition with everything that it refers to, as one Bundle.

https://hl7.org/fhir/R4/composition-operation-document.html
"""

from __future__ import annotations

import uuid
from contextlib import nullcontext
from datetime import UTC, datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from schemas.ids import format_instant, is_id
from schemas.outcomes import error
from schemas.parse import canonical_bytes
from service.as_of import parse_at, view_at
from service.context import Context, Ctx, writable
from service.operations.arguments import Arguments, Given
from service.responses import fhir_bytes, version_headers
from storage.as_of import AsOf
from storage.composition import Document, document

router = APIRouter()


@router.get("/Composition/{id}/$document", summary="a Composition as a document")
@router.post("/Composition/{id}/$document", summary="a Composition as a document")
def of_one(id: str, ctx: Ctx, request: Request, given: Given) -> Response:
    """Bundle of type document: the Composition, then all it refers to, directly or not.

    Parameters: `persist` (store the Bundle too, `Location` says where), `at`; `graph` is refused.
    """
    given.only("persist", "graph", "at")
    return answer(ctx, request, id, given)


@router.get("/Composition/$document", summary="the document of the Composition `id`")
@router.post("/Composition/$document", summary="the document of the Composition `id`")
def of_named(ctx: Ctx, request: Request, given: Given) -> Response:
    """The same for the Composition that the parameter `id` names, by id or by its address here."""
    given.only("id", "persist", "graph", "at")
    named = given.required("id").removeprefix(f"{ctx.base(request)}/Composition/")
    if not is_id(named):
        raise error("value", "id is the id of a Composition, or its address on this server.", "id")
    return answer(ctx, request, named, given)


def answer(ctx: Context, request: Request, id: str, given: Arguments) -> Response:
    """The document Bundle, stored when `persist` says so. Raises FhirError, see `document`."""
    if given.text("graph") is not None:
        raise error(
            "not-supported",
            "graph is not supported: a document has all that its Composition refers to.",
            "graph",
        )
    persist = given.flag("persist")
    if persist:
        writable(request)
    at = parse_at(given.text("at"))
    # What is stored must not hold what is erased meanwhile.
    with ctx.lake.no_erase() if persist else nullcontext():
        return _made(ctx, request, id, at, persist=persist)


def _made(ctx: Context, request: Request, id: str, at: AsOf | None, *, persist: bool) -> Response:
    with view_at(ctx.lake, at) as (view, said):
        made = document(view, id)
    body = _bundle(made, ctx.base(request))
    headers = dict(said.headers)
    if made.beyond:
        headers["Warning"] = (
            f'199 chartlake "{made.beyond} references of included resources lead to other servers, '
            'other patients or nowhere"'
        )
    if persist:
        stored = ctx.ingest.create(ctx.ingest.parse(body, "Bundle")).stored
        body = stored.body
        headers |= version_headers(stored)
        headers["Location"] = f"{ctx.base(request)}/Bundle/{stored.id}"
    return fhir_bytes(body, 200, **headers)


def _bundle(made: Document, base: str) -> bytes:
    """The Bundle, each resource in its own bytes (R4 bundle.html: bdl-9 to bdl-11)."""
    head = canonical_bytes(
        {
            "resourceType": "Bundle",
            "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{uuid.uuid4()}"},
            "type": "document",
            "timestamp": format_instant(datetime.now(UTC)),
        }
    )
    entries = []
    for version in made.versions:
        url = canonical_bytes({"fullUrl": f"{base}/{version.resource_type}/{version.id}"})
        entries.append(url[:-1] + b',"resource":' + version.body + b"}")
    return head[:-1] + b',"entry":[' + b",".join(entries) + b"]}"
