"""Observation: signs and symptoms as present or absent, tests with their value.

https://hl7.org/fhir/R4/observation.html. Status is `preliminary`: nobody has verified it. A test
value that the note dates in the past has no effective time; any other is taken as of the note.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from nlp.derived.condition import deciding
from nlp.derived.note_source import NoteSource, codeable_concept, concept_key, reference, skeleton
from nlp.mention import HISTORICAL, Attribute, Concept, Mention
from schemas import codes

PRESENT = Concept(codes.SNOMED, "52101004", "Present")
ABSENT = Concept(codes.SNOMED, "2667000", "Absent")
_SYSTOLIC = Concept(codes.LOINC, "8480-6", "Systolic blood pressure")
_DIASTOLIC = Concept(codes.LOINC, "8462-4", "Diastolic blood pressure")
_CATEGORY = {"VITAL": "vital-signs", "LAB": "laboratory", "FUNCTION": "exam"}


def _common(resource: dict[str, Any], source: NoteSource, *, dated: bool) -> None:
    resource["subject"] = reference(source.patient)
    if source.encounter:
        resource["encounter"] = reference(source.encounter)
    if dated and source.date:
        resource["effectiveDateTime"] = source.date


def _category(code: str) -> list[dict[str, Any]]:
    return [{"coding": [{"system": codes.OBSERVATION_CATEGORY, "code": code}]}]


def symptom(mentions: Sequence[Mention], source: NoteSource) -> dict[str, Any] | None:
    """Present or absent; None for a symptom that is only past or doubted: no finding of now."""
    # No section decides on a symptom: it may come and go within one visit. Present beats absent.
    holds, evidence = deciding(mentions, frozenset())
    if holds not in ("present", "denied"):
        return None
    first = evidence[0]
    resource = skeleton(source, "Observation", concept_key(first), evidence)
    resource["status"] = "preliminary"
    resource["category"] = _category("exam")
    resource["code"] = codeable_concept(first.concepts, first.text)
    _common(resource, source, dated=True)
    value = PRESENT if holds == "present" else ABSENT
    resource["valueCodeableConcept"] = {
        "coding": [{"system": value.system, "code": value.code, "display": value.display}]
    }
    resource["derivedFrom"] = [reference(source.reference)]
    return resource


def _quantity(value: Decimal, content: dict[str, Any]) -> dict[str, Any]:
    quantity: dict[str, Any] = {"value": value}
    if "comparator" in content:
        quantity["comparator"] = content["comparator"]
    if "code" in content:
        quantity |= {"unit": content["unit"], "system": codes.UCUM, "code": content["code"]}
    return quantity


def value_key(mention: Mention) -> str:
    """What makes two measurements one: the same test with the same value and unit."""
    content = _value(mention).value or {}
    return "|".join((concept_key(mention), *(f"{k}={content[k]}" for k in sorted(content))))


def _value(mention: Mention) -> Attribute:
    found = mention.attribute("TEST_VALUE")
    if found is None:
        raise ValueError("a measurement needs a TEST_VALUE attribute")
    return found


def measurement(mentions: Sequence[Mention], source: NoteSource) -> dict[str, Any]:
    """A test's value or range, blood pressure as two components. ValueError without a value."""
    first = mentions[0]
    content = _value(first).value
    resource = skeleton(source, "Observation", value_key(first), mentions)
    resource["status"] = "preliminary"
    if first.type in _CATEGORY:
        resource["category"] = _category(_CATEGORY[first.type])
    resource["code"] = codeable_concept(first.concepts, first.text)
    _common(resource, source, dated=all(HISTORICAL not in m.traits for m in mentions))
    if "systolic" in content:
        resource["component"] = [
            {
                "code": codeable_concept([concept], concept.display),
                "valueQuantity": _quantity(content[name], content),
            }
            for name, concept in (("systolic", _SYSTOLIC), ("diastolic", _DIASTOLIC))
        ]
    elif "high" in content:
        resource["valueRange"] = {
            # A Range's ends are SimpleQuantity: no comparator.
            "low": _quantity(content["value"], content),
            "high": _quantity(content["high"], content),
        }
    else:
        resource["valueQuantity"] = _quantity(content["value"], content)
    resource["derivedFrom"] = [reference(source.reference)]
    return resource
