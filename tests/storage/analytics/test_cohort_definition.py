"""Definitions that are wrong, and what is said of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from schemas import codes
from schemas.outcomes import FhirError
from storage.analytics.coded_criterion import Code, Coded
from storage.analytics.cohort_definition import Age, AnyOf, parse_definition

A1C = {"codes": ["loinc|4548-4"]}


def test_parsed() -> None:
    parsed = parse_definition(
        {
            "name": "n",
            "title": "T",
            "include": [
                {"age": {"min": 40, "max": 75}},
                {"label": "A1c", "observation": A1C | {"value": {"gt": 8.5, "unit": "%"}}},
                {"any_of": [{"medication": {"text": ["a", "b"]}}, {"medication": {"text": "c"}}]},
            ],
        }
    )
    age, a1c, either = parsed.include
    assert age == Age("age", 40, 75)
    assert isinstance(a1c, Coded)
    assert (a1c.label, a1c.codes, a1c.select) == ("A1c", (Code(codes.LOINC, "4548-4"),), "any")
    assert a1c.value is not None
    assert a1c.value.bounds == (("gt", 8.5),)
    assert isinstance(either, AnyOf)
    assert [item.label for item in either.items] == ["medication", "medication_2"]
    assert parsed.asks_observations


@pytest.mark.parametrize(
    ("definition", "says"),
    [
        ([], "it must be a JSON object"),
        ({"include": [{"deceased": True}]}, "name must be a text"),
        ({"name": "n"}, "include is empty"),
        ({"name": "n", "includes": []}, "includes is not known here (did you mean include?)"),
        ({"name": "n", "include": {}}, "include must be a list"),
        ({"name": "n", "include": [{}]}, "include[0] must have exactly one kind"),
        ({"name": "n", "include": [{"age": {"min": 1}, "gender": "male"}]}, "has age, gender"),
    ],
)
def test_outer_shape(definition: Any, says: str) -> None:
    with pytest.raises(FhirError) as caught:
        parse_definition(definition)
    assert caught.value.category == "invalid"
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("criterion", "says"),
    [
        ({"agee": {}}, "include[0].agee is not known here (did you mean age?)"),
        ({"age": {}}, "include[0].age needs min, max or both"),
        ({"age": {"min": -1}}, "include[0].age.min must be a whole number"),
        ({"age": {"min": "40"}}, "age.min must be a whole number"),
        ({"age": {"min": True}}, "age.min must be a whole number"),
        ({"age": {"min": 1.5}}, "age.min must be a whole number"),
        ({"age": {"min": 9, "max": 8}}, "min 9 is above max 8"),
        ({"gender": "femal"}, "(did you mean female?)"),
        ({"gender": []}, "must be one of male, female"),
        ({"deceased": "yes"}, "must be true or false"),
        ({"condition": {}}, "include[0].condition needs codes, text or both"),
        ({"condition": {"code": []}}, "condition.code is not known here (did you mean codes?)"),
        ({"condition": {"codes": {}}}, "condition.codes must be a list"),
        ({"condition": {"codes": ["E11"]}}, 'codes[0] must be "system|code"'),
        ({"condition": {"codes": ["snowmed|1"]}}, "(did you mean snomed?)"),
        ({"condition": {"codes": [{"code": "1"}]}}, "codes[0].system must be a text"),
        ({"condition": {"codes": [{"system": "loinc", "code": " "}]}}, "codes[0].code must be"),
        (
            {"condition": {"codes": [{"system": "snomed", "code": "1", "descendants": True}]}},
            "codes[0].descendants cannot be answered: no hierarchy of http://snomed.info/sct",
        ),
        (
            {"condition": {"codes": [{"system": "icd10cm", "code": "E1", "descendants": True}]}},
            "must be an ICD-10-CM category",
        ),
        ({"condition": {"text": "x", "clinical_status": "activ"}}, "(did you mean active?)"),
        ({"condition": {"text": "x", "source": "note"}}, "source must be one of any"),
        ({"condition": {"text": "x", "since": "2023-02-30"}}, "since must be a FHIR date"),
        ({"condition": {"text": "x", "since": "2024", "until": "2023"}}, "since is after until"),
        ({"condition": {"text": "x", "at_least": 0}}, "at_least must be a whole number"),
        ({"condition": {"text": ""}}, "text must be a text or a list"),
        ({"medication": {"text": "x", "select": "any"}}, "medication.select is not known here"),
        ({"observation": A1C | {"select": "last"}}, "(did you mean latest?)"),
        ({"observation": A1C | {"select": "min"}}, "min needs a value"),
        ({"observation": A1C | {"select": "latest", "at_least": 2}}, "cannot go with select"),
        ({"observation": A1C | {"value": {"unit": "%"}}}, "needs at least one of gt, ge"),
        ({"observation": A1C | {"value": {"gt": 8}}}, "value.unit is missing"),
        ({"observation": A1C | {"value": {"gt": "8", "unit": "%"}}}, "gt must be a number"),
        ({"observation": A1C | {"value": {"gt": float("nan"), "unit": "%"}}}, "finite number"),
        ({"any_of": []}, "any_of is empty"),
        ({"any_of": [{"not": {"gender": "m"}}]}, "include[0].any_of[0].not.gender must be one"),
        ({"label": "age", "any_of": [{"age": {"min": 1}}]}, "is used already"),
    ],
)
def test_what_is_wrong_is_named(criterion: Any, says: str) -> None:
    with pytest.raises(FhirError) as caught:
        parse_definition({"name": "n", "include": [criterion]})
    assert caught.value.category == "invalid"
    assert says in str(caught.value)
    assert caught.value.issues[0].expression[0].startswith("include")


def test_labels_are_unique() -> None:
    same = {"label": "x", "gender": "male"}
    with pytest.raises(FhirError, match=r"include\[1\]\.label is used already"):
        parse_definition({"name": "n", "include": [same, same]})


def test_depth_and_number_are_bounded() -> None:
    deep: Any = {"gender": "male"}
    for _ in range(20):
        deep = {"not": deep}
    with pytest.raises(FhirError, match="one too many"):
        parse_definition({"name": "n", "include": [deep]})
    with pytest.raises(FhirError, match="one too many"):
        parse_definition({"name": "n", "include": [{"gender": "male"}] * 101})


def test_the_shipped_example_is_valid() -> None:
    folder = Path(__file__).parents[3] / "examples" / "cohorts"
    for path in folder.glob("*.json"):
        parse_definition(json.loads(path.read_text("utf-8")))
