"""Headers as notes write them."""

from itertools import pairwise

import pytest

from nlp.entities import section_at
from nlp.layout import Layout
from nlp.sections import find_sections


def categories(text: str) -> list[str | None]:
    return [s.category for s in find_sections(text) if s.title or s.category]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ASSESSMENT: asthma", ["assessment"]),
        ("Assessment and Plan:\nasthma", ["assessment_and_plan"]),
        ("A/P: asthma", ["assessment_and_plan"]),
        ("Medications\nmetformin", ["medications"]),
        ("Discharge Medications:\nmetformin", ["discharge_medications"]),
        ("PMH: asthma", ["past_medical_history"]),
        ("Past Medical History - asthma", ["past_medical_history"]),
        ("**Family History:** asthma", ["family_history"]),
        (
            "HPI: cough. PMH: asthma. MEDICATIONS: none.",
            ["history_of_present_illness", "past_medical_history", "medications"],
        ),
        ("NEURO: normal", ["other"]),
        ("He takes medications daily", []),
        ("the plan was discussed", []),
        ("Mother: asthma", []),
    ],
)
def test_find_sections(text: str, expected: list[str | None]) -> None:
    assert categories(text) == expected


def test_sections_cover_the_text_without_gaps() -> None:
    text = "Intro\nHPI: cough\n\nPlan:\nrest\nALLERGIES: none\nMore text"
    sections = find_sections(text)
    assert sections[0].begin == 0
    assert sections[-1].end == len(text)
    for before, after in pairwise(sections):
        assert before.end == after.begin


def test_subtitles_of_a_family_history_do_not_end_it() -> None:
    text = "FAMILY HISTORY:\nMOTHER: asthma\nFATHER: gout"
    assert set(categories(text)) == {"family_history"}


def test_inline_allergies_end_with_their_line() -> None:
    sections = find_sections("Allergies: penicillin\nHe takes aspirin.")
    assert [s.category for s in sections][-1] is None


def test_body_system_keeps_the_section_it_stands_in() -> None:
    text = (
        "REVIEW OF SYSTEMS:\nHEENT: no headache.\nLungs: no cough.\nPLAN:\nBack: physical therapy."
    )
    found = [(s.title, s.category) for s in find_sections(text) if s.title]
    assert found == [
        ("REVIEW OF SYSTEMS", "review_of_systems"),
        ("HEENT", "review_of_systems"),
        ("Lungs", "review_of_systems"),
        ("PLAN", "plan"),
    ]


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("PMH: DM, HTN. MEDS: metformin.", "medications"),
        ("## Past Medical History\n- asthma", "past_medical_history"),
        ("**Family History**\n- stroke", "family_history"),
        ("4. Family History: stroke", "family_history"),
        ("Past Medical History\nasthma", "past_medical_history"),
        ("past medical history: asthma", "past_medical_history"),
        ("POSTOP DIAGNOSIS: appendicitis", "assessment"),
        ("Indications for surgery: hernia", "indication"),
        ("Allergies to medicines: penicillin", "allergies"),
        ("History of present complaint: cough", "history_of_present_illness"),
        ("When to seek medical attention: fever", "instructions"),
        ("<b>Family History:</b><br>stroke", "family_history"),
    ],
)
def test_headers_as_they_are_written(text: str, category: str) -> None:
    clean = Layout(text).clean
    last = clean.split()[-1].strip(".")
    assert section_at(find_sections(clean), clean.rindex(last)) == category
