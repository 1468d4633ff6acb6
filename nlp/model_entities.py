"""A trained model beside the dictionary: the shipped one, or one of one's own.

One's own is a spaCy package or path whose `doc.ents` carry labels, or a folder with a Hugging Face
token classifier as ONNX. What the model finds goes to `doc.spans["model"]`; `entities` joins it
with what the dictionary finds.
"""

from collections.abc import Callable
from pathlib import Path

import spacy
from spacy.language import Language
from spacy.tokens import Doc, SpanGroup

from nlp.mention import ANATOMY, CATEGORIES, CONDITION, MEDICATION, PROCEDURE, SYMPTOM, TEST
from nlp.models.recogniser import Recognised
from nlp.models.token_classifier import GRAPHS, TokenClassifier

MODEL_SPANS = "model"
# Values of `NlpConfig.ner_model` that name no model of one's own.
SHIPPED, NONE = "shipped", "none"

# Labels of the public clinical models (scispaCy's BC5CDR, Med7, i2b2, MACCROBAT) and our own.
DEFAULT_LABELS: dict[str, str] = {
    **{category: category for category in CATEGORIES},
    "CHEMICAL": MEDICATION,
    "DRUG": MEDICATION,
    "DISEASE": CONDITION,
    "PROBLEM": CONDITION,
    "TREATMENT": PROCEDURE,
    "Chemical": MEDICATION,
    "Disease": CONDITION,
    "Medication": MEDICATION,
    "Disease_disorder": CONDITION,
    "Sign_symptom": SYMPTOM,
    "Therapeutic_procedure": PROCEDURE,
    "Diagnostic_procedure": TEST,
    "Biological_structure": ANATOMY,
}

Finder = Callable[[Doc], list[tuple[int, int, str, float]]]


def spacy_finder(model: str, score: float) -> Finder:
    """Begin, end, label and score of the entities of a spaCy pipeline. OSError: no such model."""
    pipeline = spacy.load(model)
    pipeline.max_length = 1 << 30
    return lambda doc: [
        (ent.start_char, ent.end_char, ent.label_, score) for ent in pipeline(doc.text).ents
    ]


def sentence_spans(doc: Doc) -> list[tuple[int, int]]:
    """Where the sentences of `doc` stand in its text."""
    return [(sentence.start_char, sentence.end_char) for sentence in doc.sents]


def _flat(found: list[Recognised]) -> list[tuple[int, int, str, float]]:
    return [(one.begin, one.end, one.kind, one.score) for one in found]


def finder_of(model: str, score: float) -> Finder:
    """The finder that a configured name stands for. OSError: there is no such model."""
    folder = Path(model)
    if any((folder / graph).is_file() for graph in GRAPHS):
        classifier = TokenClassifier(folder)
        return lambda doc: _flat(classifier.find(doc.text, sentence_spans(doc)))
    return spacy_finder(model, score)


class ModelEntities:
    """Runs a model of one's own and maps its labels; a label that is not mapped is left out."""

    def __init__(self, model: str, labels: dict[str, str], score: float) -> None:
        unknown = set(labels.values()) - set(CATEGORIES)
        if unknown:
            raise ValueError(
                f"ner_labels maps to {sorted(unknown)}; the categories are {list(CATEGORIES)}"
            )
        self._find = finder_of(model, score)
        self._labels = {**DEFAULT_LABELS, **labels}

    def __call__(self, doc: Doc) -> Doc:
        """Set `doc.spans["model"]`."""
        found = (
            (begin, end, self._labels.get(label), score)
            for begin, end, label, score in self._find(doc)
        )
        return with_spans(doc, [(b, e, label, s) for b, e, label, s in found if label])


def with_spans(doc: Doc, found: list[tuple[int, int, str, float]]) -> Doc:
    """`doc` with `found` (begin, end, category, score) as its model's spans, on whole tokens."""
    spans = []
    for begin, end, label, score in found:
        span = doc.char_span(begin, end, label=label, alignment_mode="expand")
        if span is not None:
            span._.score = score
            spans.append(span)
    doc.spans[MODEL_SPANS] = SpanGroup(doc, name=MODEL_SPANS, spans=spans)
    return doc


@Language.factory("model_entities", default_config={"model": "", "labels": {}, "score": 0.85})
def create_model_entities(
    nlp: Language, name: str, model: str, labels: dict[str, str], score: float
) -> ModelEntities:
    """The factory that spaCy calls; raises OSError when `model` cannot be loaded."""
    return ModelEntities(model, labels, score)
