"""A trained NER model beside the dictionary, if one is configured.

Any spaCy package or path whose `doc.ents` carry labels: `en_ner_bc5cdr_md`, a transformer pipeline,
one's own. Its spans go to `doc.spans["model"]`; `entities` merges them with the dictionary's.
"""

import spacy
from spacy.language import Language
from spacy.tokens import Doc, SpanGroup

from nlp.mention import CATEGORIES, CONDITION, MEDICATION, PROCEDURE, SYMPTOM, TEST

MODEL_SPANS = "model"

# Labels of the public clinical models (scispaCy's BC5CDR, Med7, i2b2, MACCROBAT) and our own.
DEFAULT_LABELS: dict[str, str] = {
    **{category: category for category in CATEGORIES},
    "CHEMICAL": MEDICATION,
    "DRUG": MEDICATION,
    "DISEASE": CONDITION,
    "PROBLEM": CONDITION,
    "TREATMENT": PROCEDURE,
    "Medication": MEDICATION,
    "Disease_disorder": CONDITION,
    "Sign_symptom": SYMPTOM,
    "Therapeutic_procedure": PROCEDURE,
    "Diagnostic_procedure": TEST,
}


class ModelEntities:
    """Runs the model on the text and maps its labels; a label that is not mapped is left out."""

    def __init__(self, model: str, labels: dict[str, str], score: float) -> None:
        self._model = spacy.load(model)
        self._model.max_length = 1 << 30
        self._labels = {**DEFAULT_LABELS, **labels}
        self._score = score
        unknown = set(labels.values()) - set(CATEGORIES)
        if unknown:
            raise ValueError(
                f"ner_labels maps to {sorted(unknown)}; the categories are {list(CATEGORIES)}"
            )

    def __call__(self, doc: Doc) -> Doc:
        """Set `doc.spans["model"]`."""
        spans = []
        for ent in self._model(doc.text).ents:
            category = self._labels.get(ent.label_)
            if category is None:
                continue
            span = doc.char_span(
                ent.start_char, ent.end_char, label=category, alignment_mode="expand"
            )
            if span is not None:
                span._.score = self._score
                spans.append(span)
        doc.spans[MODEL_SPANS] = SpanGroup(doc, name=MODEL_SPANS, spans=spans)
        return doc


@Language.factory("model_entities", default_config={"model": "", "labels": {}, "score": 0.85})
def create_model_entities(
    nlp: Language, name: str, model: str, labels: dict[str, str], score: float
) -> ModelEntities:
    """The factory that spaCy calls; raises OSError when `model` cannot be loaded."""
    return ModelEntities(model, labels, score)
