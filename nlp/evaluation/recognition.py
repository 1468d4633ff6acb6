"""Recognition: found spans of some categories against gold spans of some labels."""

from collections.abc import Iterable, Mapping

from nlp.annotator import Annotator
from nlp.evaluation.corpora import Document
from nlp.evaluation.scores import Scores, exact, overlapping
from nlp.mention import CONDITION, MEDICATION, PROCEDURE, SYMPTOM, TEST

BC5CDR: dict[str, frozenset[str]] = {
    "Disease": frozenset((CONDITION, SYMPTOM)),
    "Chemical": frozenset((MEDICATION,)),
}
MACCROBAT: dict[str, frozenset[str]] = {
    "Medication": frozenset((MEDICATION,)),
    "Disease_disorder": frozenset((CONDITION,)),
    "Sign_symptom": frozenset((SYMPTOM,)),
    "Therapeutic_procedure": frozenset((PROCEDURE,)),
    "Diagnostic_procedure": frozenset((TEST,)),
}


def score_recognition(
    annotator: Annotator,
    documents: Iterable[Document],
    labels: Mapping[str, frozenset[str]],
) -> dict[str, tuple[Scores, Scores]]:
    """For each gold label, exact and overlapping scores over all documents."""
    totals = {label: (Scores(), Scores()) for label in labels}
    for document in documents:
        mentions = annotator.annotate(document.text)
        for label, categories in labels.items():
            gold = document.spans.get(label, [])
            found = [(m.begin, m.end) for m in mentions if m.category in categories]
            totals[label][0].add(exact(gold, found))
            totals[label][1].add(overlapping(gold, found))
    return totals
