"""MedicationRequest resources: ordering a drug and ending the order. R4 medicationrequest.html."""

from __future__ import annotations

from service.synth.clock import iso_date
from service.synth.concepts import Json, coding, concept
from service.synth.conditions import DIAGNOSES
from service.synth.medications import Dose
from service.synth.visit import Order, Visit

_STATUS_REASON = "http://terminology.hl7.org/CodeSystem/medicationrequest-status-reason"
STOP_REASONS: dict[str, Json] = {
    "intolerance": coding(_STATUS_REASON, "sintol", "Suspected Intolerance"),
    "pregnancy": coding(_STATUS_REASON, "preg", "Parent is pregnant/breast feeding"),
    "interaction": coding(_STATUS_REASON, "sddi", "Drug interacts with another drug"),
}
_COMMUNITY = [
    concept(
        None,
        coding(
            "http://terminology.hl7.org/CodeSystem/medicationrequest-category",
            "community",
            "Community",
        ),
    )
]


def medication_request(
    id: str, dose: Dose, reason: str, subject: Json, visit: Visit, last_day: int | None, status: str
) -> Json:
    """An order written at the end of a visit; `last_day` bounds a course."""
    bounds = {"start": iso_date(visit.end_day)}
    if last_day is not None:
        bounds["end"] = iso_date(last_day)
    timing: Json = {"repeat": {"boundsPeriod": bounds, **dose.timing.repeat}}
    if dose.timing.code is not None:
        timing["code"] = dose.timing.code
    dosage: Json = {"text": dose.text, "timing": timing}
    if dose.as_needed:
        dosage["asNeededBoolean"] = True
    dosage["route"] = dose.route
    dosage["doseAndRate"] = dose.dose_and_rate
    return {
        "resourceType": "MedicationRequest",
        "id": id,
        "status": status,
        "intent": "order",
        "category": _COMMUNITY,
        "medicationCodeableConcept": dose.concept,
        "subject": subject,
        "encounter": visit.context,
        "authoredOn": visit.end,
        "requester": visit.practitioner,
        "reasonCode": [DIAGNOSES[reason].concept],
        "dosageInstruction": [dosage],
    }


def end_order(order: Order, day: int, words: str, reason: str | None) -> None:
    """Mark an order stopped on a day; `words` say why, `reason` is a key of `STOP_REASONS`."""
    made = order.resource
    made["status"] = "stopped"
    why: Json = {"text": words[0].upper() + words[1:]}
    if reason is not None:
        why = {"coding": [STOP_REASONS[reason]], **why}
    order.last_day = day
    bounds = made["dosageInstruction"][0]["timing"]["repeat"]["boundsPeriod"]
    bounds["end"] = iso_date(max(day, order.day))
    # FHIR's own order of elements: the reason stands next to the status.
    rest = {key: made.pop(key) for key in list(made)[3:]}
    made["statusReason"] = why
    made.update(rest)
