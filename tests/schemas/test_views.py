"""Flat views."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

import schemas.views
from schemas.views import (
    STORAGE_COLUMNS,
    VIEW_FILTERS,
    VIEWS,
    FlatColumn,
    flat_columns,
    flatten,
    view_columns,
)

Sample = Callable[[str], dict[str, Any]]
FOLDER = Path(schemas.views.__file__).parent
TYPES = sorted({kind for kinds in VIEWS.values() for kind in kinds})
PYTHON = {
    "string": str,
    "double": float,
    "boolean": bool,
    "date": date,
    "timestamp": datetime,
    "list<string>": list,
}


def test_every_file_is_a_view_definition_that_feeds_a_view() -> None:
    files = sorted(FOLDER.glob("*.json"))
    assert len(files) == len(TYPES)
    for file in files:
        definition = json.loads(file.read_text("utf-8"))
        assert definition["resourceType"] == "ViewDefinition"
        assert definition["name"] == file.stem
        assert definition["resource"] in TYPES


@pytest.mark.parametrize("kind", TYPES)
def test_columns(kind: str) -> None:
    columns = flat_columns(kind)
    names = [column.name for column in columns]
    assert len(set(names)) == len(names)
    assert not set(names) & STORAGE_COLUMNS
    assert {column.kind for column in columns} <= set(PYTHON)
    assert list(flatten({"resourceType": kind})) == names


@pytest.mark.parametrize("view", sorted(VIEWS))
def test_types_of_one_view_agree_on_their_columns(view: str) -> None:
    kinds: dict[str, str] = {}
    for kind in VIEWS[view]:
        for column in flat_columns(kind):
            assert kinds.setdefault(column.name, column.kind) == column.kind
    assert {column.name for column in view_columns(view)} <= set(kinds)


def test_values_are_of_their_columns_kind(any_sample: dict[str, Any]) -> None:
    row = flatten(any_sample)
    for column in flat_columns(any_sample["resourceType"]):
        value = row[column.name]
        assert value is None or type(value) is PYTHON[column.kind], column


def _row(resource: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in flatten(resource).items() if value is not None}


def test_a_patient(sample: Sample) -> None:
    assert _row(sample("Patient")) == {
        "birth_date": date(1950, 2, 1),
        "birth_date_text": "1950-02",
        "gender": "female",
        "deceased": True,
        "deceased_at": datetime(2020, 3, 4, tzinfo=UTC),
        "family": "Müller",
        "given": "Ann Zoë",
        "name_text": "Ann Zoë Müller",
        "identifiers": ["urn:mrn|42"],
        "race": "White",
        "race_codes": ["2106-3"],
        "city": "Ulm",
        "state": "BW",
        "postal_code": "89073",
    }
    assert flatten({"resourceType": "Patient"})["deceased"] is False


def test_an_observation(sample: Sample) -> None:
    row = _row(sample("Observation"))
    assert row == {
        "code_system": "http://loinc.org",
        "code": "4548-4",
        "code_display": "Hemoglobin A1c",
        "code_text": "HbA1c",
        "codes": ["http://loinc.org|4548-4", "http://local|A1C"],
        "category": "laboratory",
        "categories": ["laboratory"],
        "status": "final",
        "effective": datetime(2024, 5, 1, 8, tzinfo=UTC),
        "effective_text": "2024-05-01T10:00:00+02:00",
        "value_number": 7.5,
        "value_unit": "%",
        "encounter": "Encounter/e1",
        "source": "structured",
    }


def test_a_condition(sample: Sample) -> None:
    row = _row(sample("Condition"))
    assert row["onset"] == datetime(2019, 11, 1, tzinfo=UTC)
    assert row["onset_text"] == "2019-11"
    assert row["clinical_status"] == "active"
    assert row["codes"] == ["http://snomed.info/sct|44054006"]
    assert "code_text" not in row


def test_a_medication_order_with_a_contained_medication(sample: Sample) -> None:
    row = _row(sample("MedicationRequest"))
    assert row["code"] == "860975" and row["codes"] == ["http://rx|860975"]
    assert row["medication_reference"] == "#drug"
    assert (row["dose_number"], row["dose_unit"], row["frequency"]) == (500.0, "mg", 2.0)
    assert row["dosage_text"] == "one tablet twice a day"
    assert row["started"] == datetime(2024, 1, 2, tzinfo=UTC)


def test_what_was_read_in_a_note(sample: Sample) -> None:
    row = _row(sample("MedicationStatement"))
    assert {name: value for name, value in row.items() if name.startswith("nlp_")} == {
        "nlp_note": "DocumentReference/d1/_history/1",
        "nlp_begin": 10.0,
        "nlp_end": 19.0,
        "nlp_text": "metformin",
        "nlp_score": 0.93,
        "nlp_category": "MEDICATION",
        "nlp_traits": ["NEGATED", "HISTORICAL"],
        "nlp_section": "Medications",
    }
    assert row["source"] == "nlp"


def test_nlp_entities_have_the_columns_that_all_derived_types_have() -> None:
    columns = view_columns("nlp_entity")
    assert FlatColumn("nlp_text", "string") in columns
    assert FlatColumn("codes", "list<string>") in columns
    for kind in VIEWS["nlp_entity"]:
        assert set(columns) <= set(flat_columns(kind))
    assert set(VIEW_FILTERS) <= set(VIEWS)


@pytest.mark.parametrize(
    "elements",
    [
        {"code": None, "status": ["x"], "valueQuantity": "7"},
        {"code": {"coding": "x"}, "category": [None, 3, {"coding": [None, {"code": 5}]}]},
        {"effectiveDateTime": "2023-02-30", "issued": 5, "valueBoolean": "yes"},
        {"valueQuantity": {"value": "7.5", "unit": 3}, "extension": {"url": "x"}},
        {"effectiveDateTime": "9999-12-31T23:59:59-14:00"},
        {"meta": {"tag": {"code": "nlp-derived"}}},
        {"valueQuantity": {"value": 10**400}},
    ],
)
def test_odd_content_is_null_and_never_fails(elements: dict[str, Any]) -> None:
    row = flatten({"resourceType": "Observation", **elements})
    assert row["value_number"] is None or row["value_number"] > 1e300
    assert row["effective"] is None
    assert row["value_boolean"] is None and row["source"] == "structured"


def test_types_without_a_view_have_no_columns() -> None:
    assert flat_columns("Organization") == [] and flatten({"resourceType": "Organization"}) == {}
    assert flatten({}) == {}
