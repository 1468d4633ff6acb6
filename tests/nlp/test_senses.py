"""Short forms of several meanings: what line, section and note say."""

import pytest

from nlp import Annotator
from nlp.mention import CONDITION, MEDICATION, PROCEDURE, SYMPTOM, TEST
from nlp.rules import rows
from nlp.senses import NO_MENTION, sense_of, senses
from nlp.terminology import knowledge_base


def codes(annotator: Annotator, text: str, short: str) -> list[tuple[str, str]]:
    return [
        (m.category, m.concepts[0].code if m.concepts else "")
        for m in annotator.annotate(text)
        if m.text.startswith(short)
    ]


@pytest.mark.parametrize(
    ("text", "short", "category", "code"),
    [
        ("She has relapsing MS, on Copaxone.", "MS", CONDITION, "24700007"),
        ("Echo: severe MS with a mean gradient of 14.", "MS", CONDITION, "79619009"),
        ("MS 4 mg IV given for pain.", "MS", MEDICATION, "7052"),
        ("RA on methotrexate.", "RA", CONDITION, "69896004"),
        ("CTA to rule out PE.", "PE", CONDITION, "59282003"),
        ("Denies CP, SOB.", "CP", SYMPTOM, "29857009"),
        ("Spastic quadriplegic CP, on baclofen.", "CP", CONDITION, "128188000"),
        ("ESRD on PD with nightly exchanges.", "PD", PROCEDURE, "71192002"),
        ("PD with resting tremor, on Sinemet.", "PD", CONDITION, "49049000"),
        ("PT 13.2, INR 1.1", "PT", TEST, "5902-2"),
        ("PMH: DM, obesity.", "DM", CONDITION, "73211009"),
        ("SBP 142, HR 80.", "SBP", TEST, "8480-6"),
    ],
)
def test_line_decides(
    annotator: Annotator, text: str, short: str, category: str, code: str
) -> None:
    assert codes(annotator, text, short) == [(category, code)]


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("SpO2 97% on RA.", "RA"),
        ("PE: normocephalic, lungs clear.", "PE"),
        ("MS intact, alert.", "MS"),
        ("The PT is a 54-year-old woman.", "PT"),
        ("Seen in the ED.", "ED"),
        ("Visual acuity 20/40 OD.", "OD"),
        ("RT knee pain.", "RT"),
        ("Guaifenesin DM as needed for cough.", "DM"),
        ("MS.", "MS"),
        ("MR was seen today.", "MR"),
    ],
)
def test_without_evidence_or_with_another_meaning_no_code(
    annotator: Annotator, text: str, short: str
) -> None:
    assert codes(annotator, text, short) == []


def test_long_form_elsewhere_in_the_note_decides(annotator: Annotator) -> None:
    text = "Multiple sclerosis since 2010.\n\nPlan:\nMS. Continue."
    assert codes(annotator, text, "MS") == [(CONDITION, "24700007")]


def test_two_meanings_in_the_note_leave_it_open(annotator: Annotator) -> None:
    text = "Multiple sclerosis since 2010. Mitral stenosis too.\n\nPlan:\nMS. Continue."
    assert codes(annotator, text, "MS") == []


def test_what_the_note_defines_wins(annotator: Annotator) -> None:
    text = "Severe mitral stenosis (MS). Her MS flare is unclear."
    assert codes(annotator, text, "MS")[-1] == (CONDITION, "79619009")


def test_section_decides_where_the_line_is_silent() -> None:
    assert sense_of("PE", "⟨⟩", "", "problem_list", shouted=False) == "condition:pulmonary embolism"
    assert sense_of("PE", "⟨⟩", "", "physical_exam", shouted=False) is None
    assert sense_of("PE", "⟨⟩", "", "problem_list", shouted=True) is None


def test_the_table_names_terms_that_there_are() -> None:
    terms = knowledge_base().terms
    unknown = {
        sense.term
        for meanings in senses().values()
        for sense in meanings
        if sense.term != NO_MENTION and sense.term not in terms
    }
    assert unknown == set()
    assert all(row[5] in ("", "y") for row in rows("senses.tsv", 6))
