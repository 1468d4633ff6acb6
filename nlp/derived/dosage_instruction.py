"""Dosage: the FHIR `Dosage` of a drug, one per clause of its instruction.

https://hl7.org/fhir/R4/dosage.html
"""

import re
from decimal import Decimal
from typing import Any

from nlp.dosage import Clause, Part, clauses
from nlp.mention import Mention
from schemas import codes

_KINDS = frozenset(
    ("DOSE", "STRENGTH", "FORM", "ROUTE", "FREQUENCY", "DURATION", "AS_NEEDED", "TAPER", "AMOUNT")
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


# Forms that go one way only. Plasters against pain act in the skin beneath them.
_INHALER = re.compile(
    r"\b(?:inhalers?|mdi|hfa|diskus|respimat|nebs?|nebuli[sz]ers?|ellipta)\b", re.I
)
_PATCH = re.compile(r"\bpatch(?:es)?\b", re.I)
_LOCAL = re.compile(r"\b(?:lidocaine|lidoderm|capsaicin|menthol|diclofenac|salicylate)\b", re.I)


def _route_of_form(mention: Mention) -> dict[str, str] | None:
    """The route that the drug's form implies where none is written; `2 puffs` implies none."""
    forms = " ".join([mention.text, *(a.text for a in mention.attributes if a.type == "FORM")])
    if _INHALER.search(forms):
        return {"code": "447694001", "display": "Respiratory tract route"}
    if _PATCH.search(forms) and not _LOCAL.search(mention.text):
        return {"code": "45890007", "display": "Transdermal route"}
    return None


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
        way = clause.route or _route_of_form(mention)
        if way is not None:
            route: dict[str, Any] = {}
            if way.get("code"):
                route["coding"] = [
                    {
                        "system": codes.SNOMED,
                        "code": way["code"],
                        "display": way["display"],
                    }
                ]
            route["text"] = way["display"]
            entry["route"] = route
        if clause.dose is not None:
            entry["doseAndRate"] = [_dose(clause.dose)]
        if entry:
            entries.append(entry)
    return entries
