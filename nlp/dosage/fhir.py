"""Clauses as FHIR R4 `Dosage`. https://hl7.org/fhir/R4/dosage.html

Numbers are `Decimal`. Every `Dosage` carries the whole instruction as written in `text`.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from nlp.dosage.clauses import Clause
from schemas import codes

GTS_ABBREVIATION = "http://terminology.hl7.org/CodeSystem/v3-GTSAbbreviation"
# SNOMED CT, of the R4 value set additional-instruction-codes.
_WITH_FOOD = {"code": "311504000", "display": "With or after food"}
_ABBREVIATIONS = {
    (1, Decimal(1), "d", ()): "QD",
    (2, Decimal(1), "d", ()): "BID",
    (3, Decimal(1), "d", ()): "TID",
    (4, Decimal(1), "d", ()): "QID",
    (1, Decimal(2), "d", ()): "QOD",
    (1, Decimal(1), "h", ()): "Q1H",
    (1, Decimal(2), "h", ()): "Q2H",
    (1, Decimal(3), "h", ()): "Q3H",
    (1, Decimal(4), "h", ()): "Q4H",
    (1, Decimal(6), "h", ()): "Q6H",
    (1, Decimal(8), "h", ()): "Q8H",
    (1, Decimal(1), "wk", ()): "WK",
    (1, Decimal(1), "mo", ()): "MO",
    (1, Decimal(1), "d", ("MORN",)): "AM",
    (1, Decimal(1), "d", ("AFT",)): "PM",
    (1, Decimal(1), "d", ("HS",)): "BED",
}
_ABBREVIATED = frozenset(("frequency", "period", "periodUnit", "when"))


def _quantity(value: Decimal, dose: dict[str, Any]) -> dict[str, Any]:
    quantity: dict[str, Any] = {"value": value}
    if dose.get("unit"):
        quantity["unit"] = dose["unit"]
    if dose.get("code"):
        quantity |= {"system": codes.UCUM, "code": dose["code"]}
    return quantity


def _time(value: Decimal, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": codes.UCUM, "code": unit}


def _amount(dose: dict[str, Any], name: str) -> dict[str, Any]:
    """`doseQuantity`, `doseRange`, `rateQuantity` or `rateRange`."""
    if "high" in dose:
        bounds = {"high": _quantity(dose["high"], dose)}
        if "value" in dose:
            bounds = {"low": _quantity(dose["value"], dose)} | bounds
        return {f"{name}Range": bounds}
    return {f"{name}Quantity": _quantity(dose["value"], dose)}


def _once_a_day(clause: Clause) -> bool:
    """Whether what is taken in a day is one dose: no frequency is told but `daily`."""
    repeat = clause.repeat or {}
    daily = repeat.get("period", 1) == 1 and repeat.get("periodUnit", "d") == "d"
    return daily and repeat.get("frequency", 1) == 1 and not _divided(clause)


def _divided(clause: Clause) -> bool:
    """`in 2 divided doses`: the amount is of the whole day, and not taken at once."""
    return any("divided" in note for note in clause.notes)


def _dose_and_rate(clause: Clause) -> dict[str, Any]:
    found: dict[str, Any] = {}
    dose = clause.dose
    if dose is not None and (dose.get("per_day") or _divided(clause)):
        if _once_a_day(clause):
            found |= _amount(dose, "dose")
        else:
            per_day = {**dose, "unit": f"{dose['unit']}/d", "code": f"{dose['code']}/d"}
            found |= _amount(per_day, "rate")
    elif dose is not None:
        found |= _amount(dose, "dose")
    if clause.rate is not None and not any(key.startswith("rate") for key in found):
        found |= _amount(clause.rate, "rate")
    return found


def _bounds(clause: Clause) -> dict[str, Any]:
    length = clause.duration
    phase = clause.phase
    if length is None and phase is not None and phase.get("last") is not None:
        length = {"value": Decimal(phase["last"] - phase["first"] + 1), "unit": phase["unit"]}
    if length is None:
        return {}
    unit = length["unit"]
    if "high" not in length:
        return {"boundsDuration": _time(length["value"], unit)}
    bounds = {"high": _time(length["high"], unit)}
    if "value" in length:
        bounds = {"low": _time(length["value"], unit)} | bounds
    return {"boundsRange": bounds}


_ORDER = (
    "count", "countMax", "duration", "durationMax", "durationUnit", "frequency", "frequencyMax",
    "period", "periodMax", "periodUnit", "dayOfWeek", "timeOfDay", "when", "offset",
)  # fmt: skip


def _timing(clause: Clause) -> dict[str, Any] | None:
    said = dict(clause.repeat or {})
    said.pop("food", None)
    if clause.dose is not None and clause.dose.get("per_day") and not said and not _divided(clause):
        said = {"frequency": 1, "period": Decimal(1), "periodUnit": "d"}
    if clause.over is not None:
        said |= {"duration": clause.over["value"], "durationUnit": clause.over["unit"]}
        if "high" in clause.over:
            said["durationMax"] = clause.over["high"]
    repeat = _bounds(clause) | {key: said[key] for key in _ORDER if key in said}
    if not repeat:
        return None
    timing: dict[str, Any] = {"repeat": repeat}
    if set(said) <= _ABBREVIATED and "period" in said:
        key = (said["frequency"], said["period"], said["periodUnit"], tuple(said.get("when", ())))
        code = _ABBREVIATIONS.get(key)
        if code is not None:
            timing["code"] = {"coding": [{"system": GTS_ABBREVIATION, "code": code}]}
    return timing


def _way(way: dict[str, Any]) -> dict[str, Any]:
    concept: dict[str, Any] = {}
    if way.get("code"):
        concept["coding"] = [
            {"system": codes.SNOMED, "code": way["code"], "display": way["display"]}
        ]
    concept["text"] = way["display"]
    return concept


def _route(clause: Clause, implied: dict[str, Any] | None) -> dict[str, Any] | None:
    inhaled = clause.method is not None and clause.method.get("code") == "447694001"
    if inhaled and clause.route is not None and clause.route.get("code") == "26643006":
        return _way(clause.method or {})  # Inhaled by mouth goes to the lungs.
    for way in (clause.route, clause.site, clause.method, implied):
        if way is not None and way.get("display"):
            return _way(way)
    return None


def _instructions(clause: Clause) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if (clause.repeat or {}).get("food"):
        found.append({"coding": [{"system": codes.SNOMED} | _WITH_FOOD], "text": "with food"})
    found.extend({"text": note} for note in dict.fromkeys(clause.notes))
    return found


def _maximum(limit: dict[str, Any]) -> dict[str, Any]:
    amount = _quantity(limit["value"], limit)
    if limit["per_unit"] == "dose":
        return {"maxDosePerAdministration": amount}
    return {
        "maxDosePerPeriod": {
            "numerator": amount,
            "denominator": _time(limit["per"], limit["per_unit"]),
        }
    }


def dosages(
    found: Sequence[Clause], text: str, implied_route: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """One `Dosage` per clause; `sequence` where there are several."""
    entries: list[dict[str, Any]] = []
    for clause in found:
        entry: dict[str, Any] = {"sequence": clause.sequence} if len(found) > 1 else {}
        if text:
            entry["text"] = text
        instructions = _instructions(clause)
        if instructions:
            entry["additionalInstruction"] = instructions
        timing = _timing(clause)
        if timing is not None:
            entry["timing"] = timing
        if clause.reason:
            entry["asNeededCodeableConcept"] = {"text": clause.reason}
        elif clause.as_needed:
            entry["asNeededBoolean"] = True
        if clause.site is not None:
            entry["site"] = {"text": clause.site["text"]}
        route = _route(clause, implied_route)
        if route is not None:
            entry["route"] = route
        if clause.method is not None:
            entry["method"] = {"text": clause.method["text"]}
        amount = _dose_and_rate(clause)
        if amount:
            entry["doseAndRate"] = [amount]
        if clause.maximum is not None and "value" in clause.maximum:
            entry |= _maximum(clause.maximum)
        if entry:
            entries.append(entry)
    return entries
