"""Where sentences start."""

import pytest

from nlp.sections import find_sections
from nlp.sentences import sentence_starts


def split(text: str) -> list[str]:
    starts = sentence_starts(text, find_sections(text))
    return [text[b:e].strip() for b, e in zip(starts, [*starts[1:], len(text)], strict=True)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No fever. He coughs.", ["No fever.", "He coughs."]),
        ("Dr. Smith saw him.", ["Dr. Smith saw him."]),
        ("1. Asthma\n2. Gout", ["1. Asthma", "2. Gout"]),
        ("asthma\ngout", ["asthma", "gout"]),
        ("takes 5 mg b.i.d. for pain", ["takes 5 mg b.i.d. for pain"]),
        ("takes 5 mg b.i.d. He left.", ["takes 5 mg b.i.d.", "He left."]),
        ("pH 7.4 was seen", ["pH 7.4 was seen"]),
        ("no fever; has cough", ["no fever;", "has cough"]),
        ("PLAN: rest", ["PLAN:", "rest"]),
    ],
)
def test_sentence_starts(text: str, expected: list[str]) -> None:
    assert [s for s in split(text) if s] == expected
