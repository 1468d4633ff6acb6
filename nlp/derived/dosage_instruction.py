"""Dosage: the FHIR `Dosage` of a drug, one per clause of its instruction.

https://hl7.org/fhir/R4/dosage.html
"""

from decimal import Decimal
from typing import Any

from nlp.dosage import Clause, Part, clauses
from nlp.mention import Mention
from schemas import codes

_KINDS = frozenset(
    ("DOSE", "STRENGTH", "FORM", "ROUTE", "FREQUENCY", "DURATION", "AS_NEEDED", "TAPER")
)


def _quantity(value: Decimal, dose: dict[str, Any]) -> dict[str, Any]:
    quantity: dict[str, Any] = {"value": value}
    if dose.get("unit"):
        quantity["unit"] = dose["unit"]
    if dose.get("code"):
        quantity |= {"system": codes.UCUM, "code": dose["code"]}
    return quantity


def _dose(dose: dict[str, Any]) -> dict[str, Any]:
    low = _quantity(dose["value"], dose)
    if "high" in dose:
        return {"doseRange": {"low": low, "high": _quantity(dose["high"], dose)}}
    return {"doseQuantity": low}


def _timing(clause: Clause) -> dict[str, Any] | None:
    repeat: dict[str, Any] = {}
    if clause.duration is not None:
        repeat["boundsDuration"] = {
            "value": clause.duration["value"],
            "unit": clause.duration["unit"],
            "system": codes.UCUM,
            "code": clause.duration["unit"],
        }
    repeat |= clause.repeat or {}
    return {"repeat": repeat} if repeat else None


def dosages(mention: Mention) -> list[dict[str, Any]]:
    """The Dosage entries; every one carries the whole instruction as written in `text`."""
    parts = [
        Part(a.type, a.begin, a.end, a.value or {}) for a in mention.attributes if a.type in _KINDS
    ]
    if all(part.kind == "FORM" for part in parts):
        return []
    sig = mention.attribute("SIG")
    text = " ".join(sig.text.split()) if sig is not None else None
    found = clauses(parts) or [Clause()]
    entries: list[dict[str, Any]] = []
    for number, clause in enumerate(found, start=1):
        entry: dict[str, Any] = {"sequence": number} if len(found) > 1 else {}
        if text:
            entry["text"] = text
        timing = _timing(clause)
        if timing is not None:
            entry["timing"] = timing
        if clause.as_needed:
            entry["asNeededBoolean"] = True
        if clause.route is not None:
            route: dict[str, Any] = {}
            if clause.route.get("code"):
                route["coding"] = [
                    {
                        "system": codes.SNOMED,
                        "code": clause.route["code"],
                        "display": clause.route["display"],
                    }
                ]
            route["text"] = clause.route["display"]
            entry["route"] = route
        if clause.dose is not None:
            entry["doseAndRate"] = [_dose(clause.dose)]
        if entry:
            entries.append(entry)
    return entries
