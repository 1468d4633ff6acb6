"""What a note says stands in the record, and its facts stand in the note."""

from __future__ import annotations

from base64 import b64decode
from collections import Counter
from collections.abc import Iterator
from typing import Any

from schemas.codes import RXNORM, SNOMED
from service.synth import NoteFacts, PatientRecord

Json = dict[str, Any]


def notes(population: list) -> Iterator[tuple[PatientRecord, Json, str, NoteFacts]]:
    for record in population:
        documents = {
            r["id"]: r for r in record.resources if r["resourceType"] == "DocumentReference"
        }
        assert set(documents) == {facts.document_id for facts in record.note_facts}
        for facts in record.note_facts:
            document = documents[facts.document_id]
            attachment = document["content"][0]["attachment"]
            text = b64decode(attachment["data"]).decode()
            assert attachment["size"] == len(text.encode())
            yield record, document, text, facts


def test_every_fact_stands_where_it_says(population: list) -> None:
    for _, _, text, found in notes(population):
        end = 0
        for fact in found.facts:
            assert text[fact.begin : fact.end] == fact.text
            assert fact.begin >= end
            end = fact.end


def test_notes_are_of_readable_length(population: list) -> None:
    lengths = sorted(len(text.split()) for _, _, text, _ in notes(population))
    assert lengths[len(lengths) // 20] >= 140
    assert lengths[-1] <= 600
    assert 180 <= sum(lengths) / len(lengths) <= 400


def test_no_placeholder_and_no_double_article_is_left(population: list) -> None:
    for _, _, text, _ in notes(population):
        for bad in ("{", "}", "None", "  .", " ,", "..", "a 8", "an 7", "develops develops"):
            assert bad not in text.replace("None.", "").replace("None significant", ""), bad


def test_drugs_said_to_be_taken_are_ordered_with_that_dose(population: list) -> None:
    told = 0
    for record, document, _, found in notes(population):
        orders = [r for r in record.resources if r["resourceType"] == "MedicationRequest"]
        written = document["date"][:10]
        for fact in found.facts:
            if fact.category != "MEDICATION" or not fact.affirmed or not fact.attributes:
                continue
            product = dict(fact.concepts[1:])[RXNORM]
            dose = dict(fact.attributes)["dose"]
            matching = [
                order
                for order in orders
                if order["medicationCodeableConcept"]["coding"][0]["code"] == product
                and order["medicationCodeableConcept"]["text"].endswith(dose)
                and order["authoredOn"][:10] <= written
            ]
            assert matching, (fact, written)
            told += 1
    assert told > 2000


def test_drugs_said_to_be_stopped_are_stopped_for_that_reason(population: list) -> None:
    told = 0
    for record, _, text, found in notes(population):
        stopped = {
            order["medicationCodeableConcept"]["coding"][1]["code"]: order["statusReason"]["text"]
            for order in record.resources
            if order["resourceType"] == "MedicationRequest" and order["status"] == "stopped"
        }
        for fact in found.facts:
            if "STOPPED" in fact.traits:
                assert fact.code in stopped
                told += 1
                assert any(
                    order["statusReason"]["text"].lower() in text.lower()
                    for order in record.resources
                    if order["resourceType"] == "MedicationRequest"
                    and order["status"] == "stopped"
                    and order["medicationCodeableConcept"]["coding"][1]["code"] == fact.code
                )
    assert told > 30


def test_affirmed_diagnoses_are_conditions_and_negated_ones_are_not(population: list) -> None:
    affirmed = negated = 0
    for record, document, _, found in notes(population):
        written = document["date"][:10]
        # Known by the end of the visit; a drug given for it or an admission may come first.
        known = {
            r["code"]["coding"][0]["code"]
            for r in record.resources
            if r["resourceType"] == "Condition" and r["recordedDate"][:10] <= written
        }
        active = {
            r["code"]["coding"][0]["code"]
            for r in record.resources
            if r["resourceType"] == "Condition"
            and r["recordedDate"][:10] <= written
            and r.get("abatementDateTime", "9999") >= written
        }
        for fact in found.facts:
            if fact.category != "CONDITION":
                continue
            code = dict(fact.concepts)[SNOMED]
            if fact.affirmed or fact.traits == ("HISTORICAL",):
                assert code in known, fact
                affirmed += 1
            elif fact.traits == ("NEGATED",):
                assert code not in active, fact
                negated += 1
    assert affirmed > 2000
    assert negated > 20


def test_allergies_and_family_history_are_in_the_record(population: list) -> None:
    seen: Counter[str] = Counter()
    for record, _, _, found in notes(population):
        allergens = {
            r["code"]["coding"][0]["code"]
            for r in record.resources
            if r["resourceType"] == "AllergyIntolerance"
        }
        family = {
            r["condition"][0]["code"]["coding"][0]["code"]
            for r in record.resources
            if r["resourceType"] == "FamilyMemberHistory"
        }
        for fact in found.facts:
            if "ALLERGY" in fact.traits and fact.code:
                assert fact.code in allergens
                seen["allergy"] += 1
            if "FAMILY" in fact.traits:
                assert (fact.code in family) is ("NEGATED" not in fact.traits)
                seen["family"] += 1
    assert seen["allergy"] > 20 and seen["family"] > 200


def test_no_symptom_is_both_reported_and_denied(population: list) -> None:
    for _, _, _, found in notes(population):
        stated: dict[bool, set[str]] = {True: set(), False: set()}
        for fact in found.facts:
            if fact.category == "SYMPTOM" and fact.traits in ((), ("NEGATED",)):
                stated[fact.affirmed].add(fact.text.lower())
        assert not stated[True] & stated[False]


def test_values_in_notes_are_the_observed_values(population: list) -> None:
    told = 0
    for record, document, _, found in notes(population):
        encounter = document["context"]["encounter"][0]["reference"]
        observed = {
            str(o["valueQuantity"]["value"])
            for o in record.resources
            if o["resourceType"] == "Observation"
            and o["encounter"]["reference"] == encounter
            and "valueQuantity" in o
        }
        for fact in found.facts:
            if fact.category == "TEST" and fact.code != "85354-9":
                value = dict(fact.attributes)["value"]
                number = value.split()[0].rstrip("%")
                assert number in observed, fact
                told += 1
    assert told > 2000


def test_every_kind_of_statement_occurs(population: list) -> None:
    traits = Counter(t for *_, found in notes(population) for f in found.facts for t in f.traits)
    for trait in (
        "NEGATED", "UNCERTAIN", "HISTORICAL", "HYPOTHETICAL", "FAMILY", "STOPPED", "ALLERGY",
    ):  # fmt: skip
        assert traits[trait] >= 20, trait
