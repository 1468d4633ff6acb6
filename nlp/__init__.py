"""Clinical text to mentions to FHIR resources: pure functions of the text, no disk, no HTTP."""

from nlp.annotator import Annotator, Reading
from nlp.mention import Attribute, Concept, Mention
from nlp.pipeline import PIPELINE_VERSION, NlpConfig
from nlp.to_fhir import DerivationError, NoteSource, to_resources

__all__ = [
    "PIPELINE_VERSION",
    "Annotator",
    "Attribute",
    "Concept",
    "DerivationError",
    "Mention",
    "NlpConfig",
    "NoteSource",
    "Reading",
    "to_resources",
]
