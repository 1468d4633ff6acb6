"""How each resource type becomes an event: where its dates, code, status and value are.

Dates are tried in the order given; `onset[x]`-style choices by their R4 spellings. Types without
a rule (claims, coverage, audit) are not clinical events.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Rule:
    """Elements of one resource type, most telling first."""

    kind: str
    dates: tuple[str, ...]
    codes: tuple[str, ...] = ("code",)
    ends: tuple[str, ...] = ()
    status: str = "status"


# In the order in which events of one day are listed.
RULES: dict[str, Rule] = {
    "Encounter": Rule("encounter", ("period",), ("type", "serviceType", "class")),
    "Condition": Rule(
        "condition",
        ("onsetDateTime", "onsetPeriod", "recordedDate"),
        ends=("abatementDateTime", "abatementPeriod"),
        status="clinicalStatus",
    ),
    "AllergyIntolerance": Rule(
        "allergy", ("onsetDateTime", "onsetPeriod", "recordedDate"), status="clinicalStatus"
    ),
    "AdverseEvent": Rule("adverse event", ("date", "detected", "recordedDate"), ("event",)),
    "Procedure": Rule("procedure", ("performedDateTime", "performedPeriod")),
    "ImagingStudy": Rule("imaging", ("started",), ("procedureCode", "modality", "description")),
    "Observation": Rule(
        "observation", ("effectiveDateTime", "effectivePeriod", "effectiveInstant", "issued")
    ),
    "DiagnosticReport": Rule("report", ("effectiveDateTime", "effectivePeriod", "issued")),
    "MedicationRequest": Rule(
        "medication", ("authoredOn",), ("medicationCodeableConcept", "medicationReference")
    ),
    "MedicationStatement": Rule(
        "medication",
        ("effectiveDateTime", "effectivePeriod", "dateAsserted"),
        ("medicationCodeableConcept", "medicationReference"),
    ),
    "MedicationAdministration": Rule(
        "medication",
        ("effectiveDateTime", "effectivePeriod"),
        ("medicationCodeableConcept", "medicationReference"),
    ),
    "MedicationDispense": Rule(
        "medication",
        ("whenHandedOver", "whenPrepared"),
        ("medicationCodeableConcept", "medicationReference"),
    ),
    "Immunization": Rule("immunization", ("occurrenceDateTime", "recorded"), ("vaccineCode",)),
    "ServiceRequest": Rule("order", ("occurrenceDateTime", "occurrencePeriod", "authoredOn")),
    "Device": Rule("device", ("manufactureDate",), ("type",)),
    "CarePlan": Rule("care plan", ("period", "created"), ("title", "category", "description")),
    "Goal": Rule("goal", ("startDate", "statusDate"), ("description",), status="lifecycleStatus"),
    "FamilyMemberHistory": Rule("family history", ("date",), ("condition",)),
    "ClinicalImpression": Rule(
        "impression", ("effectiveDateTime", "effectivePeriod", "date"), ("code", "summary")
    ),
    "RiskAssessment": Rule("risk", ("occurrenceDateTime", "occurrencePeriod")),
    "QuestionnaireResponse": Rule("questionnaire", ("authored",), ("questionnaire",)),
    "DocumentReference": Rule(
        "document", ("date", "context.period"), ("type", "description", "category")
    ),
    "Composition": Rule("document", ("date",), ("type", "title")),
    "Flag": Rule("flag", ("period",)),
}

ORDER = {resource_type: rank for rank, resource_type in enumerate(["Patient", *RULES])}

_STATUS_OF_VERIFICATION = ("refuted", "entered-in-error")


@dataclass(frozen=True)
class Coding:
    """What an event is about."""

    display: str | None
    pairs: tuple[tuple[str | None, str], ...]


def element(resource: dict[str, Any], path: str) -> Any:
    """The value at a dotted path of single elements, or None."""
    value: Any = resource
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def dates(resource: dict[str, Any], rule: Rule) -> tuple[str | None, str | None]:
    """(start, end) as written; a period's end, else an abatement."""
    start = end = None
    for path in rule.dates:
        value = element(resource, path)
        if isinstance(value, str):
            start = value
        elif isinstance(value, dict):
            start, end = value.get("start") or value.get("end"), value.get("end")
        if start:
            break
    for path in rule.ends:
        value = element(resource, path)
        end = end or (value if isinstance(value, str) else None)
        if isinstance(value, dict):
            end = end or value.get("end") or value.get("start")
    return start, end


def coding(resource: dict[str, Any], rule: Rule, medications: dict[str, Any]) -> Coding:
    """Display text and (system, code) pairs of the first element that says anything."""
    for path in rule.codes:
        value = element(resource, path)
        if path == "medicationReference" and isinstance(value, dict):
            value = _medication(resource, value, medications)
        if path == "condition" and isinstance(value, list):  # FamilyMemberHistory
            value = [item.get("code") for item in value if isinstance(item, dict)]
        found = _concept(value)
        if found.display or found.pairs:
            return found
    return Coding(None, ())


