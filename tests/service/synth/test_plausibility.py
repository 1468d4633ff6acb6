"""What a clinician would object to: impossible dates, ages, sexes, values, doses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from schemas.dates import date_range
from service.synth import DEFAULT_AS_OF, PatientRecord

Json = dict[str, Any]
ADULT = timedelta(days=18 * 365.25)


def of_type(record: PatientRecord, *types: str) -> Iterator[Json]:
    return (r for r in record.resources if r["resourceType"] in types)


def birth(record: PatientRecord) -> date:
    return date.fromisoformat(record.patient["birthDate"])


def snomed(resource: Json) -> str:
    return resource["code"]["coding"][0]["code"]


def values(record: PatientRecord, loinc: str) -> list[tuple[str, Any]]:
    return sorted(
        (o["effectiveDateTime"], o["valueQuantity"]["value"])
        for o in of_type(record, "Observation")
        if o["code"]["coding"][0]["code"] == loinc
    )


def has(record: PatientRecord, code: str) -> bool:
    return any(snomed(c) == code for c in of_type(record, "Condition"))


_EVENT_DATES = (
    "onsetDateTime",
    "abatementDateTime",
    "recordedDate",
    "effectiveDateTime",
    "issued",
    "authoredOn",
    "occurrenceDateTime",
    "date",
)


def event_dates(resource: Json) -> Iterator[str]:
    for element in _EVENT_DATES:
        if element in resource:
            yield resource[element]
    for element in ("period", "performedPeriod"):
        if element in resource:
            yield from resource[element].values()


def test_nothing_happens_before_birth_after_death_or_after_the_end(population: list) -> None:
    end = date_range(DEFAULT_AS_OF.isoformat())[1] + 10 * 3_600_000_000  # Hawaii's evening
    for record in population:
        born = date_range(record.patient["birthDate"])[0]
        died = record.patient.get("deceasedDateTime")
        last = date_range(died)[1] if died else end
        for resource in record.resources[1:]:
            for text in event_dates(resource):
                low, _ = date_range(text)
                assert born <= low <= last, (resource["resourceType"], text)


def test_periods_and_abatements_follow_their_beginning(population: list) -> None:
    for record in population:
        for resource in of_type(record, "Encounter"):
            assert resource["period"]["start"] < resource["period"]["end"]
        for resource in of_type(record, "Condition"):
            if "abatementDateTime" in resource:
                assert resource["onsetDateTime"] <= resource["abatementDateTime"]
                assert resource["clinicalStatus"]["coding"][0]["code"] == "resolved"
            else:
                assert resource["clinicalStatus"]["coding"][0]["code"] == "active"


def test_nobody_is_in_two_places_at_once(population: list) -> None:
    for record in population:
        periods = sorted(
            (
                datetime.fromisoformat(e["period"]["start"]),
                datetime.fromisoformat(e["period"]["end"]),
            )
            for e in of_type(record, "Encounter")
        )
        for (_, end), (start, _) in pairwise(periods):
            assert end <= start


def test_orders_stand_as_their_dates_say(population: list) -> None:
    end = DEFAULT_AS_OF.isoformat()
    for record in population:
        for order in of_type(record, "MedicationRequest"):
            bounds = order["dosageInstruction"][0]["timing"]["repeat"]["boundsPeriod"]
            assert bounds["start"] == order["authoredOn"][:10]
            match order["status"]:
                case "active":
                    assert bounds.get("end", "9999") > end
                case "stopped":
                    assert bounds["start"] <= bounds["end"] <= end
                    assert order["statusReason"]["text"]
                case "completed":
                    assert bounds["start"] < bounds["end"] <= end
                case other:
                    pytest.fail(f"unexpected status {other}")


def test_the_dead_take_no_drugs(population: list) -> None:
    dead = [r for r in population if "deceasedDateTime" in r.patient]
    assert dead
    for record in dead:
        assert all(m["status"] != "active" for m in of_type(record, "MedicationRequest"))


def test_no_drug_is_ordered_twice_at_the_same_time(population: list) -> None:
    for record in population:
        active = Counter(
            m["medicationCodeableConcept"]["coding"][1]["code"]
            for m in of_type(record, "MedicationRequest")
            if m["status"] == "active"
            and "end" not in m["dosageInstruction"][0]["timing"]["repeat"]["boundsPeriod"]
        )
        assert not [drug for drug, count in active.items() if count > 1]


def test_allergies_are_heeded(population: list) -> None:
    avoided = {"7980": {"723"}, "10180": {"10831"}, "5640": {"5640", "41493", "1191"}}
    allergic = 0
    for record in population:
        for allergy in of_type(record, "AllergyIntolerance"):
            drugs = avoided.get(allergy["code"]["coding"][0]["code"], set())
            allergic += bool(drugs)
            for order in of_type(record, "MedicationRequest"):
                assert order["medicationCodeableConcept"]["coding"][1]["code"] not in drugs
    assert allergic > 5


def test_only_women_of_childbearing_age_are_pregnant(population: list) -> None:
    pregnant = [r for r in population if has(r, "72892002")]
    assert pregnant
    for record in pregnant:
        assert record.patient["gender"] == "female"
        for condition in of_type(record, "Condition"):
            if snomed(condition) == "72892002":
                age = date.fromisoformat(condition["onsetDateTime"]) - birth(record)
                assert ADULT <= age <= timedelta(days=45 * 365.25)


def test_cancers_and_organs_fit_the_sex(population: list) -> None:
    for record in population:
        female = record.patient["gender"] == "female"
        assert not (female and (has(record, "399068003") or has(record, "266569009")))
        assert female or not has(record, "254837009")


def test_type_2_diabetes_begins_in_adults(population: list) -> None:
    for record in population:
        for condition in of_type(record, "Condition"):
            if snomed(condition) == "44054006":
                onset = date.fromisoformat(condition["onsetDateTime"])
                assert onset - birth(record) >= ADULT - timedelta(days=1)


def test_bmi_is_weight_over_height_squared(population: list) -> None:
    seen = 0
    for record in population:
        heights, weights = values(record, "8302-2"), dict(values(record, "29463-7"))
        for when, bmi in values(record, "39156-5"):
            known = [h for day, h in heights if day <= when]
            metres = float(known[-1]) / 100
            # Height is measured yearly, and is a little less past 60.
            assert float(bmi) == pytest.approx(float(weights[when]) / metres**2, rel=0.013)
            assert 11 < bmi < 60
            seen += 1
    assert seen > 1000


def test_panels_add_up(population: list) -> None:
    for record in population:
        columns = [dict(values(record, c)) for c in ("2093-3", "13457-7", "2085-9", "2571-8")]
        for when, total in columns[0].items():
            ldl, hdl, triglycerides = (column[when] for column in columns[1:])
            assert abs(float(total) - float(ldl + hdl) - float(triglycerides) / 5) <= 0.51


def test_hba1c_tells_diabetics_from_others(population: list) -> None:
    diabetic = [v for r in population if has(r, "44054006") for _, v in values(r, "4548-4")]
    others = [v for r in population if not has(r, "44054006") for _, v in values(r, "4548-4")]
    assert max(others) <= 6.5
    assert 7.0 <= sum(diabetic) / len(diabetic) <= 8.6
    assert min(diabetic) < 7 and max(diabetic) > 9


def test_egfr_falls_in_kidney_disease(population: list) -> None:
    with_disease = [v for r in population if has(r, "433144002") for _, v in values(r, "98979-8")]
    without = [
        v
        for r in population
        if not has(r, "433144002") and not has(r, "431857002")
        for _, v in values(r, "98979-8")
    ]
    assert sum(with_disease) / len(with_disease) < 60 < sum(without) / len(without)
    assert min(without) > 50


@pytest.mark.parametrize(
    ("code", "low", "high"),
    [
        ("59621000", 0.27, 0.50),  # hypertension
        ("44054006", 0.09, 0.20),  # type 2 diabetes
        ("55822004", 0.20, 0.42),  # hyperlipidemia
        ("414916001", 0.25, 0.45),  # obesity
        ("195967001", 0.06, 0.16),  # asthma
        ("370143000", 0.08, 0.20),  # depression
        ("53741008", 0.025, 0.10),  # coronary disease
        ("13645005", 0.02, 0.09),  # COPD
        ("49436004", 0.008, 0.06),  # atrial fibrillation
    ],
)
def test_prevalence_among_adults(population: list, code: str, low: float, high: float) -> None:
    adults = [r for r in population if DEFAULT_AS_OF - birth(r) >= ADULT]
    share = sum(has(record, code) for record in adults) / len(adults)
    assert low <= share <= high


def test_some_adults_have_uncontrolled_diabetes_on_metformin(population: list) -> None:
    adults = [r for r in population if DEFAULT_AS_OF - birth(r) >= ADULT]
    found = [r for r in adults if _uncontrolled_on_metformin(r)]
    assert 0.02 <= len(found) / len(adults) <= 0.06


def _uncontrolled_on_metformin(record: PatientRecord) -> bool:
    levels = values(record, "4548-4")
    years = (DEFAULT_AS_OF - birth(record)).days / 365.25
    taking = any(
        m["status"] == "active" and m["medicationCodeableConcept"]["coding"][1]["code"] == "6809"
        for m in of_type(record, "MedicationRequest")
    )
    return (
        has(record, "44054006")
        and taking
        and bool(levels)
        and levels[-1][1] > 8
        and 40 <= years < 76
    )


def _days(first: str, second: str) -> int:
    return (date.fromisoformat(second[:10]) - date.fromisoformat(first[:10])).days


def test_treatment_lowers_hba1c_in_most_newly_diagnosed(population: list) -> None:
    fell = rose = 0
    for record in population:
        levels = values(record, "4548-4")
        new = any(
            snomed(c) == "44054006" and _days(c["onsetDateTime"], c["recordedDate"]) < 30
            for c in of_type(record, "Condition")
        )
        if new and len(levels) >= 3:
            fell += levels[-1][1] < levels[0][1]
            rose += levels[-1][1] >= levels[0][1]
    assert fell > rose
