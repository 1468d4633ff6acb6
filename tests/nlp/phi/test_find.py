"""Finding protected health information: by form, by context, by what the record knows."""

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlp.phi import PhiSpan, find
from nlp.phi.shouted import unshouted
from nlp.phi.span import merged


def found(text: str, **options: object) -> list[tuple[str, str]]:
    return [(s.category, text[s.begin : s.end]) for s in find(text, **options)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "written",
    [
        "03/04/2023", "3/4/23", "2023-03-04", "3-4-2023", "03.04.2023", "March 4, 2023",
        "Mar 4, 2023", "4 March 2023", "4-Mar-2023", "04MAR23", "March 4th", "the 4th of March",
        "March 2023", "2023/03/04", "2023-03-04T10:00:00Z", "20230304",
        "the fourth of March", "Christmas Eve",
    ],
)  # fmt: skip
def test_date(written: str) -> None:
    text = f"She was seen {written} in clinic."
    assert [category for category, _ in found(text)] == ["DATE"]
    (span,) = find(text)
    assert written.removeprefix("the ") in text[span.begin : span.end]


@pytest.mark.parametrize(
    "text",
    [
        "strength 5/5, murmur 2/6, pain 7/10", "BP 120/80 mmHg", "EF 35-40%", "in 2019",
        "1/2 tab daily", "platelets 150,000", "take 2-3 times", "a 54 year old man", "aged 89",
        "Na 138, K 4.1, WBC 12.3", "SpO2 98% on RA, RR 16", "HbA1c 9.2 %", "CD4 540",
    ],
)  # fmt: skip
def test_what_is_no_date_age_or_number_stays(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "category", "written"),
    [
        ("He is 93 years old", "AGE", "93"),
        ("a 101-year-old woman", "AGE", "101"),
        ("age: 90", "AGE", "90"),
        ("a ninety-two year old", "AGE", "ninety-two"),
        ("call (555) 123-4567", "PHONE", "(555) 123-4567"),
        ("Phone: 5551234567", "PHONE", "5551234567"),
        ("fax 555.123.4567", "FAX", "555.123.4567"),
        ("write to a.b+c@mail.example.org", "EMAIL", "a.b+c@mail.example.org"),
        ("see https://portal.example.org/x?y=1.", "URL", "https://portal.example.org/x?y=1"),
        ("from 192.168.10.4", "IP", "192.168.10.4"),
        ("SSN: 123-45-6789", "SSN", "123-45-6789"),
        ("social security number 123456789", "SSN", "123456789"),
        ("MRN: A123456", "MRN", "A123456"),
        ("Medical Record Number 00-12-34", "MRN", "00-12-34"),
        ("Account # 99887", "ID", "99887"),
        ("DEA number AB1234567", "ID", "AB1234567"),
        ("device serial no. XK-99812", "ID", "XK-99812"),
        ("VIN 1HGCM82633A004352", "ID", "1HGCM82633A004352"),
        ("lives at 12 Maple Tree Ln", "LOCATION", "12 Maple Tree Ln"),
        ("from Brookvale, OH", "LOCATION", "Brookvale"),
        ("zip code 44101-1234", "ZIP", "44101-1234"),
        ("admitted to Vorlan General Hospital", "ORGANIZATION", "Vorlan General Hospital"),
    ],
)
def test_form(text: str, category: str, written: str) -> None:
    assert (category, written) in found(text)


# None of these names is in a list.
@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Dr. Zelquint saw her.", "Zelquint"),
        ("Mr. Zelquint-O'Vorrith denies pain.", "Zelquint-O'Vorrith"),
        ("Patient: Zelquint, Orvath B.", "Zelquint, Orvath B."),
        ("PATIENT NAME: ZELQUINT, ORVATH", "ZELQUINT, ORVATH"),
        ("Seen by Orvath Zelquint in clinic.", "Orvath Zelquint"),
        ("Discussed with Orvath Zelquint, MD", "Orvath Zelquint"),
        ("Electronically signed by: Orvath Zelquint, PA-C", "Orvath Zelquint"),
        ("His wife Orvath called.", "Orvath"),
        ("Her daughter, Orvath Zelquint, agrees.", "Orvath Zelquint"),
        ("Emergency contact: Orvath Zelquint", "Orvath Zelquint"),
        ("dr. zelquint recommends rest.", "zelquint"),
        ("Orvath Zelquint is a 54-year-old man.", "Orvath Zelquint"),
        ("Zelquint's blood pressure was high.", "Zelquint"),
        ("Attending: Orvath van der Zelquint", "Orvath van der Zelquint"),
        ("Sincerely,\nOrvath Zelquint", "Orvath Zelquint"),
        ("Dr. Parkinson agrees.", "Parkinson"),
    ],
)
def test_name_by_its_context(text: str, name: str) -> None:
    assert ("NAME", name) in found(text)


