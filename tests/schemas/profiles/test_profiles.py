"""What a profile may demand, each on its own.

https://hl7.org/fhir/R4/elementdefinition.html, https://hl7.org/fhir/R4/profiling.html
"""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.profiles.values import equals, matches
from tests.schemas.profiles.conftest import BASE, URL, Checker

Json = dict[str, Any]
PATIENT: Json = {"resourceType": "Patient"}
OBSERVATION: Json = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}


@pytest.mark.parametrize("view", ["snapshot", "differential"])
def test_cardinality(check: Checker, view: str) -> None:
    check.add(
        "Patient",
        {"id": "Patient.birthDate", "min": 1, "max": "1"},
        {"id": "Patient.name", "min": 0, "max": "2"},
        {"id": "Patient.photo", "min": 0, "max": "0"},
        {"id": "Patient.contact.relationship", "min": 1, "max": "*"},
        view=view,
    )
    assert check.errors(PATIENT) == ["Patient.birthDate"]
    absent = {"url": BASE + "data-absent-reason", "valueCode": "unknown"}
    assert check.errors({**PATIENT, "_birthDate": {"extension": [absent]}}) == []
    good = {**PATIENT, "birthDate": "2000"}
    assert check.errors(good) == []
    assert check.errors({**good, "name": [{"text": "a"}] * 3}) == ["Patient.name"]
    assert check.errors({**good, "photo": [{"title": "a"}]}) == ["Patient.photo"]
    found = check.errors({**good, "contact": [{"gender": "male"}, {"relationship": [{}]}]})
    assert found == ["Patient.contact[0].relationship"]


@pytest.mark.parametrize(
    ("element", "key", "good", "bad"),
    [
        ({"fixedCode": "male"}, "gender", "male", "female"),
        ({"patternCode": "male"}, "gender", "male", "female"),
        ({"maxValueDate": "2000-06-30"}, "birthDate", "2000-06-30", "2000-07-01"),
        ({"maxValueDate": "2000"}, "birthDate", "2000-12-31", "2001-01"),
        ({"minValueDate": "2000"}, "birthDate", "2000", "1999-12-31"),
        ({"minValueInteger": 2}, "multipleBirthInteger", 2, 1),
        ({"maxValueInteger": 2}, "multipleBirthInteger", 2, 3),
        ({"fixedBoolean": True}, "active", True, False),
        ({"maxLength": 3}, "language", "deu", "de-CH"),
    ],
)
def test_one_value(check: Checker, element: Json, key: str, good: Any, bad: Any) -> None:
    check.add("Patient", {"id": f"Patient.{key}", **element})
    assert check.errors({**PATIENT, key: good}) == []
    assert check.errors({**PATIENT, key: bad}) == [f"Patient.{key}"]
    assert check.errors(PATIENT) == []


def test_bounds_of_quantities_are_in_one_unit(check: Checker) -> None:
    low = {"value": Decimal("0.5"), "code": "mg"}
    check.add("Observation", {"id": "Observation.value[x]", "minValueQuantity": low})
    for value, unit, fits in ((Decimal("0.50"), "mg", True), (0, "mg", False), (1, "g", False)):
        quantity = {"value": value, "code": unit}
        found = check.errors({**OBSERVATION, "valueQuantity": quantity})
        assert found == ([] if fits else ["Observation.valueQuantity"])


def test_types_of_a_choice(check: Checker) -> None:
    check.add("Observation", {"id": "Observation.value[x]", "type": [{"code": "Quantity"}]})
    assert check.errors({**OBSERVATION, "valueQuantity": {"value": 1}}) == []
    assert check.errors({**OBSERVATION, "valueString": "x"}) == ["Observation.valueString"]


@pytest.mark.parametrize("id", ["Observation.valueQuantity", "Observation.value[x]:valueQuantity"])
def test_slice_of_a_choice(check: Checker, id: str) -> None:
    check.add(
        "Observation",
        {"id": id, "min": 0, "max": "1"},
        {"id": f"{id}.code", "min": 1},
    )
    assert check.errors({**OBSERVATION, "valueString": "x"}) == []
    assert check.errors({**OBSERVATION, "valueQuantity": {"code": "mg"}}) == []
    assert check.errors({**OBSERVATION, "valueQuantity": {"value": 1}}) == [
        "Observation.valueQuantity.code"
    ]


