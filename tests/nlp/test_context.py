"""Context as notes are written: what is denied, doubted, past, possible, or a relative's."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from spacy.language import Language

from nlp import Annotator
from nlp.evaluation.assertion import negex, polarity, traits_of
from nlp.mention import (
    CONDITION,
    FAMILY,
    HISTORICAL,
    HYPOTHETICAL,
    MEDICATION,
    NEGATED,
    OTHER_PERSON,
    PROCEDURE,
    SYMPTOM,
    TEST,
    UNCERTAIN,
)
from nlp.model_entities import NONE
from nlp.pipeline import NlpConfig, build


def traits(annotator: Annotator, text: str) -> dict[str, tuple[str, ...]]:
    return {m.text.lower(): m.traits for m in annotator.annotate(text)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "denies chest pain, shortness of breath, or fever",
            {"chest pain": "NEGATED", "shortness of breath": "NEGATED", "fever": "NEGATED"},
        ),
        ("no h/o CAD", {"cad": "NEGATED"}),
        ("mother with breast cancer", {"breast cancer": "FAMILY"}),
        ("Family History: diabetes in father", {"diabetes": "FAMILY"}),
        ("r/o PE", {"pe": "UNCERTAIN"}),
        ("possible pneumonia", {"pneumonia": "UNCERTAIN"}),
        ("if he develops fever, return", {"fever": "HYPOTHETICAL"}),
        ("history of MI in 2010", {"mi": "HISTORICAL"}),
        ("was not prescribed Advil", {"advil": "NEGATED"}),
        ("metformin was discontinued", {"metformin": ""}),
        (
            "no evidence of metastasis but has persistent cough",
            {"metastasis": "NEGATED", "persistent cough": ""},
        ),
        ("patient's son has asthma", {"asthma": "FAMILY"}),
        ("start lisinopril if BP remains elevated", {"lisinopril": "HYPOTHETICAL"}),
        ("Pneumonia cannot be excluded.", {"pneumonia": "UNCERTAIN"}),
        ("Pulmonary embolism was ruled out.", {"pulmonary embolism": "NEGATED"}),
        ("MI has not been ruled out.", {"mi": "UNCERTAIN"}),
        ("Mother reports fever and cough.", {"fever": "", "cough": ""}),
        ("Brought in by mother with fever.", {"fever": ""}),
        ("Mother denies vomiting.", {"vomiting": "NEGATED"}),
        ("There was no improvement in his cough.", {"cough": ""}),
        ("Acetaminophen 650 mg prn, ibuprofen 400 mg prn", {"ibuprofen": "", "acetaminophen": ""}),
        ("78-year-old with hypertension", {"hypertension": ""}),
        ("s/p appendectomy in 2005", {"appendectomy": "HISTORICAL"}),
        ("Seizure: none. Headache: yes", {"seizure": "NEGATED", "headache": ""}),
        ("not only nausea but vomiting", {"nausea": "", "vomiting": ""}),
        ("no family history of colon cancer", {"colon cancer": "NEGATED,FAMILY"}),
        ("Watch for fever.", {"fever": "HYPOTHETICAL"}),
        ("denies fever, has cough", {"fever": "NEGATED", "cough": ""}),
        ("No fever. Cough for 3 days.", {"fever": "NEGATED", "cough": ""}),
        ("His pain was not helped with Tylenol.", {"tylenol": ""}),
        ("No aspirin, no ibuprofen.", {"aspirin": "NEGATED", "ibuprofen": "NEGATED"}),
        ("pneumonia vs heart failure", {"pneumonia": "UNCERTAIN", "heart failure": "UNCERTAIN"}),
    ],
)
def test_traits_of_a_sentence(annotator: Annotator, text: str, expected: dict[str, str]) -> None:
    found = traits(annotator, text)
    for word, trait in expected.items():
        assert found[word] == (tuple(trait.split(",")) if trait else ()), word


def test_section_family_history_ends_with_its_line(annotator: Annotator) -> None:
    found = traits(
        annotator, "Family History: diabetes in father.\nDenies chest pain.\nHas asthma."
    )
    assert found["diabetes"] == ("FAMILY",)
    assert found["chest pain"] == ("NEGATED",)
    assert found["asthma"] == ()


def test_section_past_history_makes_findings_past(annotator: Annotator) -> None:
    found = traits(annotator, "Past Medical History:\n1. Stroke\n2. Hypertension\n3. No asthma\n")
    assert found["stroke"] == found["hypertension"] == ("HISTORICAL",)
    assert found["asthma"] == ("NEGATED", "HISTORICAL")


def test_sentence_of_now_under_past_history_is_not_past(annotator: Annotator) -> None:
    found = traits(annotator, "PMH: gout.\nToday he complains of headache.")
    assert found["gout"] == ("HISTORICAL",)
    assert found["headache"] == ()


def test_trigger_inside_the_concept_has_no_effect(annotator: Annotator) -> None:
    found = traits(annotator, "Diagnosis: non-small cell lung cancer and asthma.")
    assert found["non-small cell lung cancer"] == ()
    assert found["asthma"] == ()


def test_return_instructions_are_hypothetical(annotator: Annotator) -> None:
    found = traits(annotator, "DISCHARGE INSTRUCTIONS: Call for chest pain or fever.")
    assert found["chest pain"] == ("HYPOTHETICAL",)


_TRAITS = {
    "N": NEGATED,
    "U": UNCERTAIN,
    "H": HISTORICAL,
    "Y": HYPOTHETICAL,
    "F": FAMILY,
    "O": OTHER_PERSON,
}
_CATEGORIES = {"m": MEDICATION, "p": PROCEDURE, "s": SYMPTOM, "t": TEST}
_TABLE = Path(__file__).parent / "golden" / "context_sentences.tsv"


@dataclass(frozen=True)
class Finding:
    begin: int
    end: int
    category: str
    traits: frozenset[str]


def read_row(line: str) -> tuple[str, list[Finding]]:
    _, sentence, told = line.split("\t")
    text = sentence.replace("\\n", "\n")
    findings = []
    for part in told.split("|"):
        name, _, letters = part.rpartition("=")
        category = CONDITION
        if name[1:2] == ":":
            category, name = _CATEGORIES[name[0]], name[2:]
        begin = text.index(name)
        traits = frozenset(_TRAITS[letter] for letter in letters)
        findings.append(Finding(begin, begin + len(name), category, traits))
    return text, findings


@pytest.fixture(scope="module")
def pipeline() -> Language:
    return build(NlpConfig(ner_model=NONE))


@pytest.mark.parametrize(
    "line",
    [row for row in _TABLE.read_text(encoding="utf-8").splitlines() if row[0] != "#"],
)
def test_golden_sentence(pipeline: Language, line: str) -> None:
    text, findings = read_row(line)
    spans = [(f.begin, f.end) for f in findings]
    found = traits_of(pipeline, text, spans, [f.category for f in findings])
    assert found == [f.traits for f in findings]


@pytest.mark.slow
def test_traits_on_the_corpora(shared_data: Path) -> None:
    f1 = {
        (figure.evaluation, figure.item): figure.value
        for figure in (*negex(shared_data).figures, *polarity(shared_data).figures)
        if figure.measure == "F1"
    }
    assert f1["negex", "negated"] >= 0.95
    assert f1["negex", "historical"] >= 0.70
    assert f1["polarity", "negated"] >= 0.85
