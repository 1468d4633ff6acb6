"""What goes with a patient or a note, and what stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from schemas.outcomes import FhirError
from storage.erase.selection import Selection, Selector
from storage.erase.target import ERASE, PURGE, Target
from storage.lake import Lake, Put

Fill = Callable[[Lake, list[str]], None]


def select(lake: Lake, target: Target) -> Selection:
    with lake._database.reading() as connection:
        return Selector(connection, lake._segments, lake._terms, lake._bodies, target).select()


def purge(id: str, **options: Any) -> Target:
    return Target(PURGE, frozenset({("Patient", id)}), id, **options)


def erase(*keys: tuple[str, str], **options: Any) -> Target:
    return Target(ERASE, frozenset(keys), **options)


@pytest.fixture
def ward(lake: Lake, fill: Fill) -> Lake:
    fill(lake, ["a", "b"])
    return lake


def record_of(id: str) -> set[tuple[str, str]]:
    return {
        ("Patient", id),
        ("Binary", f"photo-{id}"),
        ("Binary", f"text-{id}"),
        ("DocumentReference", f"note-{id}"),
        ("Condition", f"nlp-{id}"),
        ("Provenance", f"nlp-provenance-{id}"),
        ("Provenance", f"provenance-{id}"),
        ("Observation", f"gone-{id}"),
        ("Observation", f"hot-{id}"),
        *((("Observation", f"o{n}-{id}")) for n in range(12)),
    }


def test_a_record_is_all_that_was_ever_in_it(ward: Lake) -> None:
    found = select(ward, purge("a"))
    assert found.keys == record_of("a") | {("Observation", "moved")}
    assert found.shared == {("Group", "ward")}
    assert found.referring == {("Group", "ward"): {("Patient", "a")}}


def test_the_other_patient_has_it_now(ward: Lake) -> None:
    found = select(ward, purge("b"))
    assert found.keys == record_of("b") | {("Observation", "moved")}


def test_what_is_shared_goes_when_asked_for_but_no_other_person(ward: Lake) -> None:
    link = [{"other": {"reference": "Patient/a"}, "type": "seealso"}]
    ward.transact([Put({"resourceType": "Patient", "id": "twin", "link": link})])
    found = select(ward, purge("a", shared=True))
    assert ("Group", "ward") in found.keys
    assert found.shared == {("Patient", "twin")}
    assert set(found.referring) == {("Patient", "twin")}


def test_a_binary_that_others_use_stays(ward: Lake) -> None:
    report = {
        "resourceType": "DiagnosticReport",
        "id": "report",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": "Patient/b"},
        "presentedForm": [{"url": "Binary/text-a"}],
    }
    ward.transact([Put(report)])
    found = select(ward, purge("a"))
    assert ("Binary", "text-a") not in found.keys
    assert ("Binary", "photo-a") in found.keys
    assert ("DiagnosticReport", "report") not in found.referring


def test_a_provenance_of_others_too_stays_and_is_told(ward: Lake) -> None:
    provenance = {
        "resourceType": "Provenance",
        "id": "both",
        "target": [{"reference": "Observation/o1-a"}, {"reference": "Observation/o1-b"}],
        "recorded": "2024-01-01T00:00:00Z",
        "agent": [{"who": {"display": "Clerk"}}],
    }
    ward.transact([Put(provenance)])
    only_a = {**provenance, "target": provenance["target"][:1]}
    ward.transact([Put(only_a)])
    found = select(ward, purge("a"))
    # Its first version is about another patient's observation.
    assert ("Provenance", "both") not in found.keys
    assert found.referring["Provenance", "both"] == {("Observation", "o1-a")}


def test_a_provenance_of_a_provenance_follows(ward: Lake) -> None:
    provenance = {
        "resourceType": "Provenance",
        "id": "second",
        "target": [{"reference": "Provenance/provenance-a"}],
        "recorded": "2024-01-01T00:00:00Z",
        "agent": [{"who": {"display": "Clerk"}}],
    }
    ward.transact([Put(provenance)])
    assert ("Provenance", "second") in select(ward, purge("a")).keys


def test_a_note_takes_what_was_read_in_it(ward: Lake) -> None:
    note = ("DocumentReference", "note-a")
    found = select(ward, erase(note))
    assert found.keys == {
        note,
        ("Binary", "text-a"),
        ("Condition", "nlp-a"),
        ("Provenance", "nlp-provenance-a"),
    }
    assert found.referring == {("Provenance", "provenance-a"): {note}}
    kept = select(ward, erase(note, keep_derived=True))
    assert kept.keys == {note, ("Binary", "text-a")}
    assert set(kept.referring) == {
        ("Provenance", "provenance-a"),
        ("Provenance", "nlp-provenance-a"),
        ("Condition", "nlp-a"),
    }


def test_a_single_resource_takes_its_provenance(ward: Lake) -> None:
    provenance = {
        "resourceType": "Provenance",
        "id": "one",
        "target": [{"reference": "Observation/o1-a"}],
        "recorded": "2024-01-01T00:00:00Z",
        "agent": [{"who": {"display": "Clerk"}}],
    }
    ward.transact([Put(provenance)])
    found = select(ward, erase(("Observation", "o1-a")))
    assert found.keys == {("Observation", "o1-a"), ("Provenance", "one")}
    assert found.referring == {}


@pytest.mark.parametrize(
    ("act", "category"),
    [
        (lambda lake: lake.erase([("Observation", "none")], reason="x"), "not-found"),
        (lambda lake: lake.erase([("Nothing", "o1-a")], reason="x"), "unknown-type"),
        (lambda lake: lake.erase([], reason="x"), "required"),
        (lambda lake: lake.erase([("Observation", "o1-a")], reason=" "), "value"),
        (lambda lake: lake.erase([("Observation", "o1-a")], reason="x" * 1001), "value"),
        (lambda lake: lake.purge("none", reason="x"), "not-found"),
        (lambda lake: lake.purge("no id", reason="x"), "not-found"),
    ],
)
def test_what_cannot_be_erased_is_refused(
    ward: Lake, act: Callable[[Lake], object], category: str
) -> None:
    before = ward.stats()
    with pytest.raises(FhirError) as failure:
        act(ward)
    assert failure.value.category == category
    assert ward.stats() == before
    assert ward.eraser.unfinished() == []
