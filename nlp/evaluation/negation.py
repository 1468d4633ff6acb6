"""Negation on the NegEx set: the concept is given, the sentence is read alone.

The given concept is made the entity (the dictionary is not asked), so that the score is of the
context rules and not of recognition.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Span

from nlp.evaluation import corpora
from nlp.evaluation.corpora import ContextSentence
from nlp.evaluation.figure import Figure, Result
from nlp.evaluation.recognition import figures_of
from nlp.evaluation.scores import Scores
from nlp.mention import NEGATED, SYMPTOM
from nlp.pipeline import NlpConfig, build


def negex(folder: Path) -> Result:
    """Negation of the NegEx sentences, and how many concepts are not found in their sentence."""
    counts, missing = score_negation(build(NlpConfig()), corpora.negex(folder))
    figures = figures_of("negex", "negation", "", counts)
    return Result([*figures, Figure("negex", "concepts not located", "count", missing)])


def score_negation(nlp: Language, sentences: Iterable[ContextSentence]) -> tuple[list[Scores], int]:
    """Counts of NEGATED by sentence, and how many concepts could not be found in theirs."""
    per_sentence: list[Scores] = []
    missing = 0
    context = nlp.get_pipe("context")
    for row in sentences:
        begin = row.sentence.lower().find(row.concept.lower())
        if begin < 0:
            missing += 1
            continue
        doc = nlp.make_doc(row.sentence)
        for name in ("sections", "sentences"):
            doc = nlp.get_pipe(name)(doc)
        found = doc.char_span(begin, begin + len(row.concept), alignment_mode="expand")
        if found is None:
            missing += 1
            continue
        doc.ents = [Span(doc, found.start, found.end, label=SYMPTOM)]
        doc = context(doc)
        negated = NEGATED in doc.ents[0]._.traits
        per_sentence.append(
            Scores(
                true_positives=negated and row.negated,
                false_positives=negated and not row.negated,
                false_negatives=row.negated and not negated,
            )
        )
    return per_sentence, missing
