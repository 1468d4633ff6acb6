"""`DocumentReference/$docref`: the references to a patient's documents.

http://hl7.org/fhir/us/core/OperationDefinition/docref (US Core 6.1.0; IPA has the same).
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from schemas.ids import is_id
from schemas.outcomes import Issue, error
from service.context import Ctx
from service.operations.arguments import Arguments, Given
from service.operations.listing_bundle import PAGING, listing_response
from storage.documents import DocumentsOf, Token

router = APIRouter()

_PARAMETERS = ("patient", "start", "end", "type", "on-demand", "profile", *PAGING)


@router.get("/DocumentReference/$docref", summary="a patient's documents")
@router.post("/DocumentReference/$docref", summary="a patient's documents")
def docref(ctx: Ctx, request: Request, given: Given) -> Response:
    """Searchset of DocumentReferences, the latest first; empty when the patient has none.

    Parameters: `patient` (an id, required), `start` and `end` (dates of care), `type` (tokens, any
    of them), `profile` (canonicals, any of them), `on-demand`. Without dates, the documents that
    are current. None are made on demand here, and `on-demand=true` says so.
    """
    given.only(*_PARAMETERS)
    patient = given.required("patient").removeprefix("Patient/")
    if not is_id(patient):
        raise error("value", "patient is the id of a Patient.", "patient")
    low_us, high_us = given.period()
    types = tuple(_types(given))
    profiles = tuple(given.texts("profile"))
    on_demand = given.flag("on-demand")
    question = DocumentsOf(patient, types, profiles, low_us, high_us, on_demand)
    issues = []
    if on_demand:
        text = "No documents are made on demand here; without on-demand, stored ones are listed."
        issues.append(Issue("information", "informational", text, ("on-demand",)))
    return listing_response(ctx, request, "DocumentReference/$docref", question, given, issues)


def _types(given: Arguments) -> list[Token]:
    found: list[Token] = []
    for text in given.spelled("type"):
        for token in text.split(","):
            system, bar, code = token.strip().rpartition("|")
            if not code:
                raise error("value", "type is a code, or system|code.", "type")
            found.append((system if bar else None, code))
    return found
