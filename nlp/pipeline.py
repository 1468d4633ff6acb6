"""The pipeline. The list of components is the design; each is a file of that name.

A component reads what those before it wrote, so order matters and nothing else does.
"""

from dataclasses import dataclass, field

from spacy.language import Language

from nlp import (  # noqa: F401 - importing a module registers its component
    abbreviations,
    attributes,
    clinical_model,
    context,
    entities,
    linking,
    measurements,
    medication_status,
    model_entities,
    relations,
    sections,
    sentences,
)
from nlp.language import blank
from nlp.model_entities import NONE, SHIPPED

# Bumped whenever the same note could give another result: it is in every Provenance.
PIPELINE_VERSION = "chartlake-nlp/1.1.0"

COMPONENTS = (
    "sections",  # which header a word stands under
    "sentences",  # rule sentences on the clean text
    "abbreviations",  # scispaCy: short forms the note defines
    "model",  # what the trained model finds, unless there is none
    "entities",  # dictionary and model spans joined
    "context",  # NEGATED UNCERTAIN HISTORICAL HYPOTHETICAL FAMILY
    "medication_status",  # stopped, held, planned, allergy
    "attributes",  # dose, route, frequency, duration
    "measurements",  # value and unit of tests
    "relations",  # whose illness, which reaction
    "linking",  # codes from the scispaCy knowledge base
)


@dataclass(frozen=True, slots=True)
class NlpConfig:
    """How the pipeline is built.

    `ner_model`: None or `shipped`, `none`, or one's own: a spaCy package or path, or a folder with
    a token classifier as ONNX. `ner_labels` maps the labels of one's own to our categories, on top
    of `model_entities.DEFAULT_LABELS`; `ner_score` is the score of a spaCy model's spans.
    `chunk_chars`: the most text read at once; memory is bounded by it, whatever the note's length.
    `terminology`: the folder of loaded releases (`schemas.releases`), None for none.
    """

    ner_model: str | None = None
    ner_labels: dict[str, str] = field(default_factory=dict)
    ner_score: float = 0.85
    chunk_chars: int = 50_000
    terminology: str | None = None


def build(config: NlpConfig) -> Language:
    """The spaCy pipeline. Raises OSError when `config.ner_model` cannot be loaded, and
    `schemas.releases.ReleaseError` when a release in use cannot be."""
    nlp = blank()
    for component in COMPONENTS:
        if component == "model":
            _add_model(nlp, config)
        elif component == "linking" and config.terminology is not None:
            nlp.add_pipe(component, config={"terminology": config.terminology})
        else:
            nlp.add_pipe(component)
    return nlp


def _add_model(nlp: Language, config: NlpConfig) -> None:
    if config.ner_model in (None, SHIPPED):
        nlp.add_pipe("clinical_model")
    elif config.ner_model != NONE:
        own = {
            "model": config.ner_model,
            "labels": dict(config.ner_labels),
            "score": config.ner_score,
        }
        nlp.add_pipe("model_entities", config=own)
