"""Recognition: found spans of some categories against gold spans of some labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from nlp.annotator import Annotator
from nlp.evaluation.corpora import Document
from nlp.evaluation.figure import Figure, Result
from nlp.evaluation.held_out import held_out
from nlp.evaluation.scores import Scores, Span, bootstrap_interval, exact, f1_of, overlapping
from nlp.mention import CONDITION, MEDICATION, PROCEDURE, SYMPTOM, TEST
from nlp.models import schemes

BC5CDR: dict[str, frozenset[str]] = {
    "Disease": frozenset((CONDITION, SYMPTOM)),
    "Chemical": frozenset((MEDICATION,)),
}
NCBI_DISEASE: dict[str, frozenset[str]] = {"Disease": frozenset((CONDITION, SYMPTOM))}
MACCROBAT: dict[str, frozenset[str]] = {
    "Medication": frozenset((MEDICATION,)),
    "Disease_disorder": frozenset((CONDITION,)),
    "Sign_symptom": frozenset((SYMPTOM,)),
    "Therapeutic_procedure": frozenset((PROCEDURE,)),
    "Diagnostic_procedure": frozenset((TEST,)),
}
_ALL = "all"
_SHOWN_ERRORS = 200


def bc5cdr(folder: Path) -> Result:
    """Chemicals and diseases of the held-out quarter of BC5CDR's development set."""
    return score_recognition("bc5cdr", Annotator.load(), held_out(folder, schemes.BC5CDR), BC5CDR)


def ncbi_disease(folder: Path) -> Result:
    """Diseases of NCBI's development set."""
    documents = held_out(folder, schemes.NCBI)
    return score_recognition("ncbi", Annotator.load(), documents, NCBI_DISEASE)


def maccrobat(folder: Path) -> Result:
    """Clinical types of the held-out fifth of MACCROBAT 2020."""
    documents = held_out(folder, schemes.MACCROBAT)
    return score_recognition("maccrobat", Annotator.load(), documents, MACCROBAT)


def score_recognition(
    name: str,
    annotator: Annotator,
    documents: Iterable[Document],
    labels: Mapping[str, frozenset[str]],
) -> Result:
    """Exact and overlapping scores of each gold label and of all, with intervals over documents."""
    per_document: dict[tuple[str, str], list[Scores]] = {}
    wrong: dict[str, Counter[str]] = {}
    for document in documents:
        mentions = annotator.annotate(document.text)
        together = (Scores(), Scores())
        for label, categories in labels.items():
            gold = document.spans.get(label, [])
            found = [(m.begin, m.end) for m in mentions if m.category in categories]
            both = (exact(gold, found), overlapping(gold, found))
            for whole, part, how in zip(together, both, ("exact", "overlap"), strict=True):
                whole.add(part)
                per_document.setdefault((label, how), []).append(part)
            _note_errors(wrong, label, document.text, set(gold), set(found))
        for whole, how in zip(together, ("exact", "overlap"), strict=True):
            per_document.setdefault((_ALL, how), []).append(whole)
    figures = [
        figure
        for (label, how), scores in per_document.items()
        if label != _ALL or len(labels) > 1
        for figure in figures_of(name, label, how, scores)
    ]
    return Result(figures, {kind: c.most_common(_SHOWN_ERRORS) for kind, c in wrong.items()})


def figures_of(name: str, item: str, how: str, per_document: list[Scores]) -> list[Figure]:
    """F1 with its interval, precision and recall, of counts by document."""
    total = Scores()
    for scores in per_document:
        total.add(scores)
    low, high = bootstrap_interval(per_document, f1_of)
    support = total.true_positives + total.false_negatives
    return [
        Figure(name, item, f"{how} F1".strip(), total.f1, low, high, support),
        Figure(name, item, f"{how} precision".strip(), total.precision),
        Figure(name, item, f"{how} recall".strip(), total.recall),
    ]


def _note_errors(
    wrong: dict[str, Counter[str]], label: str, text: str, gold: set[Span], found: set[Span]
) -> None:
    for kind, spans in ((f"{label} missed", gold - found), (f"{label} wrong", found - gold)):
        counter = wrong.setdefault(kind, Counter())
        counter.update(text[begin:end].lower() for begin, end in spans)
