"""Structural validation. https://hl7.org/fhir/R4/validation.html"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from schemas.outcomes import FhirError, operation_outcome
from schemas.validate import MAX_ISSUES, check, validate

Sample = Callable[[str], dict[str, Any]]


def _issues(resource: dict[str, Any]) -> list[tuple[str, str]]:
    return [(issue.code, issue.expression[0]) for issue in validate(resource)]


def test_the_samples_are_valid(any_sample: dict[str, Any]) -> None:
    assert validate(any_sample) == []
    check(any_sample, any_sample["resourceType"])


@pytest.mark.parametrize(
    ("elements", "code", "place"),
    [
        # elements
        ({"favouriteColour": "red"}, "structure", "Patient.favouriteColour"),
        ({"name": [{"familly": "A"}]}, "structure", "Patient.name[0].familly"),
        ({"_name": [{}]}, "structure", "Patient._name"),
        ({"deceased": True}, "structure", "Patient.deceased"),
        ({"fhir_comments": ["x"]}, "structure", "Patient.fhir_comments"),
        # JSON types
        ({"gender": ["male"]}, "value", "Patient.gender"),
        ({"name": {"family": "A"}}, "structure", "Patient.name"),
        ({"name": ["A"]}, "structure", "Patient.name[0]"),
        ({"maritalStatus": "M"}, "structure", "Patient.maritalStatus"),
        ({"maritalStatus": [{"text": "M"}]}, "structure", "Patient.maritalStatus"),
        ({"active": "true"}, "value", "Patient.active"),
        ({"active": 1}, "value", "Patient.active"),
        ({"multipleBirthInteger": Decimal("1.0")}, "value", "Patient.multipleBirthInteger"),
        ({"multipleBirthInteger": 2**31}, "value", "Patient.multipleBirthInteger"),
        ({"birthDate": 1950}, "value", "Patient.birthDate"),
        # emptiness
        ({"name": []}, "structure", "Patient.name"),
        ({"name": [{}]}, "structure", "Patient.name[0]"),
        ({"maritalStatus": {}}, "structure", "Patient.maritalStatus"),
        ({"maritalStatus": {"id": "x"}}, "structure", "Patient.maritalStatus"),
        ({"language": ""}, "value", "Patient.language"),
        ({"name": [None]}, "structure", "Patient.name[0]"),
        ({"active": None}, "value", "Patient.active"),
        ({"maritalStatus": None}, "structure", "Patient.maritalStatus"),
        ({"name": None}, "structure", "Patient.name"),
        # primitives
        ({"id": "no id"}, "value", "Patient.id"),
        ({"id": "x" * 65}, "value", "Patient.id"),
        ({"birthDate": "1999-02-30"}, "value", "Patient.birthDate"),
        ({"birthDate": "yesterday"}, "value", "Patient.birthDate"),
        ({"birthDate": "1999-01-01T10:00:00Z"}, "value", "Patient.birthDate"),
        ({"deceasedDateTime": "1999-01-01T10:00:00"}, "value", "Patient.deceasedDateTime"),
        ({"implicitRules": "a b"}, "value", "Patient.implicitRules"),
        ({"name": [{"family": "a\x00b"}]}, "value", "Patient.name[0].family"),
        ({"name": [{"given": ["a", ""]}]}, "value", "Patient.name[0].given[1]"),
        ({"photo": [{"data": "a=b"}]}, "value", "Patient.photo[0].data"),
        ({"meta": {"lastUpdated": "2024"}}, "value", "Patient.meta.lastUpdated"),
        ({"text": {"status": "generated", "div": "x"}}, "value", "Patient.text.div"),
        # cardinality
        ({"link": [{"type": "seealso"}]}, "required", "Patient.link[0].other"),
        ({"text": {"div": "<div>x</div>"}}, "required", "Patient.text.status"),
        # choice
        ({"deceasedBoolean": True, "deceasedDateTime": "2020"}, "structure",
         "Patient.deceasedDateTime"),
        ({"deceasedBoolean": True, "_deceasedDateTime": {"extension": [
            {"url": "u", "valueCode": "c"}]}}, "structure", "Patient.deceasedDateTime"),
        # bindings
        ({"gender": "f"}, "code-invalid", "Patient.gender"),
        ({"name": [{"use": "first"}]}, "code-invalid", "Patient.name[0].use"),
        # extensions
        ({"extension": [{"valueString": "x"}]}, "required", "Patient.extension[0].url"),
        ({"extension": [{"url": "u"}]}, "structure", "Patient.extension[0]"),
        ({"extension": [{"url": "u", "valueString": "x", "extension": [
            {"url": "v", "valueCode": "c"}]}]}, "structure", "Patient.extension[0]"),
        ({"extension": [{"url": "u", "valueString": "x", "valueCode": "c"}]}, "structure",
         "Patient.extension[0].valueCode"),
        # siblings of primitives
        ({"birthDate": "1950", "_birthDate": {}}, "structure", "Patient._birthDate"),
        ({"birthDate": "1950", "_birthDate": [{}]}, "structure", "Patient._birthDate"),
        ({"_birthDate": {"id": "x"}}, "structure", "Patient._birthDate"),
        ({"birthDate": "1950", "_birthDate": {"value": "x"}}, "structure",
         "Patient._birthDate.value"),
        ({"name": [{"given": ["a", None]}]}, "structure", "Patient.name[0].given[1]"),
        ({"name": [{"given": ["a"], "_given": [None, {"id": "x"}]}]}, "structure",
         "Patient.name[0]._given"),
        ({"name": [{"_given": [None]}]}, "structure", "Patient.name[0]._given[0]"),
        # references
        ({"managingOrganization": {"reference": "Patient/1"}}, "value",
         "Patient.managingOrganization.reference"),
        ({"managingOrganization": {"reference": "Foo/1"}}, "value",
         "Patient.managingOrganization.reference"),
        ({"managingOrganization": {"reference": "#none"}}, "value",
         "Patient.managingOrganization.reference"),
        # contained resources
        ({"contained": [{"id": "x"}]}, "structure", "Patient.contained[0].resourceType"),
        ({"contained": [{"resourceType": "Foo", "id": "x"}]}, "structure",
         "Patient.contained[0].resourceType"),
        ({"contained": [{"resourceType": "Organization", "nam": "x"}]}, "structure",
         "Patient.contained[0].nam"),
        ({"contained": [{"resourceType": "Organization", "contained": [
            {"resourceType": "Device"}]}]}, "structure", "Patient.contained[0].contained[0]"),
        ({"contained": ["x"]}, "structure", "Patient.contained[0]"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(elements: dict[str, Any], code: str, place: str) -> None:
    found = _issues({"resourceType": "Patient", **elements})
    assert (code, place) in found
    assert len(found) <= 2


@pytest.mark.parametrize(
    "elements",
    [
        {"name": [{"given": ["a", None], "_given": [None, {"extension": [
            {"url": "http://x", "valueCode": "c"}]}]}]},
        {"birthDate": "1950", "_birthDate": {"id": "b"}},
        {"_birthDate": {"extension": [{"url": "http://x", "valueCode": "c"}]}},
        {"deceasedBoolean": False, "_deceasedBoolean": {"id": "x"}},
        {"birthDate": "1950"},
        {"birthDate": "2024-02-29"},
        {"multipleBirthInteger": 3},
        {"extension": [{"url": "u", "_valueString": {"extension": [
            {"url": "v", "valueCode": "c"}]}}]},
        {"extension": [{"url": "u", "valueDecimal": 1}, {"url": "v", "valueMeta": {
            "profile": ["http://p"]}}]},
        {"managingOrganization": {"reference": "http://elsewhere.org/what?ever"}},
        {"managingOrganization": {"reference": "urn:uuid:x"}},
        {"managingOrganization": {"reference": "Organization?identifier=http://x|1"}},
        {"managingOrganization": {"reference": "#o"},
         "contained": [{"resourceType": "Organization", "id": "o", "partOf": {"reference": "#"}}]},
        {"text": {"status": "empty", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">a\n</div>"}},
        {"photo": [{"contentType": "image/png", "data": "QUJD\r\nREVG"}]},
    ],
)  # fmt: skip
def test_what_is_odd_but_right(elements: dict[str, Any]) -> None:
    assert validate({"resourceType": "Patient", **elements}) == []


def test_missing_elements_are_all_named() -> None:
    found = _issues({"resourceType": "Observation"})
    assert found == [("required", "Observation.status"), ("required", "Observation.code")]
    # A choice is named by its element; a sibling alone satisfies it.
    order = {"resourceType": "MedicationRequest", "status": "active", "intent": "order"}
    order["subject"] = {"reference": "Patient/1"}  # type: ignore[assignment]
    assert _issues(order) == [("required", "MedicationRequest.medication")]
    status = {"_status": {"extension": [{"url": "u", "valueCode": "unknown"}]}}
    assert validate({"resourceType": "Observation", "code": {"text": "x"}, **status}) == []


def test_a_near_name_is_suggested() -> None:
    (issue,) = validate({"resourceType": "Patient", "birthdate": "1950"})
    assert "Did you mean 'birthDate'?" in issue.diagnostics


def test_required_bindings_of_concepts(sample: Sample) -> None:
    condition = sample("Condition")
    system = condition["clinicalStatus"]["coding"][0]["system"]
    for odd in (
        {"coding": [{"system": system, "code": "cured"}]},
        {"coding": [{"system": "http://other", "code": "active"}]},
        {"coding": [{"code": "active"}]},
        {"text": "active"},
    ):
        condition["clinicalStatus"] = odd
        assert _issues(condition) == [("code-invalid", "Condition.clinicalStatus")]
    coding = [{"system": "http://other", "code": "x"}, {"system": system, "code": "active"}]
    condition["clinicalStatus"] = {"coding": coding}
    assert validate(condition) == []


def test_resources_in_entries_are_validated(sample: Sample) -> None:
    bundle = sample("Bundle")
    bundle["entry"][0]["resource"]["title"] = 5
    assert _issues(bundle) == [("value", "Bundle.entry[0].resource.title")]
    # Each entry has contained resources of its own.
    entry = {"resourceType": "Patient", "managingOrganization": {"reference": "#o"}}
    bundle["entry"] = [{"resource": entry}]
    assert _issues(bundle) == [("value", "Bundle.entry[0].resource.managingOrganization.reference")]
    entry["contained"] = [{"resourceType": "Organization", "id": "o"}]  # type: ignore[assignment]
    assert validate(bundle) == []


def test_the_expected_type() -> None:
    (issue,) = validate({"resourceType": "Patient"}, "Observation")
    assert "Observation belongs here" in issue.diagnostics


def test_check_raises_all_issues() -> None:
    with pytest.raises(FhirError) as caught:
        check({"resourceType": "Observation"})
    assert caught.value.category == "structure"
    assert len(caught.value.issues) == 2


def test_issues_are_bounded() -> None:
    found = validate({"resourceType": "Patient", "name": [{"x": 1}] * 1000})
    assert len(found) == MAX_ISSUES + 1
    assert found[-1].severity == "information"


def test_texts_do_not_repeat_content() -> None:
    secret = "Ann Secret 1950-02-30"
    elements = {
        "birthDate": secret,
        "name": [{"family": [secret], "given": [secret + "\x00"], "period": {"start": secret}}],
        "id": secret,
        "telecom": [{"rank": secret, "value": {"x": secret}}],
        "managingOrganization": {"reference": secret},
        "photo": [{"data": secret, "url": secret}],
        "deceasedDateTime": secret,
    }
    found = validate({"resourceType": "Patient", **elements})
    assert len(found) >= 9
    assert "Secret" not in str(operation_outcome(found))


@pytest.mark.parametrize("resource", [{}, {"resourceType": 1}, {"resourceType": None}])
def test_no_type_no_crash(resource: dict[str, Any]) -> None:
    assert [code for code, _ in _issues(resource)] == ["structure"]


def test_types_that_r4b_changed_are_those_of_r4() -> None:
    evidence = {
        "resourceType": "Evidence",
        "status": "draft",
        "exposureBackground": {"reference": "EvidenceVariable/1"},
    }
    assert validate(evidence) == []
    of_r4b = {"resourceType": "Evidence", "status": "draft", "variableDefinition": [{}]}
    places = {place for issue in validate(of_r4b) for place in issue.expression}
    assert {"Evidence.variableDefinition", "Evidence.exposureBackground"} <= places
    product = {"resourceType": "MedicinalProduct", "name": [{"productName": "x"}]}
    assert validate(product) == []
    assert validate({"resourceType": "MedicinalProductDefinition"}) != []
