"""Observation: signs and symptoms as present or absent, tests with their value.

https://hl7.org/fhir/R4/observation.html. Status is `preliminary`: nobody has verified it. A result
with a date of its own has that; one of another day that is not written out (`last week`) has none;
any other is taken as of the note. A unit that the note does not write is said to be assumed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from nlp.derived.condition import deciding
from nlp.derived.note_source import NoteSource, codeable_concept, concept_key, reference, skeleton
from nlp.mention import HISTORICAL, Attribute, Concept, Mention
from nlp.results import qualitative
from nlp.results.interpretation import DISPLAYS
from nlp.results.result_dates import NOTE
from schemas import codes

PRESENT = Concept(codes.SNOMED, "52101004", "Present")
ABSENT = Concept(codes.SNOMED, "2667000", "Absent")
_SYSTOLIC = Concept(codes.LOINC, "8480-6", "Systolic blood pressure")
_DIASTOLIC = Concept(codes.LOINC, "8462-4", "Diastolic blood pressure")
_OXYGEN_FLOW = Concept(codes.LOINC, "3151-8", "Inhaled oxygen flow rate")
_ASSUMED = "The note writes no unit; it follows from the test and the size of the number."
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
        quantity |= {
            "unit": content.get("unit", content["code"]),
            "system": codes.UCUM,
            "code": content["code"],
        }
    return quantity


def results(mention: Mention) -> Iterator[Mention]:
    """The mention once for each of its results, with that one alone."""
    values = [a for a in mention.attributes if a.type == "TEST_VALUE"]
    if len(values) < 2:
        yield mention
        return
    others = tuple(a for a in mention.attributes if a.type != "TEST_VALUE")
    for value in values:
        yield replace(mention, attributes=(value, *others))


def value_key(mention: Mention) -> str:
    """What makes two measurements one: the same test with the same value, unit and date."""
    content = _value(mention).value or {}
    return "|".join((concept_key(mention), *(f"{k}={content[k]}" for k in sorted(content))))


def _value(mention: Mention) -> Attribute:
    found = mention.attribute("TEST_VALUE")
    if found is None:
        raise ValueError("a measurement needs a TEST_VALUE attribute")
    return found


def _component(concept: Concept, quantity: dict[str, Any]) -> dict[str, Any]:
    return {"code": codeable_concept([concept], concept.display), "valueQuantity": quantity}


def _components(content: dict[str, Any]) -> list[dict[str, Any]]:
    """Blood pressure, a panel written as one, or the oxygen that a saturation was measured on."""
    if "systolic" in content:
        return [
            _component(concept, _quantity(content[name], content))
            for name, concept in (("systolic", _SYSTOLIC), ("diastolic", _DIASTOLIC))
        ]
    if "flow" in content:
        return [_component(_OXYGEN_FLOW, _quantity(content["flow"], {"code": "L/min"}))]
    return [
        _component(
            Concept(codes.LOINC, part["loinc"], part["display"]), _quantity(part["value"], part)
        )
        for part in content.get("components", ())
    ]


def _set_value(resource: dict[str, Any], found: Attribute) -> None:
    """Observation.value[x]; nothing for what has components alone."""
    content = found.value
    if "concept" in content:
        coded = qualitative.concept(content["concept"])
        resource["valueCodeableConcept"] = codeable_concept([coded], found.text)
    elif "words" in content:
        resource["valueCodeableConcept"] = {"text": content["words"]}
    elif "grade" in content:
        resource["valueCodeableConcept"] = {"text": f"class {content['grade']}"}
    elif "dilution" in content:
        resource["valueRatio"] = {
            "numerator": {"value": Decimal(1)},
            "denominator": _quantity(content["dilution"], {}),
        }
        if "comparator" in content:
            # `> 1:640`: the dilution is the greater, the ratio's numerator stays one.
            resource["valueRatio"]["denominator"]["comparator"] = content["comparator"]
    elif "high" in content:
        resource["valueRange"] = {
            # A Range's ends are SimpleQuantity: no comparator.
            "low": _quantity(content["value"], content),
            "high": _quantity(content["high"], content),
        }
    elif "value" in content:
        resource["valueQuantity"] = _quantity(content["value"], content)


def _set_comparison(resource: dict[str, Any], content: dict[str, Any]) -> None:
    """Interpretation and reference range, as written."""
    flag = content.get("interpretation")
    if flag is not None:
        coding = {"system": codes.OBSERVATION_INTERPRETATION, "code": flag}
        resource["interpretation"] = [{"coding": [{**coding, "display": DISPLAYS[flag]}]}]
    reference_range = content.get("reference")
    if reference_range is not None:
        unit: dict[str, Any] = {key: content[key] for key in ("code", "unit") if key in content}
        resource["referenceRange"] = [
            {name: _quantity(bound, unit) for name, bound in reference_range.items()}
        ]


def measurement(mentions: Sequence[Mention], source: NoteSource) -> dict[str, Any]:
    """A test's result: quantity, range, ratio or code; ValueError for a mention without one."""
    first = mentions[0]
    found = _value(first)
    content = found.value
    resource = skeleton(source, "Observation", value_key(first), mentions)
    resource["status"] = "preliminary"
    if first.type in _CATEGORY:
        resource["category"] = _category(_CATEGORY[first.type])
    concepts = first.concepts
    if "coding" in content:
        concepts = (Concept(**content["coding"]),) if content["coding"] is not None else ()
    resource["code"] = codeable_concept(concepts, first.text)
    of_note = content.get("date") == NOTE or (
        "date" not in content and all(HISTORICAL not in m.traits for m in mentions)
    )
    _common(resource, source, dated=of_note)
    written = content.get("date", "")
    if written[:1].isdigit():
        resource["effectiveDateTime"] = written
    _set_value(resource, found)
    components = _components(content)
    if components:
        resource["component"] = components
    _set_comparison(resource, content)
    if content.get("unitWritten") is False and ("code" in content or "components" in content):
        resource["note"] = [{"text": _ASSUMED}]
    resource["derivedFrom"] = [reference(source.reference)]
    return resource
