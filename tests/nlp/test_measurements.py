"""Values and units of tests."""

from decimal import Decimal
from typing import Any

import pytest

from nlp import Annotator


def values(annotator: Annotator, text: str) -> dict[str, Any]:
    found = {}
    for mention in annotator.annotate(text):
        value = mention.attribute("TEST_VALUE")
        if mention.category == "TEST":
            found[mention.text] = value.value if value else None
    return found


@pytest.mark.parametrize(
    ("text", "name", "value", "code"),
    [
        ("HbA1c 8.4 %", "HbA1c", "8.4", "%"),
        ("A1c was 9.1%", "A1c", "9.1", "%"),
        ("Na 138, K 4.1", "Na", "138", "mmol/L"),
        ("Na 138, K 4.1", "K", "4.1", "mmol/L"),
        ("glucose of 210 mg/dL", "glucose", "210", "mg/dL"),
        ("temp 101.2 F", "temp", "101.2", "[degF]"),
        ("Temperature: 38.5 C", "Temperature", "38.5", "Cel"),
        ("WBC 12.3 K/uL", "WBC", "12.3", "10*3/uL"),
        ("platelets 150,000", "platelets", "150000", "/uL"),
        ("creatinine 1.2 -> 1.8", "creatinine", "1.8", "mg/dL"),
        ("creatinine from 1.2 to 1.8 mg/dL", "creatinine", "1.8", "mg/dL"),
        ("O2 sat 95% on room air", "O2 sat", "95", "%"),
        ("TSH 2.4 uIU/mL", "TSH", "2.4", "u[IU]/mL"),
    ],
)
def test_value_and_unit(annotator: Annotator, text: str, name: str, value: str, code: str) -> None:
    found = values(annotator, text)[name]
    assert found["value"] == Decimal(value)
    assert found["code"] == code


def test_blood_pressure_has_two_values(annotator: Annotator) -> None:
    found = values(annotator, "BP 142/88 mmHg")["BP"]
    assert (found["systolic"], found["diastolic"]) == (142, 88)


def test_comparator_is_kept(annotator: Annotator) -> None:
    assert values(annotator, "Troponin <0.01 ng/mL")["Troponin"]["comparator"] == "<"


def test_unit_that_is_written_is_told_from_one_that_is_assumed(annotator: Annotator) -> None:
    assert values(annotator, "glucose 110")["glucose"]["unitWritten"] is False
    assert values(annotator, "glucose 110 mg/dL")["glucose"]["unitWritten"] is True


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("HbA1c 1.2", "HbA1c"),  # implausible in any unit, none written
        ("creatinine in 2019", "creatinine"),
        ("glucose 5 mg daily", "glucose"),
        ("INR in 2 weeks", "INR"),
        ("AST/ALT 45/60/12", "ALT"),
        ("BP 80/120", "BP"),
        ("hemoglobin 12-16", "hemoglobin"),  # a reference range
        ("potassium 4.1 mg/dL", "potassium"),  # a unit that potassium is not measured in
        ("weight 80", "weight"),
        ("height 5 feet 14 inches", "height"),
    ],
)
def test_no_value_is_better_than_a_wrong_one(annotator: Annotator, text: str, name: str) -> None:
    assert values(annotator, text).get(name) is None
