"""Negation on the NegEx set: the concept is given, the sentence is read alone.

The given concept is made the entity (the dictionary is not asked), so that the score is of the
context rules and not of recognition.
"""

from collections.abc import Iterable

from spacy.language import Language
from spacy.tokens import Span

from nlp.evaluation.corpora import ContextSentence
from nlp.evaluation.scores import Scores
from nlp.mention import NEGATED, SYMPTOM


def score_negation(nlp: Language, sentences: Iterable[ContextSentence]) -> tuple[Scores, int]:
    """Scores of NEGATED, and how many concepts could not be found in their sentence."""
    scores = Scores()
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
        if negated and row.negated:
            scores.true_positives += 1
        elif negated:
            scores.false_positives += 1
        elif row.negated:
            scores.false_negatives += 1
    return scores, missing
