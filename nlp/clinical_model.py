"""The shipped recogniser as a component: one pass of the encoder, two schemes joined.

The scheme of clinical case reports knows signs, tests and procedures; the scheme of abstracts knows
far more drugs and diseases. Where both name a stretch of text, the words of the case reports' type
decide what it is: a chemical that is being measured is a test, not a medication.
"""

from collections.abc import Iterable
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Doc

from nlp.mention import CONDITION, MEDICATION, PROCEDURE, SYMPTOM, TEST
from nlp.model_entities import sentence_spans, with_spans
from nlp.models import SHIPPED_FOLDER, shipped
from nlp.models.recogniser import Recognised
from nlp.models.schemes import BC5CDR, MACCROBAT

# What a type is to us, and the least score with which it is taken: what becomes a resource must be
# more likely right than wrong.
_CASE_REPORTS = {
    "Medication": (MEDICATION, 0.5),
    "Disease_disorder": (CONDITION, 0.5),
    "Sign_symptom": (SYMPTOM, 0.5),
    "Therapeutic_procedure": (PROCEDURE, 0.5),
    "Diagnostic_procedure": (TEST, 0.5),
}
_ABSTRACTS = {"Chemical": (MEDICATION, 0.5), "Disease": (CONDITION, 0.5)}

Found = tuple[int, int, str, float]


def _typed(
    found: Iterable[Recognised], types: dict[str, tuple[str, float]]
) -> Iterable[Found]:
    for one in found:
        category, least = types.get(one.kind, ("", 2.0))
        if one.score >= least:
            yield one.begin, one.end, category, one.score


def joined(reports: Iterable[Recognised], abstracts: Iterable[Recognised]) -> list[Found]:
    """The mentions of both schemes, none overlapping; those of `reports` come first."""
    taken: list[Found] = list(_typed(reports, _CASE_REPORTS))
    for one in _typed(abstracts, _ABSTRACTS):
        if all(one[1] <= other[0] or other[1] <= one[0] for other in taken):
            taken.append(one)
    return sorted(taken)


class ClinicalModel:
    """Sets `doc.spans["model"]` from the shipped weights, or from others trained like them."""

    def __init__(self, folder: Path) -> None:
        self._recogniser, self.manifest = shipped(folder)

    def __call__(self, doc: Doc) -> Doc:
        """Find what both schemes find."""
        found = self._recogniser.find(
            doc.text, sentence_spans(doc), (MACCROBAT.name, BC5CDR.name)
        )
        return with_spans(doc, joined(found[MACCROBAT.name], found[BC5CDR.name]))


@Language.factory("clinical_model", default_config={"folder": str(SHIPPED_FOLDER)})
def create_clinical_model(nlp: Language, name: str, folder: str) -> ClinicalModel:
    """The factory that spaCy calls; raises OSError for a folder that is not whole."""
    return ClinicalModel(Path(folder))
