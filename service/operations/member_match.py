"""`Patient/$member-match`: which patient here is the member of a plan that another payer means.

http://hl7.org/fhir/us/davinci-hrex/OperationDefinition/member-match (Da Vinci HRex 1.0.0, STU 1).
Deterministic: demographics and an identifier of the coverage must agree, with exactly one patient.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from schemas.codes import codings
from schemas.dates import date_range
from schemas.outcomes import FhirError, Issue, error
from schemas.validate import validate
from service.context import Ctx
from service.ingest import relocated
from service.member_matching import coverages_agree, demographics_agree, objects, searched_families
from service.operations.arguments import Arguments, Given
from service.operations.parameters import as_parameters
from service.responses import fhir_resource
from storage import audit_trail
from storage.audit_trail import AuditTrail
from storage.lake import LakeAt

router = APIRouter()

_TEMPORARY_CODES = "http://hl7.org/fhir/us/davinci-hrex/CodeSystem/hrex-temp"
_UNIQUE_MEMBER = "UMB"
_MEMBER_NUMBER = "MB"

MAX_CANDIDATES = 1_000


@router.post("/Patient/$member-match", summary="the unique identifier of a plan's member")
def member_match(ctx: Ctx, request: Request, given: Given) -> Response:
    """Parameters with `MemberIdentifier` when exactly one patient matches; 422 otherwise.

    Parameters: `MemberPatient`, `CoverageToMatch`, `CoverageToLink` and `Consent` (optional). All
    are validated; nothing is stored, and no access is granted by it.
    """
    given.only("MemberPatient", "CoverageToMatch", "CoverageToLink", "Consent")
    member = _resource(given, "MemberPatient", "Patient")
    coverage = _resource(given, "CoverageToMatch", "Coverage")
    if member is None or coverage is None:
        name = "MemberPatient" if member is None else "CoverageToMatch"
        raise error("required", f"{name} is missing.", name)
    _resource(given, "CoverageToLink", "Coverage")
    consent = _resource(given, "Consent", "Consent")
    if consent is not None:
        _check_consent(consent)
    view = ctx.lake.at()
    # Whom else the demographics fit is not given out, so it is not recorded as read.
    with AuditTrail("", "member-match", "E", lists_entities=False).active():
        matches = _matches(view, member, coverage)
    if len(matches) != 1:
        problem = "More than one member matches" if matches else "No member matches"
        raise error(
            "unprocessable", f"{problem} what was sent.", "MemberPatient", "CoverageToMatch"
        )
    trail = audit_trail.current()
    patient = view.read("Patient", matches[0]).resource()
    if trail is not None:
        trail.concerns([matches[0]])
    identifier = _member_identifier(patient, ctx.base(request))
    answer = as_parameters({})
    answer["parameter"] = [{"name": "MemberIdentifier", "valueIdentifier": identifier}]
    return fhir_resource(answer)


def _resource(given: Arguments, name: str, kind: str) -> dict[str, Any] | None:
    """A parameter's resource, valid and of its type; None where it is not given."""
    found = given.resources(name)
    if len(found) > 1:
        raise error("invalid", f"{name} is given more than once.", name)
    if not found:
        return None
    # What it refers to is on the other payer's server, so nothing but itself is looked at.
    issues = validate(found[0], kind)
    if issues:
        raise FhirError("unprocessable", [relocated(issue, f"{name}.") for issue in issues])
    return found[0]


def _matches(view: LakeAt, member: dict[str, Any], coverage: dict[str, Any]) -> list[str]:
    """Ids of the patients that match, in no order. Raises `unprocessable` for too little."""
    birth = member.get("birthDate")
    families = searched_families(member)
    if not families or not isinstance(birth, str) or len(birth) != len("YYYY-MM-DD"):
        raise error(
            "unprocessable",
            "MemberPatient needs a family name and a full date of birth to be matched.",
            "MemberPatient.name",
            "MemberPatient.birthDate",
        )
    if not coverage.get("identifier") and not coverage.get("subscriberId"):
        raise error(
            "unprocessable",
            "CoverageToMatch needs a member number (identifier) or subscriberId to be matched.",
            "CoverageToMatch.identifier",
            "CoverageToMatch.subscriberId",
        )
    found: dict[str, None] = {}
    candidates = 0
    for family in families:
        params = [("family", _escaped(family)), ("birthdate", birth)]
        for patient in _all(view, "Patient", params):
            candidates += 1
            if candidates > MAX_CANDIDATES:
                raise _too_many()
            replaced = any(one.get("type") == "replaced-by" for one in objects(patient.get("link")))
            if replaced or not demographics_agree(member, patient):
                continue
            if _is_covered(view, patient["id"], coverage):
                found[patient["id"]] = None
    return list(found)


def _is_covered(view: LakeAt, id: str, coverage: dict[str, Any]) -> bool:
    stored = _all(view, "Coverage", [("beneficiary", f"Patient/{id}")])
    return any(coverages_agree(coverage, one) for one in stored)


def _all(view: LakeAt, kind: str, params: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """All matches of a search, up to one more than may be candidates."""
    page = view.search(kind, [*params, ("_count", str(MAX_CANDIDATES)), ("_total", "none")])
    resources = [version.resource() for version in page.versions]
    if page.next is not None:
        raise _too_many()
    return resources


def _too_many() -> FhirError:
    return error("unprocessable", "Too many members match what was sent.", "MemberPatient")


def _escaped(text: str) -> str:
    """A value of a search parameter (R4 search.html#escaping)."""
    for character in "\\,$|":
        text = text.replace(character, f"\\{character}")
    return text


def _member_identifier(patient: dict[str, Any], base: str) -> dict[str, Any]:
    """The identifier of type UMB: the patient's own, its member number, else its address here."""
    unique = {"system": _TEMPORARY_CODES, "code": _UNIQUE_MEMBER}
    for code in (_UNIQUE_MEMBER, _MEMBER_NUMBER):
        for identifier in objects(patient.get("identifier")):
            codings_of_it = codings(identifier.get("type"))
            if identifier.get("value") and any(one.get("code") == code for one in codings_of_it):
                if code == _UNIQUE_MEMBER:
                    return dict(identifier)
                return {**identifier, "type": {"coding": [unique, *codings_of_it]}}
    return {"type": {"coding": [unique]}, "system": f"{base}/Patient", "value": patient["id"]}


def _check_consent(consent: dict[str, Any]) -> None:
    """Refuse (422) a Consent that does not permit anything today."""
    provision = consent.get("provision", {})
    now_us = int(datetime.now(UTC).timestamp() * 1_000_000)
    period = provision.get("period", {})
    begun = date_range(period["start"])[0] <= now_us if "start" in period else True
    over = date_range(period["end"])[1] <= now_us if "end" in period else False
    problems = []
    if consent.get("status") != "active":
        problems.append(("is not active", "Consent.status"))
    if provision.get("type") == "deny":
        problems.append(("denies", "Consent.provision.type"))
    if not begun or over:
        problems.append(("is not of today", "Consent.provision.period"))
    if problems:
        issues = [Issue("error", "suppressed", f"The Consent {t}.", (p,)) for t, p in problems]
        raise FhirError("unprocessable", issues)
