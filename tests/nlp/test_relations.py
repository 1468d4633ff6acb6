"""Whose illness it is."""

import pytest

from nlp import Annotator
from nlp.relations import relative_code


@pytest.mark.parametrize(
    ("text", "finding", "code"),
    [
        ("Mother has asthma.", "asthma", "MTH"),
        ("Diabetes in her father.", "Diabetes", "FTH"),
        ("Family history: breast cancer (mother), stroke (father)", "stroke", "FTH"),
        ("Family history: breast cancer (mother), stroke (father)", "breast cancer", "MTH"),
        ("mother with asthma, maternal grandfather with gout", "asthma", "MTH"),
        ("mother with asthma, maternal grandfather with gout", "gout", "MGRFTH"),
        ("patient's son has asthma", "asthma", "SON"),
        ("Brother with MI at 44", "MI", "BRO"),
    ],
)
def test_relative_of_a_finding(annotator: Annotator, text: str, finding: str, code: str) -> None:
    (mention,) = [m for m in annotator.annotate(text) if m.text == finding]
    relation = mention.attribute("RELATION")
    assert relation is not None
    assert relation.value["code"] == code


def test_family_history_without_a_relative_names_none(annotator: Annotator) -> None:
    (mention,) = annotator.annotate("Family history of asthma.")
    assert mention.traits == ("FAMILY",)
    assert mention.attribute("RELATION") is None


def test_relative_code_knows_the_side() -> None:
    assert relative_code("Aunt", "paternal") == {"code": "PAUNT", "display": "paternal aunt"}
    assert relative_code("mother", "maternal")["code"] == "MTH"
