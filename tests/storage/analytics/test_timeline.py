"""A patient's record and notes in clinical order."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from schemas import codes
from schemas.outcomes import FhirError
from storage.analytics import timeline
from storage.analytics.timeline_event import TimelineEvent

from .conftest import MemoryLake

PATIENT = {
    "resourceType": "Patient", "id": "p1", "birthDate": "1950-02-03",
    "deceasedDateTime": "2024-05-01",
}  # fmt: skip
SUBJECT = {"reference": "Patient/p1"}
DIABETES = {
    "coding": [{"system": codes.ICD10CM, "code": "E11.9", "display": "Type 2 diabetes"}],
    "text": "Type 2 diabetes mellitus",
}
A1C = {"coding": [{"system": codes.LOINC, "code": "4548-4", "display": "Hemoglobin A1c"}]}
NOTE = {
    "resourceType": "DocumentReference", "id": "n1", "status": "current", "subject": SUBJECT,
    "date": "2020-01-11T09:00:00Z", "content": [{"attachment": {"contentType": "text/plain"}}],
    "type": {"text": "Progress note"},
    "context": {"encounter": [{"reference": "Encounter/e1"}]},
}  # fmt: skip


def clinical(value: str) -> dict[str, Any]:
    return {"coding": [{"system": codes.CONDITION_CLINICAL, "code": value}]}


def verification(value: str) -> dict[str, Any]:
    return {"coding": [{"system": codes.CONDITION_VERIFICATION, "code": value}]}


def condition(id: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Condition", "id": id, "subject": SUBJECT, "code": DIABETES,
        "clinicalStatus": clinical("active"), **more,
    }  # fmt: skip


def from_note(resource: dict[str, Any], *traits: str, score: str = "0.9") -> dict[str, Any]:
    mention = [
        {"url": "score", "valueDecimal": Decimal(score)},
        {
            "url": "source",
            "valueReference": {"reference": "DocumentReference/n1/_history/1"},
        },
        *({"url": "trait", "valueCode": trait} for trait in traits),
    ]
    return {
        **resource,
        "meta": {"tag": [codes.NLP_DERIVED_TAG], "source": "DocumentReference/n1"},
        "extension": [{"url": codes.NLP_MENTION, "extension": mention}],
    }


def a1c(id: str, value: str, when: str | None = None, unit: str = "%") -> dict[str, Any]:
    found: dict[str, Any] = {
        "resourceType": "Observation", "id": id, "status": "final", "subject": SUBJECT,
        "code": A1C, "valueQuantity": {"value": Decimal(value), "unit": unit, "code": unit},
    }  # fmt: skip
    return found | ({"effectiveDateTime": when} if when else {})


def build(lake: MemoryLake, *resources: dict[str, Any], **asked: Any) -> list[TimelineEvent]:
    lake.commit(PATIENT, *resources)
    hot = timeline.build(lake.at(), "p1", **asked)
    lake.flush()
    assert timeline.build(lake.at(), "p1", **asked) == hot
    return hot


def test_clinical_order(lake: MemoryLake) -> None:
    events = build(
        lake,
        a1c("o1", "8.4", "2020-01-10T08:00:00Z"),
        condition("c-undated"),
        condition("c1", onsetDateTime="2020-01-10"),
        condition("c2", onsetDateTime="2019"),
        {
            "resourceType": "Encounter", "id": "e1", "status": "finished", "subject": SUBJECT,
            "class": {"code": "AMB", "display": "ambulatory"},
            "period": {"start": "2020-01-10T10:00:00Z", "end": "2020-01-10T10:30:00Z"},
        },
    )  # fmt: skip
    assert [(e.reference, e.date_precision) for e in events] == [
        ("Patient/p1", "day"),
        ("Condition/c2", "year"),
        ("Encounter/e1", "time"),
        ("Condition/c1", "day"),
        ("Observation/o1", "time"),
        ("Patient/p1", "day"),
        ("Condition/c-undated", None),
    ]
    assert [e.kind for e in events if e.type == "Patient"] == ["birth", "death"]
    assert events[2].end == "2020-01-10T10:30:00Z"
    assert events[2].display == "ambulatory"


def test_death_is_the_last_of_its_day(lake: MemoryLake) -> None:
    events = build(lake, a1c("o1", "8.4", PATIENT["deceasedDateTime"]))
    assert [e.kind for e in events] == ["birth", "observation", "death"]


def test_event_says_what_was_recorded(lake: MemoryLake) -> None:
    resource = a1c("o1", "8.40", "2020-01-10T08:00:00+02:00")
    resource["encounter"] = {"reference": "Encounter/e1"}
    event = next(e for e in build(lake, resource) if e.type == "Observation")
    assert event.to_dict() == {
        "date": "2020-01-10T08:00:00+02:00", "end": None, "date_precision": "time",
        "kind": "observation", "type": "Observation", "display": "Hemoglobin A1c",
        "code": "4548-4", "system": codes.LOINC, "value": "8.40 %", "status": "final",
        "source": "structured", "score": None, "traits": [], "reference": "Observation/o1",
        "note": None, "encounter": "Encounter/e1", "also_in": [],
    }  # fmt: skip


def test_panel_is_one_event(lake: MemoryLake) -> None:
    def part(name: str, value: int) -> dict[str, Any]:
        return {"code": {"text": name}, "valueQuantity": {"value": value, "unit": "mmHg"}}

    panel = {
        "resourceType": "Observation", "id": "bp", "status": "final", "subject": SUBJECT,
        "code": {"text": "Blood pressure"}, "effectiveDateTime": "2020-01-01",
        "component": [part("Systolic", 120), part("Diastolic", 80)],
    }  # fmt: skip
    (event,) = [e for e in build(lake, panel) if e.type == "Observation"]
    assert event.value == "Systolic: 120 mmHg; Diastolic: 80 mmHg"


@pytest.mark.parametrize("contained", [True, False])
def test_medication_by_reference(lake: MemoryLake, contained: bool) -> None:
    medication = {"resourceType": "Medication", "id": "m", "code": {"text": "Metformin 500 mg"}}
    request: dict[str, Any] = {
        "resourceType": "MedicationRequest", "id": "r", "status": "active", "intent": "order",
        "subject": SUBJECT, "authoredOn": "2020-02-01",
        "medicationReference": {"reference": "#m" if contained else "Medication/m"},
        "dosageInstruction": [{"text": "one twice daily"}],
    }  # fmt: skip
    others = () if contained else (medication,)
    if contained:
        request["contained"] = [medication]
    (event,) = [e for e in build(lake, request, *others) if e.kind == "medication"]
    assert (event.display, event.value, event.status) == (
        "Metformin 500 mg", "one twice daily", "active",
    )  # fmt: skip


def test_fact_of_a_note_is_dated_by_the_note(lake: MemoryLake) -> None:
    events = build(lake, NOTE, from_note(condition("d1")))
    (event,) = [e for e in events if e.type == "Condition"]
    assert (event.date, event.source, event.note) == (NOTE["date"], "nlp", "DocumentReference/n1")
    assert event.score == 0.9
    (note,) = [e for e in events if e.type == "DocumentReference"]
    assert (note.display, note.encounter) == ("Progress note", "Encounter/e1")


@pytest.mark.parametrize(
    ("trait", "status"),
    [("NEGATED", "negated"), ("FAMILY", "family"), ("HYPOTHETICAL", "hypothetical")],
)
def test_what_is_not_the_patients_is_never_active(
    lake: MemoryLake, trait: str, status: str
) -> None:
    events = build(
        lake, NOTE, condition("c1", onsetDateTime="2020-01-11"), from_note(condition("d1"), trait)
    )
    found = {e.reference: e for e in events if e.type == "Condition"}
    assert found["Condition/c1"].also_in == ()
    assert found["Condition/d1"].traits == (trait,)
    assert found["Condition/d1"].status == status
    assert not found["Condition/d1"].is_patients_own


def test_refuted_is_negated(lake: MemoryLake) -> None:
    refuted = condition("d1", verificationStatus=verification("refuted"))
    (event,) = [e for e in build(lake, NOTE, from_note(refuted)) if e.type == "Condition"]
    assert (event.status, event.traits) == ("refuted", ("NEGATED",))


@pytest.mark.parametrize(
    ("onset", "merged"),
    [("2020-01-11", True), ("2020-01-10", True), ("2020-01-12T08:00:00Z", True),
     ("2020-01-09", False), ("2020-01-13", False), ("2020", True)],
)  # fmt: skip
def test_note_and_record_that_agree_are_one_event(
    lake: MemoryLake, onset: str, merged: bool
) -> None:
    events = build(lake, NOTE, condition("c1", onsetDateTime=onset), from_note(condition("d1")))
    found = {e.reference: e.also_in for e in events if e.type == "Condition"}
    assert found == (
        {"Condition/c1": ("Condition/d1",)} if merged else {"Condition/c1": (), "Condition/d1": ()}
    )


def test_same_words_are_the_same_without_a_code(lake: MemoryLake) -> None:
    record = condition("c1", onsetDateTime="2020-01-11")
    record["code"] = {"text": "Diabetes, type 2 (disorder)"}
    said = from_note(condition("d1"))
    said["code"] = {"text": "diabetes  TYPE-2"}
    events = build(lake, NOTE, record, said)
    assert [e.also_in for e in events if e.type == "Condition"] == [("Condition/d1",)]


@pytest.mark.parametrize(
    ("value", "unit", "merged"),
    [("8.4", "%", True), ("8.40", "percent", True), ("8.5", "%", False), ("8.4", "g/dL", False)],
)
def test_results_are_the_same_only_with_the_same_value(
    lake: MemoryLake, value: str, unit: str, merged: bool
) -> None:
    events = build(
        lake, NOTE, a1c("o1", "8.4", "2020-01-11"), from_note(a1c("d1", value, unit=unit))
    )
    assert len([e for e in events if e.type == "Observation"]) == (1 if merged else 2)


def test_other_kinds_are_never_merged(lake: MemoryLake) -> None:
    procedure = {
        "resourceType": "Procedure", "id": "x", "status": "completed", "subject": SUBJECT,
        "code": DIABETES, "performedDateTime": "2020-01-11",
    }  # fmt: skip
    events = build(lake, NOTE, procedure, from_note(condition("d1")))
    assert all(e.also_in == () for e in events)


def test_entered_in_error_is_left_out(lake: MemoryLake) -> None:
    wrong = condition("c1", verificationStatus=verification("entered-in-error"))
    result = {**a1c("o1", "1", "2020"), "status": "entered-in-error"}
    assert {e.type for e in build(lake, wrong, result)} == {"Patient"}


def test_only_this_patient(lake: MemoryLake) -> None:
    other = {**PATIENT, "id": "p0"}
    theirs = {**condition("c0"), "subject": {"reference": "Patient/p0"}}
    events = build(lake, other, theirs, condition("c1"))
    assert {e.reference for e in events} == {"Patient/p1", "Condition/c1"}


@pytest.mark.parametrize(
    ("since", "until", "found"),
    [
        (None, None, ["c2", "c1", "c3", "c0"]),
        ("2019-12-31", None, ["c1", "c3"]),
        (None, "2019", ["c2"]),
        ("2020-01-01", "2020-01-10", ["c1"]),
        ("2015-01", "2015-02", ["c2"]),
    ],
)
def test_window(lake: MemoryLake, since: str | None, until: str | None, found: list[str]) -> None:
    events = build(
        lake,
        condition("c0"),
        condition("c1", onsetDateTime="2020-01-10"),
        condition("c2", onsetDateTime="2010", abatementDateTime="2018"),
        condition("c3", onsetDateTime="2021"),
        since=since,
        until=until,
        types=["Condition"],
    )
    assert [e.reference.removeprefix("Condition/") for e in events] == found


def test_as_of_a_past_commit(lake: MemoryLake) -> None:
    first = lake.commit(PATIENT, condition("c1", onsetDateTime="2020"), condition("c2"))
    lake.flush()
    second = lake.commit(condition("c1", onsetDateTime="2021"), deletes=("Condition/c2",))
    lake.flush()
    third = lake.commit(condition("c3"), deletes=("Patient/p1",))

    def conditions(t: int) -> set[tuple[str, str | None]]:
        events = timeline.build(lake.at(t), "p1", types=["Condition"])
        return {(e.reference, e.date) for e in events}

    assert conditions(first) == {("Condition/c1", "2020"), ("Condition/c2", None)}
    assert conditions(second) == {("Condition/c1", "2021")}
    with pytest.raises(FhirError) as caught:
        conditions(third)
    assert caught.value.category == "not-found"


@pytest.mark.parametrize(
    ("asked", "category"),
    [
        ({"types": ["Observatoin"]}, "invalid"),
        ({"types": ["Claim"]}, "invalid"),
        ({"since": "yesterday"}, "invalid"),
        ({"since": "2021", "until": "2020"}, "invalid"),
        ({"until": "2020-02-30"}, "invalid"),
    ],
)
def test_bad_questions(lake: MemoryLake, asked: dict[str, Any], category: str) -> None:
    lake.commit(PATIENT)
    with pytest.raises(FhirError) as caught:
        timeline.build(lake.at(), "p1", **asked)
    assert caught.value.category == category


def test_unknown_patient(lake: MemoryLake) -> None:
    lake.commit(PATIENT)
    with pytest.raises(FhirError) as caught:
        timeline.build(lake.at(), "p2")
    assert caught.value.category == "not-found"