def test_name_found_once_is_found_everywhere() -> None:
    text = "Ms. Zelquint was seen. Plan: Zelquint to return. ZELQUINT signed."
    assert [name for _, name in found(text)] == ["Zelquint", "Zelquint", "ZELQUINT"]


@pytest.mark.parametrize(
    "text",
    [
        "Parkinson disease, Crohn's disease, Hodgkin lymphoma",
        "Foley catheter, Babinski negative", "Lasix 40 mg daily. May repeat. Will follow.",
        "Gram stain negative. Glasgow Coma Scale 15.",
        "Review of Systems: General: no fever.", "Murphy's sign negative, Romberg normal.",
        "Type 2 Diabetes Mellitus, Essential Hypertension", "FOLEY CATHETER IN PLACE. MAY REPEAT.",
    ],
)  # fmt: skip
def test_eponyms_and_ordinary_words_are_no_names(text: str) -> None:
    assert found(text) == []


KNOWN = [
    {
        "resourceType": "Patient",
        "id": "p-4711",
        "name": [{"family": "Will", "given": ["Zelda", "Li"]}],
        "birthDate": "1950-01-02",
        "address": [{"line": ["Hinterhof 3"], "city": "Vorlan", "postalCode": "44101"}],
        "telecom": [{"system": "phone", "value": "555-123-4567"}],
        "identifier": [{"value": "ZX 991"}],
    },
    {"resourceType": "Organization", "name": "Good Hope"},
]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("saw zelda today", ["zelda"]), ("Will was here, we will see", ["Will"]),
        ("Li agrees, li does not", ["Li"]),
        ("at hinterhof  3 , Vorlan", ["hinterhof  3", "Vorlan"]),
        ("code 44101", ["44101"]), ("at (555) 123 4567", ["(555) 123 4567"]),
        ("number ZX 991", ["ZX 991"]), ("to Good Hope", ["Good Hope"]),
    ],
)  # fmt: skip
def test_what_the_record_knows(text: str, words: list[str]) -> None:
    assert [word for _, word in found(text, known=KNOWN)] == words


def test_lines_in_capitals_are_read_letter_for_letter() -> None:
    text = "SEEN BY JOHN SMITH, MD\nHe is well. Straße ﬁnd İ"
    assert len(unshouted(text)) == len(text)
    assert unshouted(text).startswith("seen by John Smith, MD")


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60))))
def test_merging_loses_nothing_and_overlaps_nothing(pairs: list[tuple[int, int]]) -> None:
    spans = [PhiSpan(begin, end, "NAME") for begin, end in pairs]
    joined = merged(spans)
    covered = {place for span in joined for place in range(span.begin, span.end)}
    assert covered == {place for begin, end in pairs for place in range(begin, end)}
    assert all(one.end <= other.begin for one, other in itertools.pairwise(joined))


@given(st.text(max_size=300))
def test_any_text_is_read(text: str) -> None:
    assert all(0 <= s.begin < s.end <= len(text) for s in find(text))


@pytest.mark.parametrize("part", ["A-", "a.", "1/", "Aa ", "Dr. ", "a@", "12 Aa ", "John Smith, "])
def test_hostile_text_takes_linear_time(part: str) -> None:
    def seconds(size: int) -> float:
        started = time.process_time()
        find((part * size)[:size])
        return time.process_time() - started

    assert seconds(20_000) < 3 * seconds(10_000) + 0.5
