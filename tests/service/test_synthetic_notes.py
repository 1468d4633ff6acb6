"""The NLP against the generator's ground truth: notes and facts made apart from each other."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import pytest

from nlp import Annotator, NoteSource, to_resources
from schemas.validate import validate
from service.synth import NoteFacts, generate_population

PATIENTS = 50


class ReadNote(NamedTuple):
    facts: NoteFacts
    resources: list[dict[str, Any]]


@cache
def read_notes() -> list[ReadNote]:
    annotator = Annotator.load()

    def read() -> Iterator[ReadNote]:
        for record in generate_population(PATIENTS, seed=23):
            documents = {
                r["id"]: r for r in record.resources if r["resourceType"] == "DocumentReference"
            }
            for facts in record.note_facts:
                document = documents[facts.document_id]
                data = document["content"][0]["attachment"]["data"]
                source = NoteSource(
                    reference=f"DocumentReference/{facts.document_id}",
                    version_id=1,
                    patient=f"Patient/{record.id}",
                    encounter=None,
                    date=document["date"],
                    author=None,
                )
                mentions = annotator.annotate(base64.b64decode(data).decode())
                yield ReadNote(facts, to_resources(mentions, source))

    return list(read())


def codes_of(resources: list[dict[str, Any]], resource_type: str, element: str) -> set[str]:
    return {
        coding["code"]
        for resource in resources
        if resource["resourceType"] == resource_type
        for coding in resource[element].get("coding", [])
    }


@pytest.mark.slow
def test_every_derived_resource_is_valid() -> None:
    for note in read_notes():
        for resource in note.resources:
            assert validate(resource) == [], resource["resourceType"]


def test_drugs_written_are_drugs_found() -> None:
    said = found = 0
    for note in read_notes():
        drugs = {
            fact.code[1] if isinstance(fact.code, tuple) else fact.code
            for fact in note.facts.facts
            if fact.category == "MEDICATION" and fact.code
        }
        got = codes_of(note.resources, "MedicationStatement", "medicationCodeableConcept")
        said += len(drugs)
        found += len({drug for drug in drugs if str(drug).split("|")[-1] in got})
    assert said > 100
    assert found / said > 0.9, (found, said)


@pytest.mark.parametrize("trait", ["NEGATED", "FAMILY", "HYPOTHETICAL"])
def test_what_is_not_the_patients_is_no_active_condition(trait: str) -> None:
    seen = 0
    for note in read_notes():
        affirmed = {f.text.lower() for f in note.facts.facts if f.affirmed}
        denied = {fact.text.lower() for fact in note.facts.facts if trait in fact.traits} - affirmed
        seen += len(denied)
        for resource in note.resources:
            if resource["resourceType"] == "Condition" and "clinicalStatus" in resource:
                assert resource["code"]["text"].lower() not in denied, note.facts.document_id
    assert seen > 20
