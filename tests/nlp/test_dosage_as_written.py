"""Dosages in shorthand: nothing written is lost, nothing unwritten is made up."""

from decimal import Decimal
from typing import Any

import pytest

from nlp import Annotator, NoteSource, to_resources


def dosages(annotator: Annotator, source: NoteSource, text: str) -> list[dict[str, Any]]:
    (found,) = [
        r
        for r in to_resources(annotator.annotate(text), source)
        if r["resourceType"] == "MedicationStatement"
    ]
    listed: list[dict[str, Any]] = found.get("dosage", [])
    return listed


@pytest.mark.parametrize(
    ("text", "words", "frequency"),
    [
        ("ASA 81", "81", None),
        ("Medications:\n1. aspirin 81\n", "81", None),
        ("metformin 1000 BID", "1000 BID", 2),
        ("lisinopril 20 daily", "20 daily", 1),
        ("lisinopril 20/12.5 daily", "20/12.5 daily", 1),
        ("Sertraline 50, increase to 100.", "100", None),
    ],
)
def test_number_without_unit_stays_in_the_text(
    annotator: Annotator, source: NoteSource, text: str, words: str, frequency: int | None
) -> None:
    (dosage,) = dosages(annotator, source, text)
    assert dosage["text"] == words
    assert "doseAndRate" not in dosage
    assert dosage.get("timing", {}).get("repeat", {}).get("frequency") == frequency


@pytest.mark.parametrize("text", ["started aspirin 2019", "Digoxin 1.2", "1. aspirin 2. Rest."])
def test_number_that_is_no_dosage(annotator: Annotator, source: NoteSource, text: str) -> None:
    assert dosages(annotator, source, text) == []


def test_before_meals(annotator: Annotator, source: NoteSource) -> None:
    (dosage,) = dosages(annotator, source, "Insulin lispro 10 units TID AC")
    assert dosage["timing"]["repeat"] == {
        "frequency": 3,
        "period": Decimal(1),
        "periodUnit": "d",
        "when": ["AC"],
    }


@pytest.mark.parametrize(
    ("text", "route"),
    [
        ("albuterol inhaler 2 puffs q4h", "447694001"),
        ("albuterol 2 puffs q4h", None),
        ("Fentanyl patch 25 mcg/hr q72h", "45890007"),
        ("Fentanyl 25 mcg/hr IV", "47625008"),
        ("lidocaine patch 5% daily", None),
        ("fluticasone nasal spray 2 puffs daily", "46713006"),
    ],
)
def test_route_that_the_form_implies(
    annotator: Annotator, source: NoteSource, text: str, route: str | None
) -> None:
    (dosage,) = dosages(annotator, source, text)
    assert (dosage["route"]["coding"][0]["code"] if "route" in dosage else None) == route


def test_rate_of_a_patch_stays_in_the_text(annotator: Annotator, source: NoteSource) -> None:
    (dosage,) = dosages(annotator, source, "Fentanyl patch 25 mcg/hr q72h")
    assert dosage["text"] == "patch 25 mcg/hr q72h"
