"""Context as notes are written: what is denied, doubted, past, possible, or a relative's."""

import pytest

from nlp import Annotator


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


def test_section_past_history_makes_events_past_and_leaves_chronic_disease(
    annotator: Annotator,
) -> None:
    found = traits(annotator, "Past Medical History:\n1. Stroke\n2. Hypertension\n")
    assert found["stroke"] == ("HISTORICAL",)
    assert found["hypertension"] == ()


def test_trigger_inside_the_concept_has_no_effect(annotator: Annotator) -> None:
    found = traits(annotator, "Diagnosis: non-small cell lung cancer and asthma.")
    assert found["non-small cell lung cancer"] == ()
    assert found["asthma"] == ()


def test_return_instructions_are_hypothetical(annotator: Annotator) -> None:
    found = traits(annotator, "DISCHARGE INSTRUCTIONS: Call for chest pain or fever.")
    assert found["chest pain"] == ("HYPOTHETICAL",)


@pytest.mark.slow
def test_negation_on_the_negex_set(shared_data: object) -> None:
    from nlp.evaluation import corpora
    from nlp.evaluation.negation import negex

    f1 = negex(corpora.data_folder()).figures[0]
    assert f1.value >= 0.93, f1.row()
