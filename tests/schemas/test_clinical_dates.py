"""Dates of care: which interval a resource is in."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.clinical_dates import CARE_DATES, cared_for_in
from schemas.compartments import PATIENT_PARAMS
from schemas.dates import date_range
from schemas.search_params import search_params


def test_the_table_names_parameters_of_type_date() -> None:
    for kind, params in CARE_DATES.items():
        assert {search_params(kind)[param].type for param in params} == {"date"}
    assert set(CARE_DATES) - set(PATIENT_PARAMS) == {"Task"}


@pytest.mark.parametrize(
    ("resource", "inside"),
    [
        ({"resourceType": "Patient", "birthDate": "1950"}, True),
        ({"resourceType": "Observation"}, True),
        ({"resourceType": "Observation", "effectiveDateTime": "2020"}, True),
        ({"resourceType": "Observation", "effectiveDateTime": "2020-06-01T00:00:00Z"}, True),
        ({"resourceType": "Observation", "effectiveDateTime": "2020-07-01"}, False),
        ({"resourceType": "Encounter", "period": {"start": "2019"}}, True),
        ({"resourceType": "Encounter", "period": {"end": "2020-05-31"}}, False),
        ({"resourceType": "Condition", "onsetDateTime": "1990", "recordedDate": "2020-06"}, True),
    ],
)
def test_june_of_2020(resource: dict[str, Any], inside: bool) -> None:
    low, high = date_range("2020-06")
    assert cared_for_in(resource, low, high) is inside