def test_targets_of_references(check: Checker) -> None:
    adult = "http://example.org/StructureDefinition/adult"
    check.add("Patient", {"id": "Patient.birthDate", "min": 1}, url=adult)
    check.add(
        "Observation",
        {"id": "Observation.subject", "type": [{"code": "Reference", "targetProfile": [adult]}]},
    )

    def about(reference: Json, *contained: Json) -> list[str]:
        return check.errors({**OBSERVATION, "subject": reference, "contained": list(contained)})

    assert about({"reference": "Patient/1"}) == []
    assert about({"reference": "Group/1"}) == ["Observation.subject.reference"]
    assert about({"type": "Device", "display": "x"}) == ["Observation.subject.reference"]
    born = {**PATIENT, "id": "p", "birthDate": "1999"}
    assert about({"reference": "#p"}, born) == []
    assert about({"reference": "#p"}, {**PATIENT, "id": "p"}) == ["Observation.subject.reference"]
    resolved = check.errors(
        {**OBSERVATION, "subject": {"reference": "Patient/1"}}, resolve=lambda _text: PATIENT
    )
    assert resolved == ["Observation.subject.reference"]


def test_constraints(check: Checker) -> None:
    check.add(
        "Patient",
        {
            "id": "Patient.name",
            "constraint": [
                {"key": "n-1", "severity": "error", "human": "A", "expression": "family.exists()"},
                {"key": "n-2", "severity": "warning", "human": "B", "expression": "given.exists()"},
                {"key": "n-3", "severity": "error", "human": "C", "expression": "given | family"},
            ],
        },
    )
    issues = check.issues({**PATIENT, "name": [{"text": "x"}, {"family": "A", "given": ["B"]}]})
    found = [(i.severity, i.code, i.expression[0]) for i in issues]
    assert found == [
        ("error", "invariant", "Patient.name[0]"),
        ("warning", "invariant", "Patient.name[0]"),
        ("warning", "not-supported", "Patient.name[1]"),
    ]
    assert "n-1" in issues[0].diagnostics


def test_bindings(check: Checker) -> None:
    must, may, most = "http://vs/must", "http://vs/may", "http://vs/most"
    most_of = {"url": BASE + "elementdefinition-maxValueSet", "valueCanonical": most}
    check.add(
        "Patient",
        {
            "id": "Patient.maritalStatus",
            "binding": {"strength": "required", "valueSet": must},
        },
        {
            "id": "Patient.contact.relationship",
            "binding": {"strength": "extensible", "valueSet": may, "extension": [most_of]},
        },
    )
    check.codes = {(must, "s", "a"): True, (must, "s", "b"): False, (may, "s", "a"): True,
                   (may, "s", "b"): False, (most, "s", "b"): True, (most, "s", "a"): True,
                   (may, "t", "c"): False, (most, "t", "c"): False}  # fmt: skip

    def marital(*codings: Json, **more: Any) -> list[tuple[str, str]]:
        concept = {"coding": list(codings), **more} if codings else more
        found = check.issues({**PATIENT, "maritalStatus": concept})
        return [(i.severity, i.code) for i in found]

    a, b, unknown = ({"system": "s", "code": code} for code in "abx")
    assert marital(a) == marital(b, a) == marital(unknown, a) == []
    assert marital(b) == marital(text="x") == [("error", "code-invalid")]
    assert marital(unknown) == [("warning", "not-supported")]

    def related(coding: Json | None) -> list[tuple[str, str]]:
        concept = {"coding": [coding]} if coding else {"text": "x"}
        found = check.issues({**PATIENT, "contact": [{"relationship": [concept]}]})
        return [(i.severity, i.code) for i in found]

    assert related(a) == []
    assert related(b) == [("warning", "code-invalid")]
    elsewhere = {"system": "t", "code": "c"}
    assert related(elsewhere) == [("warning", "code-invalid"), ("error", "code-invalid")]


def test_extensions_by_their_definitions(check: Checker) -> None:
    inner = "http://example.org/inner"
    check.add(
        "Extension",
        {"id": "Extension.extension", "max": "0"},
        {"id": "Extension.url", "fixedUri": inner},
        {"id": "Extension.value[x]", "min": 1, "type": [{"code": "code"}]},
        url=inner,
    )
    check.add(
        "Patient",
        {"id": "Patient.extension:inner", "min": 1, "max": "1", "sliceName": "inner",
         "type": [{"code": "Extension", "profile": [inner]}]},
        {"id": "Patient.gender.extension:inner", "min": 1, "sliceName": "inner",
         "type": [{"code": "Extension", "profile": [inner]}]},
    )  # fmt: skip
    good = {"url": inner, "valueCode": "x"}
    assert check.errors({**PATIENT, "extension": [good]}) == []
    assert check.errors(PATIENT) == ["Patient.extension"]
    wrong = {**PATIENT, "extension": [{"url": inner, "valueString": "x"}]}
    assert check.errors(wrong) == ["Patient.extension[0].valueString"]
    assert check.errors({**PATIENT, "extension": [good, good]}) == ["Patient.extension[1]"]
    bare = {**PATIENT, "extension": [good], "gender": "male"}
    assert check.errors(bare) == ["Patient.gender.extension"]
    assert check.errors({**bare, "_gender": {"extension": [good]}}) == []


