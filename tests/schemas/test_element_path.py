"""FHIRPath as search parameters and views use it. http://hl7.org/fhirpath/N1/"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from schemas.element_path import compile_path

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "active": True,
    "name": [
        {"family": "A", "given": ["x", "y"], "use": "official"},
        {"family": "B", "given": ["z", None], "use": "usual"},
    ],
    "telecom": [{"system": "phone", "value": "1"}, {"system": "email", "value": "2"}],
    "birthDate": "2000",
    "_birthDate": {"extension": [{"url": "http://t", "valueDateTime": "2000-01-01"}]},
    "deceasedBoolean": False,
    "generalPractitioner": [
        {"reference": "Practitioner/1"},
        {"reference": "http://x/Organization/2"},
        {"reference": "urn:uuid:3", "type": "Practitioner"},
    ],
    "extension": [{"url": "http://e", "valueString": "v"}, {"url": "http://f", "valueCode": "w"}],
}
OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "valueQuantity": {"value": Decimal("3.0"), "unit": "mg"},
    "component": [{"valueString": "s"}, {"valueQuantity": {"value": 4}}],
    "contained": [{"resourceType": "Device", "id": "d"}, {"resourceType": "Patient", "id": "p"}],
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("Patient.name.given", ["x", "y", "z"]),
        ("name.given", ["x", "y", "z"]),
        ("Patient.name.family | Patient.birthDate", ["A", "B", "2000"]),
        ("Person.name | Patient.birthDate", ["2000"]),
        ("Resource.birthDate", ["2000"]),
        ("Patient.name[1].given[0]", ["z"]),
        ("name.given.first()", ["x"]),
        ("name.given.last()", ["z"]),
        ("name.given[7]", []),
        ("name.where(use = 'usual').family", ["B"]),
        ("name.where(use='usual' or family='A').family", ["A", "B"]),
        ("name.where(given.exists()).count()", [2]),
        ("name.exists(use = 'old')", [False]),
        ("name.where(use = 'old').empty()", [True]),
        ("Patient.telecom.where(system='email').value", ["2"]),
        ("deceased.ofType(boolean)", [False]),
        ("(Patient.deceased as dateTime)", []),
        ("Patient.deceased.exists() and Patient.deceased != false", [False]),
        ("deceased is boolean", [True]),
        ("active.not()", [False]),
        ("contact.exists().not()", [True]),
        ("Patient.generalPractitioner.where(resolve() is Practitioner).reference",
         ["Practitioner/1", "urn:uuid:3"]),
        ("generalPractitioner.where(resolve() is Organization).count()", [1]),
        ("extension('http://e').value.ofType(string)", ["v"]),
        ("Patient.extension('http://e').value", ["v"]),
        ("extension('http://none').value", []),
        ("birthDate.extension('http://t').value.ofType(dateTime)", ["2000-01-01"]),
        ("name.where(use='official').given.join('-')", ["x-y"]),
        ("name.select(family & '!' )", ["A!", "B!"]),
        ("name.select(given.first() & ' ' & family)", ["x A", "z B"]),
        ("iif(active, 'yes', 'no')", ["yes"]),
        ("iif(photo.exists(), 'yes', 'no')", ["no"]),
        ("name.hasExtension('http://x')", [False]),
        ("'a\\'b'", ["a'b"]),
        ("1 + 2 * 3", [7]),
        ("2 > 1", [True]),
        ("'a' > 1", []),
        ("1 / 0", []),
        ("`birthDate`", ["2000"]),
    ],
)  # fmt: skip
def test_paths_of_a_patient(path: str, expected: list[Any]) -> None:
    assert compile_path(path, "Patient")(PATIENT) == expected
    assert compile_path(path)(PATIENT) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("Observation.value", [{"value": Decimal("3.0"), "unit": "mg"}]),
        ("(Observation.value as Quantity).value", [Decimal("3.0")]),
        ("Observation.value.as(string)", []),
        ("Observation.component.value.ofType(string)", ["s"]),
        ("(Observation.value as Quantity) | (Observation.component.value as Quantity)",
         [{"value": Decimal("3.0"), "unit": "mg"}, {"value": 4}]),
        ("value.ofType(Quantity).value * 2", [Decimal("6.0")]),
        ("value.ofType(Quantity).value >= 3", [True]),
        ("contained.ofType(Device).id", ["d"]),
    ],
)  # fmt: skip
def test_paths_of_an_observation(path: str, expected: list[Any]) -> None:
    assert compile_path(path, "Observation")(OBSERVATION) == expected


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("Patient.name.repeat(x)", "repeat() is not supported"),
        ("Patient.colour", "Patient has no element 'colour'"),
        ("name.where(colour = 'red')", "HumanName has no element 'colour'"),
        ("name.", "ends too early"),
        ("name..given", "unexpected '.'"),
        ("name)", "unexpected ')'"),
        ("name[x]", "unexpected 'x'"),
        ("", "ends too early"),
        ("%resource", "character 0"),
        ("name.where()", "one criterion"),
        ("extension(url)", "one string"),
        ("generalPractitioner.resolve()", "resolve() is not supported"),
        ("iif(active)", "two results"),
    ],
)
def test_what_is_not_supported_says_so_at_once(path: str, words: str) -> None:
    with pytest.raises(ValueError, match="FHIRPath") as caught:
        compile_path(path, "Patient")
    assert words in str(caught.value)


def test_without_a_type_functions_are_checked_at_once() -> None:
    with pytest.raises(ValueError, match="not supported"):
        compile_path("Patient.name.repeat(x)")


def test_a_datatype_as_the_start() -> None:
    assert compile_path("given.first()", "HumanName")({"given": ["a", "b"]}) == ["a"]


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"resourceType": "Patient", "name": "x"},
        {"resourceType": "Patient", "name": [None, 1, ["x"], {"given": {"a": 1}}]},
        {"resourceType": "Patient", "generalPractitioner": [{"reference": 5}, {"type": {}}]},
        {"resourceType": 3},
        {"resourceType": "Nothing"},
    ],
)
def test_odd_content_never_raises(odd: dict[str, Any]) -> None:
    for path in (
        "name.given",
        "name.where(use = 'x').given",
        "name.select(family & 'x')",
        "generalPractitioner.where(resolve() is Practitioner)",
        "extension('u').value",
        "name.given.join(',')",
    ):
        assert isinstance(compile_path(path)(odd), list)
        assert isinstance(compile_path(path, "Patient")(odd), list)
