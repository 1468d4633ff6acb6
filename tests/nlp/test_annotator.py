"""Any text is read, spans quote it, and the same text gives the same mentions."""

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nlp import Annotator, Mention, NoteSource, to_resources
from nlp.annotator import chunks
from schemas.validate import validate

SOURCE = NoteSource("DocumentReference/n", "1", "Patient/p", None, "2024-01-01")
_PIECES = st.sampled_from(
    [
        "chest pain", "metformin 500 mg BID", "no ", "denies ", "history of ", "mother with ",
        "possible ", "type 2 diabetes", "Allergies: ", "Family History: ", "HbA1c 8.4 %",
        "BP 142/88", "\n", "\r\n", "\n\n", ". ", ", ", " and ", " but ", "😀", "é", "\t", "  ",
        "(CHF)", "congestive heart failure", "sulfa (rash)", "was stopped", "1. ", "- ", "PLAN: ",
        "\u200b", "\xa0", "if ", "?", ":", "(", ")", "q4-6h prn", "5/325", "1/0", "'s", "’s",
    ]
)  # fmt: skip
notes = st.lists(st.one_of(_PIECES, st.text(max_size=6)), max_size=25).map("".join)


def check(text: str, mentions: list[Mention]) -> None:
    ends: dict[str, int] = {}
    for mention in mentions:
        assert text[mention.begin : mention.end] == mention.text
        assert mention.text.strip()
        assert mention.begin >= ends.get(mention.category, 0)
        ends[mention.category] = mention.end
        for attribute in mention.attributes:
            assert text[attribute.begin : attribute.end] == attribute.text


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=notes)
def test_annotate_quotes_the_text_and_is_deterministic(annotator: Annotator, text: str) -> None:
    mentions = annotator.annotate(text)
    check(text, mentions)
    assert annotator.annotate(text) == mentions


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=notes)
def test_resources_never_state_what_was_denied(annotator: Annotator, text: str) -> None:
    mentions = annotator.annotate(text)
    said = {(m.begin, m.end) for m in mentions if not {"NEGATED", "FAMILY"} & set(m.traits)}
    for resource in to_resources(mentions, SOURCE):
        if resource["resourceType"] not in ("Condition", "MedicationStatement"):
            continue
        clinical = resource.get("clinicalStatus", {}).get("coding", [{}])[0].get("code")
        if clinical == "active" or resource.get("status") in ("active", "intended"):
            for extension in resource["extension"]:
                parts = {p["url"]: p for p in extension["extension"]}
                span = parts["begin"]["valueInteger"], parts["end"]["valueInteger"]
                assert span in said


@pytest.mark.parametrize(
    "text",
    ["metformin 500 mg\x1bBID", "met\x00formin 500\x0cmg \ud800 daily", "type\x1c2\x07diabetes"],
)
def test_control_characters_do_not_reach_resources(annotator: Annotator, text: str) -> None:
    mentions = annotator.annotate(text)
    check(text, mentions)
    found = to_resources(mentions, SOURCE)
    assert len(found) == 2
    assert all(validate(resource) == [] for resource in found)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "\n\n\n", "\x00", "😀😀😀", "\r\n\r\n", "((((((", "a" * 5000, "," * 3000,
        "NO NEWLINES " * 500, "\t|\t|\t|\n" * 200, "\ud800", "x\u2028y\u2029z\x85w", "é́́́́",
        "if if if if no no no denies denies mother mother", "q" * 3000, "1" * 3000, "()" * 2000,
    ],
)  # fmt: skip
def test_weird_text_is_read(annotator: Annotator, text: str) -> None:
    check(text, annotator.annotate(text))


def test_empty_text_has_no_mentions(annotator: Annotator) -> None:
    assert annotator.annotate("") == []


def test_offsets_are_code_points_with_emoji_and_crlf(annotator: Annotator) -> None:
    text = "😀 Assessment:\r\n\t1.  Type 2\r\n diabetes 😀\r\n  2. Asthma\r\n"
    mentions = annotator.annotate(text)
    check(text, mentions)
    assert [m.text for m in mentions if m.category == "CONDITION"][-1] == "Asthma"


def test_mention_over_a_wrapped_line_is_found(annotator: Annotator) -> None:
    text = (
        "The patient was seen today in the clinic because of congestive heart\n"
        "failure and she has been feeling well, but there has been shortness\n"
        "of breath when she climbs the stairs, and in the mornings a cough in\n"
        "bed that wakes her.\n"
    )
    found = {m.text for m in annotator.annotate(text)}
    assert {"congestive heart\nfailure", "shortness\nof breath"} <= found


