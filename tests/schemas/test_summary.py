"""Parts of resources: `_summary` and `_elements` (R4 search.html#summary, #elements)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from schemas.outcomes import FhirError
from schemas.parse import canonical_bytes
from schemas.summary import (
    SUBSETTED,
    SUMMARIES,
    is_subsetted,
    parse_elements,
    subset_issues,
    summary,
)
from schemas.validate import validate

Sample = Callable[[str], dict[str, Any]]


def part(resource: dict[str, Any], kind: str) -> dict[str, Any]:
    keep = summary(kind)
    assert keep is not None
    return keep(resource)


def keys(resource: dict[str, Any]) -> set[str]:
    return set(resource) - {"resourceType", "id", "meta"}


def test_parts_are_valid_marked_and_made_of_a_copy(any_sample: dict[str, Any]) -> None:
    before = canonical_bytes(any_sample)
    elements = parse_elements("id")
    for kept in (*(part(any_sample, kind) for kind in ("true", "text", "data")),
                 elements.keep(any_sample)):  # fmt: skip
        assert is_subsetted(kept)
        assert validate(kept) == []
        assert (
            kept["meta"].items()
            >= {
                name: value for name, value in any_sample.get("meta", {}).items() if name != "tag"
            }.items()
        )
    assert canonical_bytes(any_sample) == before


def test_true_has_what_the_definitions_flag(sample: Sample) -> None:
    patient = sample("Patient")
    patient |= {
        "text": {"status": "generated", "div": "<div xmlns='http://www.w3.org/1999/xhtml'/>"},
        "maritalStatus": {"text": "m"},
        "photo": [{"url": "urn:x", "data": "AAAA"}],
    }
    assert keys(part(patient, "true")) == {
        "identifier", "name", "telecom", "gender", "birthDate", "deceasedDateTime", "address",
    }  # fmt: skip


def test_true_goes_by_the_flags_of_datatypes_too() -> None:
    resource = {
        "resourceType": "DocumentReference",
        "status": "current",
        "content": [{"attachment": {"contentType": "text/plain", "data": "AA==", "title": "t"}}],
    }
    attachment = part(resource, "true")["content"][0]["attachment"]
    assert attachment == {"contentType": "text/plain", "title": "t"}


def test_true_keeps_what_stands_for_a_missing_mandatory_value() -> None:
    absent = {"extension": [{"url": "urn:data-absent-reason", "valueCode": "unknown"}]}
    resource = {
        "resourceType": "Observation",
        "_status": absent,
        "code": {"extension": absent["extension"]},
        "component": [{"code": {"text": "c"}, "interpretation": [{"text": "high"}]}],
    }
    kept = part(resource, "true")
    assert kept["_status"] == absent
    assert kept["code"] == resource["code"]
    assert kept["component"] == [{"code": {"text": "c"}}]


def test_true_inside_of_a_bundle(sample: Sample) -> None:
    kept = part(sample("Bundle"), "true")
    inner = kept["entry"][0]["resource"]
    assert is_subsetted(kept)
    assert is_subsetted(inner)


def test_text_and_data_divide_the_narrative(sample: Sample) -> None:
    resource = {**sample("Observation"), "text": {"status": "empty", "div": "<div/>"}}
    assert keys(part(resource, "text")) == {"text", "status", "code"}
    assert keys(part(resource, "data")) == keys(resource) - {"text"}


def test_contained_resources_that_are_referred_to_stay(sample: Sample) -> None:
    request = sample("MedicationRequest")
    maker = {"resourceType": "Organization", "id": "maker", "name": "M"}
    request["contained"][0]["manufacturer"] = {"reference": "#maker"}
    request["contained"] += [maker, {"resourceType": "Organization", "id": "other", "name": "O"}]
    kept = part(request, "true")
    assert [one["id"] for one in kept["contained"]] == ["drug", "maker"]
    # By a canonical as well as by a reference.
    questionnaire = {
        "resourceType": "Questionnaire",
        "status": "active",
        "contained": [{"resourceType": "ValueSet", "id": "v", "status": "active"}],
        "item": [{"linkId": "1", "type": "choice", "answerValueSet": "#v"}],
    }
    assert "contained" in parse_elements("item").keep(questionnaire)
    assert "contained" not in parse_elements("title").keep(questionnaire)


def test_values_of_summary() -> None:
    assert [kind for kind in SUMMARIES if summary(kind) is None] == ["count", "false"]
    with pytest.raises(FhirError, match="_summary is one of"):
        summary("yes")


def test_elements_keep_mandatory_and_modifier_elements(sample: Sample) -> None:
    patient = {
        **sample("Patient"),
        "active": False,
        "implicitRules": "urn:r",
        "_gender": {"id": "g"},
    }
    kept = parse_elements("gender,resourceType", "Patient").keep(patient)
    assert keys(kept) == {"gender", "_gender", "active", "implicitRules", "deceasedDateTime"}
    observation = sample("Observation")
    assert keys(parse_elements("value", "Observation").keep(observation)) == {
        "status", "code", "valueQuantity",
    }  # fmt: skip
    for name in ("value[x]", "valueQuantity", "Observation.value"):
        assert "valueQuantity" in parse_elements(name, "Observation").keep(observation)
    assert "valueQuantity" not in parse_elements("valueString", "Observation").keep(observation)


def test_elements_of_included_resources(sample: Sample) -> None:
    elements = parse_elements("status,Patient.name,Patient.gender", "Observation")
    patient, note = sample("Patient"), sample("DocumentReference")
    assert keys(elements.keep(sample("Observation"))) == {"status", "code"}
    assert keys(elements.keep(patient, included=True)) == {"name", "gender", "deceasedDateTime"}
    assert elements.keep(note, included=True) is note
    only_typed = parse_elements("Patient.name", "Observation")
    assert only_typed.keep(note) is note


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("foo", "'foo' is no element of Patient"),
        ("birthdate", "Did you mean 'birthDate'"),
        ("name.family", "Only elements of the resource itself"),
        ("Observation.foo", "'foo' is no element of Observation"),
        ("gender[x]", "no element"),
        ("", "separated by commas"),
        ("name,,id", "separated by commas"),
    ],
)
def test_elements_that_are_none(text: str, said: str) -> None:
    with pytest.raises(FhirError) as failure:
        parse_elements(text, "Patient")
    assert failure.value.issues[0].expression == ("_elements",)
    assert said in failure.value.issues[0].diagnostics


def test_elements_without_a_type_are_those_of_any() -> None:
    assert parse_elements("status").own == {"status"}
    with pytest.raises(FhirError, match="any resource type"):
        parse_elements("nonsense")


def test_a_part_is_not_to_be_stored(sample: Sample) -> None:
    patient = sample("Patient")
    assert subset_issues(patient) == []
    issues = subset_issues(part(patient, "data"))
    assert [issue.expression for issue in issues] == [("Patient.meta.tag",)]
    other = copy.deepcopy(patient)
    other["meta"] = {"tag": [{**SUBSETTED, "system": "urn:other"}]}
    assert subset_issues(other) == []


def test_the_tag_is_there_once(sample: Sample) -> None:
    once = part(sample("Patient"), "data")
    assert part(once, "data") == once
