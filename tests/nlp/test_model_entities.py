"""A trained model beside the dictionary: any spaCy pipeline with entities."""

from pathlib import Path

import pytest
import spacy

from nlp import Annotator, NlpConfig


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler")
    ruler.add_patterns(  # type: ignore[attr-defined]
        [
            {"label": "CHEMICAL", "pattern": "zorbaximab"},
            {"label": "DISEASE", "pattern": "chronic asthma"},
            {"label": "GENE", "pattern": "BRCA1"},
        ]
    )
    path = tmp_path_factory.mktemp("model")
    nlp.to_disk(path)
    return path


def test_model_finds_what_the_dictionary_does_not(model: Path) -> None:
    annotator = Annotator.load(NlpConfig(ner_model=str(model)))
    text = "No chronic asthma. BRCA1 positive. Takes zorbaximab 5 mg daily."
    found = {m.text: m for m in annotator.annotate(text)}
    assert found["zorbaximab"].category == "MEDICATION"
    assert found["zorbaximab"].concepts == ()
    assert found["zorbaximab"].attribute("DOSE") is not None
    assert found["chronic asthma"].traits == ("NEGATED",)
    assert "BRCA1" not in found


def test_labels_must_map_to_categories(model: Path) -> None:
    with pytest.raises(ValueError, match="PROTEIN"):
        Annotator.load(NlpConfig(ner_model=str(model), ner_labels={"GENE": "PROTEIN"}))


def test_model_that_is_not_there_is_an_error() -> None:
    with pytest.raises(OSError, match="no_such_model"):
        Annotator.load(NlpConfig(ner_model="no_such_model"))