def _medication(
    resource: dict[str, Any], reference: dict[str, Any], medications: dict[str, Any]
) -> Any:
    target = str(reference.get("reference") or "")
    if target.startswith("#"):
        for contained in resource.get("contained") or []:
            if contained.get("id") == target[1:]:
                return contained.get("code")
    medication = medications.get(target.split("/_history/")[0])
    return (medication or {}).get("code") or reference.get("display")


def _concept(value: Any) -> Coding:
    if isinstance(value, str):
        return Coding(value, ())
    if isinstance(value, list):
        parts = [_concept(item) for item in value]
        texts = list(dict.fromkeys(part.display for part in parts if part.display))
        return Coding("; ".join(texts) or None, tuple(p for part in parts for p in part.pairs))
    if not isinstance(value, dict):
        return Coding(None, ())
    listed = value.get("coding", [value] if "code" in value else [])  # a lone Coding: class
    codings = [item for item in listed if isinstance(item, dict)]
    display = value.get("text") or next(
        (item["display"] for item in codings if item.get("display")), None
    )
    pairs = tuple((item.get("system"), item["code"]) for item in codings if item.get("code"))
    return Coding(display or (pairs[0][1] if pairs else None), pairs)


def status(resource: dict[str, Any], rule: Rule) -> str | None:
    """The status code, outranked by a refuted or mistaken verification and by `doNotPerform`."""
    verification = _first_code(resource.get("verificationStatus"))
    if verification in _STATUS_OF_VERIFICATION:
        return verification
    if resource.get("doNotPerform") is True:
        return "do-not-perform"
    value = resource.get(rule.status)
    return value if isinstance(value, str) else _first_code(value)


def _first_code(value: Any) -> str | None:
    pairs = _concept(value).pairs
    return pairs[0][1] if pairs else None


def value_text(resource: dict[str, Any]) -> str | None:
    """What was measured, given or found, as text with its unit; components joined with `;`."""
    kind = resource.get("resourceType")
    if kind == "Observation":
        return _observation_value(resource)
    if kind in ("MedicationRequest", "MedicationStatement"):
        key = "dosageInstruction" if kind == "MedicationRequest" else "dosage"
        return _joined(_dosage(item) for item in resource.get(key) or [])
    if kind == "MedicationAdministration":
        return _dosage(resource.get("dosage") or {})
    if kind == "MedicationDispense":
        return _quantity(resource.get("quantity"))
    if kind == "Immunization":
        return _quantity(resource.get("doseQuantity"))
    if kind == "DiagnosticReport":
        text = resource.get("conclusion")
        return text if isinstance(text, str) else None
    if kind == "FamilyMemberHistory":
        return _concept(resource.get("relationship")).display
    if kind == "AllergyIntolerance":
        return _joined(
            _concept(reaction.get("manifestation")).display
            for reaction in resource.get("reaction") or []
        )
    return None


def _observation_value(resource: dict[str, Any]) -> str | None:
    own = _typed_value(resource)
    parts = [own] if own else []
    for component in resource.get("component") or []:
        found = _typed_value(component)
        if found:
            name = _concept(component.get("code")).display
            parts.append(f"{name}: {found}" if name else found)
    if not parts:
        return _concept(resource.get("dataAbsentReason")).display
    return "; ".join(parts)


def _typed_value(holder: dict[str, Any]) -> str | None:
    for key, value in holder.items():
        if not key.startswith("value"):
            continue
        if key == "valueQuantity":
            return _quantity(value)
        if key == "valueCodeableConcept":
            return _concept(value).display
        if key == "valueBoolean":
            return "true" if value else "false"
        if key == "valueRange":
            return f"{_quantity(value.get('low')) or ''} – {_quantity(value.get('high')) or ''}"
        if key == "valueRatio":
            return f"{_quantity(value.get('numerator'))} / {_quantity(value.get('denominator'))}"
        if key == "valuePeriod":
            return f"{value.get('start') or ''} – {value.get('end') or ''}"
        if not isinstance(value, dict | list):
            return str(value)
    return None


def _quantity(value: Any) -> str | None:
    if not isinstance(value, dict) or value.get("value") is None:
        return None
    unit = value.get("unit") or value.get("code") or ""
    return f"{value.get('comparator') or ''}{value['value']} {unit}".strip()


def _dosage(item: dict[str, Any]) -> str | None:
    if item.get("text"):
        return str(item["text"])
    doses = [_quantity(dose.get("doseQuantity")) for dose in item.get("doseAndRate") or []]
    doses.append(_quantity(item.get("dose")))
    repeat = element(item, "timing.repeat") or {}
    often = None
    if repeat.get("frequency") and repeat.get("period"):
        often = f"{repeat['frequency']} × per {repeat['period']} {repeat.get('periodUnit', '')}"
    route = _concept(item.get("route")).display
    needed = "as needed" if item.get("asNeededBoolean") else None
    return _joined([*doses, route, often, needed], " ")


def _joined(parts: Any, separator: str = "; ") -> str | None:
    return separator.join(part.strip() for part in parts if part) or None
