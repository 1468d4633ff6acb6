"""The shipped recogniser as a component: one pass of the encoder, two schemes joined.

The scheme of clinical case reports knows signs, tests and procedures; the scheme of abstracts knows
far more drugs and diseases. Neither was made of notes as they are written in a hospital, and there
each alone takes section names, materials and anatomy for mentions. Where both name the same words
they are nearly always right; a mention of one alone must be surer.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Doc

from nlp.mention import CONDITION, MEDICATION, PROCEDURE, SYMPTOM, TEST
from nlp.model_entities import sentence_spans, with_spans
from nlp.models import SHIPPED_FOLDER, shipped
from nlp.models.recogniser import Recognised
from nlp.models.schemes import BC5CDR, MACCROBAT
from nlp.rules import rows

_CATEGORY = {
    "Medication": MEDICATION,
    "Disease_disorder": CONDITION,
    "Sign_symptom": SYMPTOM,
    "Therapeutic_procedure": PROCEDURE,
    "Diagnostic_procedure": TEST,
    "Chemical": MEDICATION,
    "Disease": CONDITION,
}
# What the abstracts' scheme calls the same.
_SAME = {"Medication": "Chemical", "Disease_disorder": "Disease", "Sign_symptom": "Disease"}
# Types of the case reports that may stand on a mention without speaking against it.
_QUALIFIERS = frozenset(("Detailed_description", "Severity", "History", "Clinical_event"))

# Least scores: both schemes agree; one has the words alone; the other takes them for another type.
_BOTH = 0.5
_ALONE = {
    "Medication": 0.9,
    "Disease_disorder": 0.9,
    "Sign_symptom": 0.8,
    "Diagnostic_procedure": 0.8,
    # Of an operation's report nearly every verb is a procedure in the scheme of case reports.
    "Therapeutic_procedure": 0.95,
    "Chemical": 0.65,
    "Disease": 0.65,
}
_CONTRADICTED = 0.9

Found = tuple[int, int, str, float]


@cache
def _not_mentions() -> frozenset[tuple[str, str]]:
    return frozenset((category, word) for category, word in rows("not_mentions.tsv", 2))


def _meeting(one: Recognised, others: Sequence[Recognised]) -> Sequence[Recognised]:
    """Those of `others` (in order, without overlaps) that share a character with `one`."""
    first = bisect_right(others, one.begin, key=lambda other: other.end)
    last = bisect_left(others, one.end, key=lambda other: other.begin)
    return others[first:last]


def _of_reports(reports: Sequence[Recognised], abstracts: Sequence[Recognised]) -> Iterator[Found]:
    for one in reports:
        category = _CATEGORY.get(one.kind)
        if category is None:
            continue
        agreeing = [
            other.score for other in _meeting(one, abstracts) if other.kind == _SAME.get(one.kind)
        ]
        score = max([one.score, *agreeing])
        if score >= (_BOTH if agreeing else _ALONE[one.kind]):
            yield one.begin, one.end, category, score


def _of_abstracts(
    reports: Sequence[Recognised], abstracts: Sequence[Recognised]
) -> Iterator[Found]:
    for one in abstracts:
        against = any(o.kind not in _QUALIFIERS for o in _meeting(one, reports))
        if one.score >= (_CONTRADICTED if against else _ALONE[one.kind]):
            yield one.begin, one.end, _CATEGORY[one.kind], one.score


def joined(reports: Sequence[Recognised], abstracts: Sequence[Recognised]) -> list[Found]:
    """The mentions of both schemes; where they overlap the case reports' words are taken."""
    taken = list(_of_reports(reports, abstracts))
    ends = [found[1] for found in taken]
    more = [
        found
        for found in _of_abstracts(reports, abstracts)
        if (slot := bisect_right(ends, found[0])) == len(taken) or found[1] <= taken[slot][0]
    ]
    return sorted([*taken, *more])


def meant(text: str, found: Iterable[Found]) -> list[Found]:
    """Without the words that are no mentions."""
    refused = _not_mentions()
    return [one for one in found if (one[2], text[one[0] : one[1]].lower()) not in refused]


class ClinicalModel:
    """Sets `doc.spans["model"]` from the shipped weights, or from others trained like them."""

    def __init__(self, folder: Path) -> None:
        self._recogniser, self.manifest = shipped(folder)

    def __call__(self, doc: Doc) -> Doc:
        """Find what both schemes find."""
        found = self._recogniser.find(doc.text, sentence_spans(doc), (MACCROBAT.name, BC5CDR.name))
        both = joined(found[MACCROBAT.name], found[BC5CDR.name])
        return with_spans(doc, meant(doc.text, both))


@Language.factory("clinical_model", default_config={"folder": str(SHIPPED_FOLDER)})
def create_clinical_model(nlp: Language, name: str, folder: str) -> ClinicalModel:
    """The factory that spaCy calls; raises OSError for a folder that is not whole."""
    return ClinicalModel(Path(folder))