def test_abbreviation_that_the_note_defines_is_linked(annotator: Annotator) -> None:
    text = "She has polymyalgia rheumatica (PMRC). PMRC is stable."
    found = [m for m in annotator.annotate(text) if m.text == "PMRC"]
    assert len(found) == 2
    assert all(m.concepts[0].code == "65323003" for m in found)


def test_abbreviation_defined_as_something_else_is_not_the_disease(annotator: Annotator) -> None:
    text = "The physical exam (PE) was done. PE of the chest was normal."
    assert all(m.text != "PE" for m in annotator.annotate(text))


def seconds(annotator: Annotator, text: str) -> float:
    started = time.process_time()
    to_resources(annotator.annotate(text), SOURCE)
    return time.process_time() - started


HOSTILE = [
    "(", ")", "-", ".", "/", ":", ",", ";", "'", '"', "!", "_", "*", "[", " ", "\t", "\n", "\r",
    "a", "1", "é", "😀", "\u0301", "\u200b", "\x1f", "(-", "a.", "1/", "_a", "\r\n \r\n", ": \n",
    "A:\n", "no ", "mg ", "word ", "- a ", "cough\n", "no cough, ", "no cough ", "HTN (", "(CP) ",
    "aspirin, ", "aspirin 81 mg daily. ", "BP 120/80, HR 70. ", "denies aspirin ", "mother cough ",
    "plan aspirin ", "stopped aspirin, ", "Allergies: aspirin ", "Glucose: ", "aspirin (rash) ",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("part", HOSTILE)
def test_hostile_text_takes_linear_time(annotator: Annotator, part: str) -> None:
    # A chunk is 50 000 characters: only below that can the square of the length be seen.
    half, whole = ((part * 50_000)[:size] for size in (25_000, 50_000))
    assert seconds(annotator, whole) < 3 * seconds(annotator, half) + 0.5


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "(" * 200_000, "-" * 200_000, "." * 200_000, "a" + " " * 200_000 + "b", "x-" * 100_000,
        "_" * 199_999 + "a", "BP " + "1" * 20_000, "no " * 50_000, "mg " * 50_000, "A:\n" * 66_000,
        "no " + "aspirin, " * 5000, "denies " + "cough, " * 7000, "no " * 8000 + "x " * 9000,
    ],
)  # fmt: skip
def test_hostile_text_is_read_in_seconds(annotator: Annotator, text: str) -> None:
    assert seconds(annotator, text) < 10


@pytest.mark.slow
def test_long_note_is_read_in_linear_time(annotator: Annotator) -> None:
    part = "The patient denies chest pain (CP) and takes metformin 500 mg BID for diabetes. "

    def seconds(size: int) -> float:
        text = part * (size // len(part))
        started = time.process_time()
        assert annotator.annotate(text)
        return time.process_time() - started

    seconds(20_000)
    assert seconds(400_000) < 12 * seconds(100_000)


def test_section_goes_on_over_a_chunk_border(annotator: Annotator) -> None:
    text = "Family History:\n" + "Asthma is common there.\n" * 4000
    mentions = [m for m in annotator.annotate(text) if m.text == "Asthma"]
    assert len(mentions) == 4000
    assert all("FAMILY" in m.traits for m in mentions)


@given(text=st.text(max_size=400), size=st.integers(min_value=1, max_value=50))
def test_chunks_cover_the_text(text: str, size: int) -> None:
    spans = list(chunks(text, size))
    assert "".join(text[b:e] for b, e in spans) == text
    assert all(0 < e - b <= size for b, e in spans)


def test_a_note_in_another_language_is_flagged_and_not_coded(annotator: Annotator) -> None:
    text = (
        "Paciente con diabetes e hipertensión que acude por dolor en el pecho desde hace dos días."
        " No tiene fiebre. Toma metformina 500 mg y aspirina."
    )
    reading = annotator.read(text)
    assert (reading.mentions, reading.language) == ((), "es")
    assert reading.flags == ("language-not-supported",)
    assert annotator.annotate(text) == []


def test_an_english_note_and_a_list_of_drugs_are_read(annotator: Annotator) -> None:
    reading = annotator.read("The patient has diabetes and takes metformin 500 mg.")
    assert (reading.language, reading.flags) == ("en", ())
    assert reading.mentions
    assert len(annotator.read("metformin 500 mg\nlisinopril 10 mg\naspirin").mentions) == 3
