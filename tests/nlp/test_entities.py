"""Names: the longest wins, doubtful ones need their surroundings."""

import pytest

from nlp import Annotator


def found(annotator: Annotator, text: str) -> list[tuple[str, str]]:
    return [(m.text, m.category) for m in annotator.annotate(text)]


@pytest.mark.parametrize(
    ("text", "name", "code"),
    [
        ("type 2 diabetes", "type 2 diabetes", "44054006"),
        ("Type II diabetes mellitus", "Type II diabetes mellitus", "44054006"),
        ("T2DM", "T2DM", "44054006"),
        ("Crohns disease", "Crohns disease", "34000006"),
        ("Parkinson's disease", "Parkinson's disease", "49049000"),
        ("shortness-of-breath", "shortness-of-breath", "267036007"),
        ("anaemia", "anaemia", "271737000"),
        ("kidney stones", "kidney stones", "95570007"),
        ("Glucophage", "Glucophage", "6809"),
        ("HCTZ 25 mg", "HCTZ", "5487"),
        ("MTX weekly", "MTX", "6851"),
        ("metoprolol succinate ER", "metoprolol succinate ER", "6918"),
        ("laparoscopic cholecystectomy", "laparoscopic cholecystectomy", "45595009"),
    ],
)
def test_name_is_found_and_coded(annotator: Annotator, text: str, name: str, code: str) -> None:
    (mention,) = [m for m in annotator.annotate(text) if m.text == name]
    assert mention.concepts[0].code == code


@pytest.mark.parametrize(
    ("text", "absent"),
    [
        ("He wears hearing aids.", "aids"),
        ("In the fall he felt well.", "fall"),
        ("It is cold outside.", "cold"),
        ("PE: lungs clear.", "PE"),
        ("ALL SYSTEMS ARE NEGATIVE", "ALL"),
        ("room temperature", "temperature"),
        ("came back to the clinic", "back"),
        ("The PT was seen today.", "PT"),
        ("serum iron studies", "iron"),
        ("weight bearing as tolerated", "weight"),
        ("the cholecystectomy bed", "cholecystectomy"),
    ],
)
def test_everyday_use_is_not_taken(annotator: Annotator, text: str, absent: str) -> None:
    assert absent not in [name for name, _ in found(annotator, text)]


@pytest.mark.parametrize(
    ("text", "name", "category"),
    [
        ("calcium 9.2 mg/dL", "calcium", "TEST"),
        ("takes calcium 600 mg daily", "calcium", "MEDICATION"),
        ("potassium 4.1", "potassium", "TEST"),
        ("potassium 20 mEq daily", "potassium", "MEDICATION"),
        ("vitamin D level was 18", "vitamin D level", "TEST"),
        ("takes vitamin D daily", "vitamin D", "MEDICATION"),
        ("albumin 3.2", "albumin", "TEST"),
        ("possible PE", "PE", "CONDITION"),
    ],
)
def test_context_chooses_the_reading(
    annotator: Annotator, text: str, name: str, category: str
) -> None:
    assert (name, category) in found(annotator, text)


def test_known_title_is_no_mention(annotator: Annotator) -> None:
    assert found(annotator, "ALLERGIES: none") == [("none", "CONDITION")]
    assert found(annotator, "MEDICATIONS: none") == []


def test_problem_as_a_title_is_a_mention(annotator: Annotator) -> None:
    assert ("HYPERTENSION", "CONDITION") in found(annotator, "HYPERTENSION: continue lisinopril.")
