"""Every resource is valid R4, every reference resolves, every code is of a known system."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from schemas.codes import CVX, ICD10CM, LOINC, RXNORM, SNOMED
from schemas.ids import iter_references
from schemas.parse import canonical_bytes, parse_resource
from schemas.validate import validate
from service.synth import shared_resources

CLINICAL = {SNOMED, LOINC, RXNORM, ICD10CM, CVX}


def test_every_resource_is_valid(population: list) -> None:
    issues = [
        (resource["resourceType"], issue)
        for record in population[:150]
        for resource in record.resources
        for issue in validate(resource)
    ]
    issues += [(r["resourceType"], issue) for r in shared_resources(20) for issue in validate(r)]
    assert issues == []


def test_an_invalid_resource_would_be_noticed(population: list) -> None:
    broken = {**population[0].patient, "gender": "F"}
    assert validate(broken)


def test_every_reference_resolves(population: list) -> None:
    shared = {f"{r['resourceType']}/{r['id']}" for r in shared_resources(20)}
    for record in population:
        own = {f"{r['resourceType']}/{r['id']}" for r in record.resources}
        for resource in record.resources:
            for expression, holder in iter_references(resource):
                assert holder["reference"] in own | shared, expression


def test_every_clinical_resource_is_about_the_patient(population: list) -> None:
    for record in population:
        reference = f"Patient/{record.id}"
        for resource in record.resources[1:]:
            subject = resource.get("subject") or resource.get("patient")
            assert subject["reference"] == reference


def _numbers(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [n for v in value.values() for n in _numbers(v)]
    if isinstance(value, list):
        return [n for v in value for n in _numbers(v)]
    return [value] if isinstance(value, (float, Decimal)) else []


def test_numbers_are_decimals_and_survive_a_round_trip(population: list) -> None:
    for record in population[:60]:
        for resource in record.resources:
            assert not any(isinstance(n, float) for n in _numbers(resource))
            again = parse_resource(canonical_bytes(resource))
            assert canonical_bytes(again) == canonical_bytes(resource)


def test_conditions_carry_snomed_and_icd10_and_drugs_product_and_ingredient(
    population: list,
) -> None:
    for record in population:
        for resource in record.resources:
            if resource["resourceType"] == "Condition":
                assert [c["system"] for c in resource["code"]["coding"]] == [SNOMED, ICD10CM]
            if resource["resourceType"] == "MedicationRequest":
                codings = resource["medicationCodeableConcept"]["coding"]
                assert [c["system"] for c in codings] == [RXNORM, RXNORM]
                assert codings[0]["code"] != codings[1]["code"]