def test_elements_that_share_the_content_of_another(check: Checker) -> None:
    check.add(
        "Questionnaire",
        {"id": "Questionnaire.item", "min": 1},
        {"id": "Questionnaire.item.text", "min": 1},
        {"id": "Questionnaire.item.item", "contentReference": "#Questionnaire.item"},
    )
    item = {"linkId": "1", "type": "display", "text": "x"}
    group = {"linkId": "1", "type": "group", "text": "x"}
    body = {"resourceType": "Questionnaire", "status": "draft"}
    assert check.errors({**body, "item": [{**group, "item": [item]}]}) == []
    bare = {"linkId": "2", "type": "display"}
    deep = {**body, "item": [{**group, "item": [{**group, "item": [bare]}]}]}
    assert check.errors(deep) == ["Questionnaire.item[0].item[0].item[0].text"]


def test_derived_from_a_profile_that_is_known(check: Checker) -> None:
    base, leaf = "http://example.org/base", "http://example.org/leaf"
    check.add("Patient", {"id": "Patient.birthDate", "min": 1}, {"id": "Patient.name", "min": 1,
              "max": "*"}, url=base)  # fmt: skip
    check.add("Patient", {"id": "Patient.name", "max": "1"}, url=leaf, base=base)
    assert check.errors(PATIENT, leaf) == ["Patient.birthDate", "Patient.name"]
    two = {**PATIENT, "birthDate": "2000", "name": [{"text": "a"}, {"text": "b"}]}
    assert check.errors(two, leaf) == ["Patient.name"]
    assert check.errors(two, base) == []
    # A definition that changes is compiled anew.
    check.add("Patient", {"id": "Patient.birthDate", "min": 1}, url=base)
    assert check.errors(PATIENT, leaf) == ["Patient.birthDate"]


def test_elements_without_ids_are_found_by_paths_and_slice_names(check: Checker) -> None:
    check.add(
        "Patient",
        {"path": "Patient"},
        {"path": "Patient.identifier", "slicing": {"discriminator": [{"type": "value",
         "path": "system"}], "rules": "open"}},
        {"path": "Patient.identifier", "sliceName": "mrn", "min": 1, "max": "1"},
        {"path": "Patient.identifier.system", "fixedUri": "urn:mrn"},
        {"path": "Patient.identifier.value", "min": 1},
        {"path": "Patient.name", "min": 1},
    )  # fmt: skip
    mrn = {"system": "urn:mrn", "value": "1"}
    named = {**PATIENT, "name": [{"text": "a"}]}
    assert check.errors({**named, "identifier": [mrn, {"system": "urn:x"}]}) == []
    assert check.errors({**PATIENT, "identifier": [mrn]}) == ["Patient.name"]
    assert check.errors({**named, "identifier": [{"system": "urn:mrn"}]}) == [
        "Patient.identifier[0].value"
    ]


def test_what_cannot_be_applied_is_an_error_and_says_why(check: Checker) -> None:
    cases: list[tuple[list[Json], str]] = [
        ([{"id": "Patient.nme", "min": 1}], "Patient.nme is not an element of Patient"),
        ([{"id": "Observation.code", "min": 1}], "outside of Patient"),
        ([{"id": "Patient.name", "constraint": [{"key": "k", "severity": "error",
           "expression": "name.("}]}], "k is not FHIRPath"),
        ([{"id": "Patient.name", "slicing": {"discriminator": [{"type": "value", "path": "a[0]"}]}},
          {"id": "Patient.name:x", "min": 1}], "not supported"),
        ([{"id": "Patient.name", "max": "x"}], "max that is no number"),
        ([{"id": "Patient.birthDate", "minValueBase64Binary": "eA=="}], "not supported"),
    ]  # fmt: skip
    for elements, why in cases:
        check.add("Patient", *copy.deepcopy(elements))
        issues = check.issues(PATIENT)
        assert [(i.severity, i.code) for i in issues] == [("error", "not-supported")]
        assert why in issues[0].diagnostics
    check.add("Patient", {"id": "Patient.name", "min": 1}, base="http://example.org/unknown")
    assert "http://example.org/unknown" in check.issues(PATIENT)[0].diagnostics
    check.add("Patient", {"id": "Patient.name", "min": 1}, base=URL)
    assert "derives from more than" in check.issues(PATIENT)[0].diagnostics


