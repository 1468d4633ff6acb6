"""`$everything`: the whole record of a patient or an encounter, page by page.

https://hl7.org/fhir/R4/patient-operation-everything.html,
https://hl7.org/fhir/R4/encounter-operation-everything.html
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from schemas.outcomes import error
from schemas.structure import RESOURCE_TYPES
from service.context import Context, Ctx
from service.operations.arguments import Arguments, Given
from service.operations.listing_bundle import PAGING, listing_response
from storage.record import RecordOf

patient_router = APIRouter()
encounter_router = APIRouter()


_PARAMETERS = {
    "Patient": ("start", "end", "_since", "_type", *PAGING),
    "Encounter": ("_since", "_type", *PAGING),
}


@patient_router.get("/Patient/{id}/$everything", summary="a whole record")
@patient_router.post("/Patient/{id}/$everything", summary="a whole record")
def patient_everything(id: str, ctx: Ctx, request: Request, given: Given) -> Response:
    """Searchset of the Patient compartment (matches) and what that refers to (includes).

    Parameters: `start`, `end` (dates of care), `_since`, `_type`, `_count`, `at`. Each is honoured
    or refused.
    """
    return answer(ctx, request, "Patient", id, given)


@encounter_router.get("/Encounter/{id}/$everything", summary="a whole encounter")
@encounter_router.post("/Encounter/{id}/$everything", summary="a whole encounter")
def encounter_everything(id: str, ctx: Ctx, request: Request, given: Given) -> Response:
    """Searchset of the Encounter compartment and what that refers to, its patient among them."""
    return answer(ctx, request, "Encounter", id, given)


@patient_router.get("/Patient/$everything", summary="refused: name one")
@patient_router.post("/Patient/$everything", summary="refused: name one")
@encounter_router.get("/Encounter/$everything", include_in_schema=False)
@encounter_router.post("/Encounter/$everything", include_in_schema=False)
def of_all() -> Response:
    """Refused (400): the records of all patients are an export, not a page of a search."""
    raise error(
        "not-supported",
        "$everything is answered for one patient or encounter (Patient/ID/$everything), not for "
        "all of them at once.",
        "$everything",
    )


def answer(ctx: Context, request: Request, compartment: str, id: str, given: Arguments) -> Response:
    """The page that the parameters ask for. Raises FhirError naming the parameter."""
    given.only(*_PARAMETERS[compartment])
    question = _record(compartment, id, given)
    return listing_response(ctx, request, f"{compartment}/{id}/$everything", question, given)


def _record(compartment: str, id: str, given: Arguments) -> RecordOf:
    types = frozenset(given.words("_type"))
    for name in types - RESOURCE_TYPES:
        raise error("value", f"_type: {name[:64]!r} is not a resource type of FHIR R4.", "_type")
    low_us, high_us = given.period()
    return RecordOf(compartment, id, types, given.instant("_since"), low_us, high_us)
