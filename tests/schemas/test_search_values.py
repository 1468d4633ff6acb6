"""What search parameters find in resources. https://hl7.org/fhir/R4/search.html"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from schemas.dates import MAX_US, MIN_US, date_range
from schemas.search_values import (
    DateValue,
    IndexValue,
    NumberValue,
    QuantityValue,
    ReferenceValue,
    StringValue,
    TokenValue,
    UriValue,
    extract,
    extract_params,
    normalized,
)

Sample = Callable[[str], dict[str, Any]]


def _values(resource: dict[str, Any], param: str) -> list[IndexValue]:
    return [value for value in extract(resource) if value.param == param]


def _of(kind: str, **elements: Any) -> dict[str, Any]:
    return {"resourceType": kind, **elements}


def test_tokens_of_a_concept(sample: Sample) -> None:
    assert _values(sample("Observation"), "code") == [
        TokenValue("code", "http://loinc.org", "4548-4", "Hemoglobin A1c"),
        TokenValue("code", "http://local", "A1C", None),
        TokenValue("code", None, None, "HbA1c"),
    ]


def test_tokens_of_other_types(sample: Sample) -> None:
    patient = sample("Patient")
    assert _values(patient, "identifier") == [TokenValue("identifier", "urn:mrn", "42", "MRN")]
    assert _values(patient, "phone") == [TokenValue("phone", None, "555-0100", None)]
    assert _values(patient, "email") == [TokenValue("email", None, "ann@example.org", None)]
    # A code has the system of the value set it is bound to.
    assert _values(patient, "gender") == [
        TokenValue("gender", "http://hl7.org/fhir/administrative-gender", "female", None)
    ]
    assert _values(patient, "deceased") == [TokenValue("deceased", None, "true", None)]
    assert _values(_of("Patient"), "deceased") == [TokenValue("deceased", None, "false", None)]
    assert _values(_of("Patient", active=True), "active") == [
        TokenValue("active", None, "true", None)
    ]


def test_resource_level_parameters(sample: Sample) -> None:
    observation = sample("Observation")
    observation["meta"] |= {
        "source": "urn:src",
        "security": [{"system": "http://s", "code": "R"}],
        "lastUpdated": "2024-01-01T00:00:00Z",
    }
    assert _values(observation, "_tag") == [TokenValue("_tag", "http://x.org", "t", None)]
    assert _values(observation, "_security") == [TokenValue("_security", "http://s", "R", None)]
    assert _values(observation, "_profile") == [UriValue("_profile", "http://x.org/p")]
    assert _values(observation, "_source") == [UriValue("_source", "urn:src")]
    assert not _values(observation, "_id") and not _values(observation, "_lastUpdated")


def test_dates(sample: Sample) -> None:
    low, high = date_range("2024-05-01T10:00:00+02:00")
    assert _values(sample("Observation"), "date") == [DateValue("date", low, high)]
    low, _ = date_range("2019-11")
    assert _values(sample("Condition"), "onset-date") == [DateValue("onset-date", low, MAX_US)]
    period = _of("Encounter", period={"end": "2020"})
    assert _values(period, "date") == [DateValue("date", MIN_US, date_range("2020")[1])]
    timing = _of("Observation", effectiveTiming={"event": ["2020", "2022"]})
    assert _values(timing, "date") == [
        DateValue("date", date_range("2020")[0], date_range("2022")[1])
    ]
    assert _values(_of("Patient", birthDate="nonsense"), "birthdate") == []


def test_strings(sample: Sample) -> None:
    patient = sample("Patient")
    assert _values(patient, "family") == [StringValue("family", "Müller", "muller")]
    assert {value.normalized for value in _values(patient, "name")} == {"muller", "ann", "zoe"}  # type: ignore[attr-defined]
    assert {value.text for value in _values(patient, "address")} == {  # type: ignore[attr-defined]
        "1 High St",
        "Ulm",
        "BW",
        "89073",
    }


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("  Ann   Marie\t", "ann marie"),
        ("Zoë", "zoe"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("Ångström", "angstrom"),
        ("ＦＵＬＬ", "full"),
        ("李", "李"),
        ("İstanbul", "istanbul"),
    ],
)
def test_normalization(text: str, folded: str) -> None:
    assert normalized(text) == folded
    assert normalized(folded) == folded


def test_references(sample: Sample) -> None:
    assert _values(sample("Observation"), "subject") == [
        ReferenceValue("subject", "Patient", "p1", None)
    ]
    observation = _of(
        "Observation",
        subject={"reference": "http://x.org/fhir/Patient/9"},
        performer=[
            {"reference": "urn:uuid:a"},
            {"reference": "#c"},
            {"reference": "Patient?identifier=x"},
            {"identifier": {"system": "s", "value": "v"}},
            {"reference": "Practitioner/1/_history/2"},
        ],
    )
    assert _values(observation, "subject") == [
        ReferenceValue("subject", "Patient", "9", "http://x.org/fhir/Patient/9")
    ]
    assert _values(observation, "performer") == [
        ReferenceValue("performer", None, None, "urn:uuid:a"),
        ReferenceValue("performer", None, "#c", None),
        ReferenceValue("performer", "Practitioner", "1", None),
    ]
    assert _values(observation, "performer:identifier") == [
        TokenValue("performer:identifier", "s", "v", None)
    ]


def test_a_reference_parameter_for_one_type_only() -> None:
    group = _of("Observation", subject={"reference": "Group/1"})
    assert _values(group, "subject") and not _values(group, "patient")


def test_canonicals_with_and_without_version() -> None:
    response = _of("QuestionnaireResponse", questionnaire="http://x.org/phq|2")
    assert _values(response, "questionnaire") == [
        ReferenceValue("questionnaire", None, None, "http://x.org/phq"),
        ReferenceValue("questionnaire", None, None, "http://x.org/phq|2"),
    ]


def test_the_first_entry_of_a_bundle(sample: Sample) -> None:
    assert _values(sample("Bundle"), "composition") == [
        ReferenceValue("composition", "Composition", "comp", None)
    ]


def test_quantities(sample: Sample) -> None:
    ucum = "http://unitsofmeasure.org"
    assert _values(sample("Observation"), "value-quantity") == [
        QuantityValue("value-quantity", 7.5, 7.5, ucum, "%", "%")
    ]
    assert len(_values(sample("Observation"), "combo-value-quantity")) == 2
    below = _of("Observation", valueQuantity={"value": 5, "comparator": "<", "unit": "mg"})
    assert _values(below, "value-quantity") == [
        QuantityValue("value-quantity", -math.inf, 5.0, None, None, "mg")
    ]
    sampled = _of(
        "Observation",
        valueSampledData={
            "origin": {"value": 10, "code": "mV", "system": ucum},
            "factor": Decimal("0.5"),
            "data": "2 E 4 nan -6 U",
        },
    )
    assert _values(sampled, "value-quantity") == [
        QuantityValue("value-quantity", 7.0, 12.0, ucum, "mV", None)
    ]
    charge = _of("ChargeItem", priceOverride={"value": 40, "currency": "EUR"})
    assert _values(charge, "price-override") == [
        QuantityValue("price-override", 40.0, 40.0, "urn:iso:std:iso:4217", "EUR", "EUR")
    ]


def test_ranges_may_be_open() -> None:
    condition = _of("Condition", onsetRange={"low": {"value": 40, "code": "a"}})
    assert _values(condition, "onset-age") == [
        QuantityValue("onset-age", 40.0, math.inf, None, "a", None)
    ]


def test_numbers() -> None:
    risk = _of(
        "RiskAssessment",
        prediction=[
            {"probabilityDecimal": Decimal("0.25")},
            {"probabilityRange": {"high": {"value": 1}}},
        ],
    )
    assert _values(risk, "probability") == [
        NumberValue("probability", 0.25, 0.25),
        NumberValue("probability", -math.inf, 1.0),
    ]


def test_extensions_as_parameters() -> None:
    base = "http://hl7.org/fhir/StructureDefinition/"
    observation = _of(
        "Observation",
        extension=[
            {"url": base + "observation-geneticsGene",
             "valueCodeableConcept": {"coding": [{"system": "hgnc", "code": "1"}]}},
            {"url": "http://other", "valueString": "no"},
        ],
    )  # fmt: skip
    assert _values(observation, "gene-identifier") == [
        TokenValue("gene-identifier", "hgnc", "1", None)
    ]


def test_each_value_is_there_once() -> None:
    twice = _of("Observation", code={"coding": [{"code": "1"}, {"code": "1"}]})
    assert _values(twice, "code") == [TokenValue("code", None, "1", None)]


def test_some_parameters_only(sample: Sample) -> None:
    found = extract_params(sample("Observation"), ("subject", "status", "none"))
    assert {value.param for value in found} == {"subject", "status"}
    assert set(found) <= set(extract(sample("Observation")))


def test_every_value_knows_its_kind(any_sample: dict[str, Any]) -> None:
    kinds = {"token", "date", "string", "reference", "number", "quantity", "uri"}
    kinds |= {"composite", "position"}
    assert {value.type for value in extract(any_sample)} <= kinds


def test_no_resource_no_value() -> None:
    assert extract({}) == extract({"resourceType": 3}) == extract({"resourceType": "No"}) == []
