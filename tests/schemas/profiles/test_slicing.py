"""Slices: told apart by each kind of discriminator, counted, closed, ordered.

https://hl7.org/fhir/R4/profiling.html#slicing
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.schemas.profiles.conftest import BASE, Checker

Json = dict[str, Any]


def slicing(kind: str, path: str, rules: str = "open", **more: Any) -> Json:
    return {"slicing": {"discriminator": [{"type": kind, "path": path}], "rules": rules, **more}}


def patient(*identifiers: Json) -> Json:
    return {"resourceType": "Patient", "identifier": list(identifiers)}


MRN, SSN, OTHER = ({"system": f"urn:{name}", "value": "1"} for name in ("mrn", "ssn", "other"))


def identifiers(check: Checker, rules: str, *, ordered: bool = False) -> None:
    check.add(
        "Patient",
        {"id": "Patient.identifier", **slicing("value", "system", rules, ordered=ordered)},
        {"id": "Patient.identifier:mrn", "min": 1, "max": "1"},
        {"id": "Patient.identifier:mrn.system", "fixedUri": "urn:mrn"},
        {"id": "Patient.identifier:mrn.value", "min": 1},
        {"id": "Patient.identifier:ssn", "min": 0, "max": "1"},
        {"id": "Patient.identifier:ssn.system", "fixedUri": "urn:ssn"},
    )


@pytest.mark.parametrize(
    ("rules", "ordered", "found", "places"),
    [
        ("open", False, [MRN], []),
        ("open", False, [OTHER, SSN, MRN], []),
        ("open", False, [], ["identifier"]),
        ("open", False, [SSN], ["identifier"]),
        ("open", False, [MRN, SSN, SSN], ["identifier[2]"]),
        ("open", False, [{"system": "urn:mrn"}], ["identifier[0].value"]),
        ("closed", False, [MRN, SSN], []),
        ("closed", False, [MRN, OTHER], ["identifier[1]"]),
        ("openAtEnd", False, [SSN, MRN, OTHER], []),
        ("openAtEnd", False, [MRN, OTHER, SSN], ["identifier[2]"]),
        ("open", True, [MRN, OTHER, SSN], []),
        ("open", True, [SSN, MRN], ["identifier[1]"]),
    ],
)
def test_rules_and_order(
    check: Checker, rules: str, ordered: bool, found: list[Json], places: list[str]
) -> None:
    identifiers(check, rules, ordered=ordered)
    assert check.errors(patient(*found)) == [f"Patient.{place}" for place in places]


def test_the_slice_is_named(check: Checker) -> None:
    identifiers(check, "closed")
    texts = " ".join(issue.diagnostics for issue in check.issues(patient(OTHER)))
    assert "slice mrn" in texts
    assert "none of the slices mrn, ssn" in texts


def test_by_pattern(check: Checker) -> None:
    concept = {"coding": [{"system": "s", "code": "MR"}]}
    check.add(
        "Patient",
        {"id": "Patient.identifier", **slicing("pattern", "type")},
        {"id": "Patient.identifier:mr", "max": "1"},
        {"id": "Patient.identifier:mr.type", "patternCodeableConcept": concept},
    )
    one = {"type": {"coding": [{"system": "x", "code": "y"}, {"system": "s", "code": "MR"}]}}
    assert check.errors(patient(one, {"type": {"text": "MR"}})) == []
    assert check.errors(patient(one, one)) == ["Patient.identifier[1]"]


def test_by_a_path_into_a_pattern(check: Checker) -> None:
    concept = {"coding": [{"system": "s", "code": "MR"}]}
    check.add(
        "Patient",
        {"id": "Patient.identifier", **slicing("value", "type.coding.code")},
        {"id": "Patient.identifier:mr", "min": 1},
        {"id": "Patient.identifier:mr.type", "patternCodeableConcept": concept},
    )
    assert check.errors(patient({"type": concept})) == []
    assert check.errors(patient({"type": {"coding": [{"code": "X"}]}})) == ["Patient.identifier"]


def test_by_existence(check: Checker) -> None:
    check.add(
        "Patient",
        {"id": "Patient.identifier", **slicing("exists", "period")},
        {"id": "Patient.identifier:old", "max": "1"},
        {"id": "Patient.identifier:old.period", "min": 1},
        {"id": "Patient.identifier:now", "min": 1},
        {"id": "Patient.identifier:now.period", "max": "0"},
    )
    old, now = {**MRN, "period": {"end": "2000"}}, MRN
    assert check.errors(patient(old, now)) == []
    assert sorted(check.errors(patient(old, old))) == [
        "Patient.identifier",
        "Patient.identifier[1]",
    ]


def test_by_a_required_value_set(check: Checker) -> None:
    check.add(
        "Patient",
        {"id": "Patient.identifier", **slicing("value", "use")},
        {"id": "Patient.identifier:o", "max": "1"},
        {
            "id": "Patient.identifier:o.use",
            "binding": {"strength": "required", "valueSet": "http://vs"},
        },
    )
    check.codes = {("http://vs", None, "official"): True, ("http://vs", None, "temp"): False}
    official, temporary = {"use": "official"}, {"use": "temp"}
    assert check.errors(patient(official, temporary, temporary)) == []
    assert check.errors(patient(official, official)) == ["Patient.identifier[1]"]


def test_by_type_of_what_a_reference_leads_to(check: Checker) -> None:
    target = {"type": [{"code": "Reference", "targetProfile": [BASE + "Practitioner"]}]}
    check.add(
        "Patient",
        {"id": "Patient.generalPractitioner", **slicing("type", "resolve()")},
        {"id": "Patient.generalPractitioner:person", "min": 1, **target},
    )

    def by(*references: str) -> list[str]:
        listed = [{"reference": text} for text in references]
        return check.errors({"resourceType": "Patient", "generalPractitioner": listed})

    assert by("Organization/1", "Practitioner/1") == []
    assert by("Organization/1") == ["Patient.generalPractitioner"]


def test_by_profile_of_entries(check: Checker) -> None:
    born = "http://example.org/born"
    check.add("Patient", {"id": "Patient.birthDate", "min": 1}, url=born)
    check.add(
        "Bundle",
        {"id": "Bundle.entry", **slicing("profile", "resource")},
        {"id": "Bundle.entry:born", "min": 1, "max": "1"},
        {"id": "Bundle.entry:born.resource", "type": [{"code": "Patient", "profile": [born]}]},
    )

    def bundle(*resources: Json) -> Json:
        entries = [{"resource": one} for one in resources]
        return {"resourceType": "Bundle", "type": "collection", "entry": entries}

    child, unknown = {"resourceType": "Patient", "birthDate": "2020"}, {"resourceType": "Patient"}
    assert check.errors(bundle(unknown, child)) == []
    assert check.errors(bundle(unknown)) == ["Bundle.entry"]
    assert check.errors(bundle(child, child)) == ["Bundle.entry[1]"]


def test_by_extension(check: Checker) -> None:
    check.add(
        "Patient",
        {"id": "Patient.contact", **slicing("value", "extension('http://x.org/k').value")},
        {"id": "Patient.contact:a", "max": "1"},
        {"id": "Patient.contact:a.extension:k", "min": 1, "type": [{"code": "Extension"}]},
        {"id": "Patient.contact:a.extension:k.url", "fixedUri": "http://x.org/k"},
        {"id": "Patient.contact:a.extension:k.value[x]", "fixedCode": "a"},
    )
    one, other = (
        {"extension": [{"url": "http://x.org/k", "valueCode": code}], "gender": "male"}
        for code in "ab"
    )
    assert check.errors({"resourceType": "Patient", "contact": [one, other, other]}) == []
    assert check.errors({"resourceType": "Patient", "contact": [one, one]}) == [
        "Patient.contact[1]"
    ]


def test_slices_of_slices(check: Checker) -> None:
    check.add(
        "Patient",
        {"id": "Patient.identifier", **slicing("value", "system")},
        {"id": "Patient.identifier:mrn"},
        {"id": "Patient.identifier:mrn.system", "fixedUri": "urn:mrn"},
        {"id": "Patient.identifier:mrn", **slicing("value", "use")},
        {"id": "Patient.identifier:mrn/old", "path": "Patient.identifier", "max": "1"},
        {"id": "Patient.identifier:mrn/old.use", "path": "Patient.identifier.use",
         "fixedCode": "old"},
    )  # fmt: skip
    old = {**MRN, "use": "old"}
    assert check.errors(patient(old, MRN, {**SSN, "use": "old"})) == []
    assert check.errors(patient(old, old)) == ["Patient.identifier[1]"]


def test_what_cannot_be_told_apart_is_said(check: Checker) -> None:
    check.add(
        "Patient",
        {"id": "Patient.identifier", **slicing("value", "system")},
        {"id": "Patient.identifier:mrn", "min": 1},
    )
    issues = check.issues(patient(MRN))
    assert [(i.severity, i.code) for i in issues] == [("information", "not-supported")]
    assert "Patient.identifier:mrn" in issues[0].diagnostics


def test_a_derived_profile_adds_to_a_slice(check: Checker) -> None:
    base, leaf = "http://example.org/base", "http://example.org/leaf"
    identifiers(check, "open")
    check.definitions[base] = {**check.definitions[next(iter(check.definitions))], "url": base}
    check.add("Patient", {"id": "Patient.identifier:mrn.period", "min": 1}, url=leaf, base=base)
    assert check.errors(patient(MRN), leaf) == ["Patient.identifier[0].period"]
    assert check.errors(patient({**MRN, "period": {"start": "2000"}}, SSN), leaf) == []
