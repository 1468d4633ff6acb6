"""Where the words behind a drug's name stop being about it."""

import pytest

from nlp.dosage import read
from nlp.dosage.parts import MARKS
from nlp.dosage.scope import about_the_drug


def kept(text: str) -> list[str]:
    """What is kept of the words behind a drug's name."""
    parts = about_the_drug(text, 0, read(text, 0, len(text)))
    return [text[p.begin : p.end] for p in parts if p.kind not in MARKS]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2.5mg qd, CaCO3 500mg bid", ["2.5mg", "qd"]),
        ("t.i.d. and also Mylanta at night", ["t.i.d."]),
        (", and a Veress needle was placed through which 2 L of CO2 were inflated", []),
        ("80 mg plus 1 cc of 4% lidocaine", ["80 mg"]),
        ("was placed on this once dry", []),
        ("and Aldex started on Monday", []),
        ("was started at a dose of 40 mg daily", ["40 mg", "daily"]),
        ("5 mg MWF and 2.5 mg TTSS", ["5 mg", "MWF", "2.5 mg", "TTSS"]),
        (
            "20 mg daily for 5 days, then 10 mg daily",
            ["20 mg", "daily", "for 5 days", "10 mg", "daily"],
        ),
    ],
)
def test_about_the_drug(text: str, expected: list[str]) -> None:
    assert kept(text) == expected
