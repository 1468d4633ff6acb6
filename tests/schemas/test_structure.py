"""The element tables of R4."""

from __future__ import annotations

import re
from pathlib import Path

import schemas
from schemas.structure import PRIMITIVE_TYPES, RESOURCE_TYPES, TYPES, suggestion
from schemas.value_sets import VALUE_SETS, system_of


def test_all_resource_types_of_r4() -> None:
    abstract = {"Resource", "DomainResource"}
    assert len(RESOURCE_TYPES | abstract) == 148
    assert not RESOURCE_TYPES & abstract
    # Of R4 and not of R4B, and the other way round.
    assert {"MedicinalProduct", "EffectEvidenceSynthesis"} <= RESOURCE_TYPES
    assert not {"SubscriptionStatus", "Citation", "Ingredient"} & RESOURCE_TYPES


def test_every_type_that_an_element_names_is_known() -> None:
    named = {kind for table in TYPES.values() for e in table.elements.values() for kind in e.types}
    assert named <= set(TYPES)
    assert len(PRIMITIVE_TYPES) == 20


def test_elements() -> None:
    patient = TYPES["Patient"]
    assert patient.elements["name"].many and not patient.elements["name"].required
    assert (
        patient.elements["gender"].binding == "http://hl7.org/fhir/ValueSet/administrative-gender"
    )
    assert patient.json_names["deceasedBoolean"][1] == "boolean"
    assert "deceased" not in patient.json_names
    assert TYPES["Patient.link"].elements["other"].required
    assert TYPES["Observation"].elements["subject"].targets == frozenset(
        {"Patient", "Group", "Device", "Location"}
    )
    assert TYPES["Observation"].elements["focus"].targets is None
    # An element that shares another's content.
    assert TYPES["Questionnaire.item"].elements["item"].types == ("Questionnaire.item",)
    assert TYPES["Patient"].elements["id"].types == ("id",)


def test_value_sets() -> None:
    genders = VALUE_SETS["http://hl7.org/fhir/ValueSet/administrative-gender"]
    assert set(genders) == {"male", "female", "other", "unknown"}
    url = "http://hl7.org/fhir/ValueSet/administrative-gender"
    assert system_of(url, "male") == "http://hl7.org/fhir/administrative-gender"
    assert system_of(url, "m") is None
    assert system_of("http://none", "male") is None


def test_suggestions() -> None:
    assert suggestion("birthdate", TYPES["Patient"].json_names) == " Did you mean 'birthDate'?"
    assert suggestion("zzz", TYPES["Patient"].json_names) == ""


def test_the_data_files_are_small() -> None:
    folder = Path(schemas.__file__).parent / "r4"
    data = [file for file in folder.iterdir() if re.search(r"\.json(\.gz)?$", file.name)]
    assert 0 < sum(file.stat().st_size for file in data) < 500_000