def test_profiles_of_another_type_and_unknown_ones(check: Checker) -> None:
    check.add("Observation", {"id": "Observation.subject", "min": 1})
    assert check.errors(PATIENT) == ["Patient"]
    assert [i.severity for i in check.issues(PATIENT, "http://x.org/none")] == ["warning"]
    assert check.issues(PATIENT, BASE + "Patient") == []
    assert check.errors(PATIENT, BASE + "Observation") == ["Patient"]


def test_profiles_of_r4_itself_are_built_in(check: Checker) -> None:
    weight = {
        **OBSERVATION,
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                        "code": "vital-signs",
                    }
                ]
            }
        ],
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
        "subject": {"reference": "Patient/1"},
        "effectiveDateTime": "2020-01-01",
        "valueQuantity": {
            "value": 70,
            "unit": "kg",
            "system": "http://unitsofmeasure.org",
            "code": "kg",
        },
    }
    assert check.errors(weight, BASE + "bodyweight") == []
    assert check.errors({**weight, "effectiveDateTime": "2020"}, BASE + "bodyweight") == [
        "Observation.effectiveDateTime"
    ]
    assert (
        check.errors({**weight, "category": []}, BASE + "bodyweight|4.0.1")
        == ["Observation.category"] * 2
    )
    assert check.issues(weight, BASE + "bodyweight|5.0.0")[0].code == "not-found"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner),
    max_leaves=8,
)


@given(json_values)
def test_every_value_equals_itself_and_matches_itself(value: Any) -> None:
    assert equals(value, copy.deepcopy(value))
    assert matches(value, copy.deepcopy(value))


@given(st.dictionaries(st.text("abc", max_size=2), json_values), st.data())
def test_a_pattern_is_matched_by_more_and_not_by_less(value: Json, data: st.DataObject) -> None:
    pattern = copy.deepcopy(value)
    value["zz"] = data.draw(json_values)
    assert matches(value, pattern)
    assert not equals(value, pattern)
    if pattern:
        del value[data.draw(st.sampled_from(sorted(pattern)))]
        assert not matches(value, pattern)


def test_true_is_not_one() -> None:
    assert not equals(True, 1)
    assert equals(Decimal("1.0"), 1)


STRANGE: list[Any] = [None, True, -1, "x", "", [], {}, [[]], [{}], ["a"], {"a": 1}, "Patient", "*"]


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_definition_of_whatever_shape_gives_issues_and_no_failure(data: st.DataObject) -> None:
    check = Checker()
    check.add(
        "Patient",
        {"id": "Patient.identifier", "slicing": {"discriminator": [{"type": "value", "path":
         "system"}], "rules": "closed"}},
        {"id": "Patient.identifier:mrn", "sliceName": "mrn", "min": 1, "max": "1"},
        {"id": "Patient.identifier:mrn.system", "fixedUri": "urn:mrn"},
        {"id": "Patient.name", "constraint": [{"key": "k", "severity": "error", "human": "h",
         "expression": "family.exists()"}], "type": [{"code": "HumanName", "profile": [URL]}]},
        {"id": "Patient.generalPractitioner", "type": [{"code": "Reference", "targetProfile":
         [URL]}]},
        {"id": "Patient.gender", "binding": {"strength": "required", "valueSet": "http://vs"}},
    )  # fmt: skip
    definition: Any = check.definitions[URL]
    for _ in range(data.draw(st.integers(1, 3))):
        holder: Any = definition
        steps = data.draw(st.integers(1, 6))
        for _ in range(steps):
            if not isinstance(holder, (dict, list)) or not holder:
                break
            keys = sorted(holder) if isinstance(holder, dict) else list(range(len(holder)))
            key = data.draw(st.sampled_from(keys))
            if not isinstance(holder[key], (dict, list)) or data.draw(st.booleans()):
                holder[key] = copy.deepcopy(data.draw(st.sampled_from(STRANGE)))
                break
            holder = holder[key]
    check.state += 1
    patient = {
        **PATIENT,
        "identifier": [{"system": "urn:mrn"}, {"value": "1"}],
        "name": [{"text": "x"}],
        "gender": "male",
        "generalPractitioner": [{"reference": "#p"}, {"reference": "Organization/1"}],
        "contained": [{"resourceType": "Practitioner", "id": "p"}],
    }
    for issue in check.issues(patient):
        assert issue.severity in ("error", "warning", "information")
