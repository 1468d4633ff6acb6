"""Traits against gold: negation and time on the NegEx set, polarity on MACCROBAT.

The given concepts are made the entities (the dictionary is not asked), so that the scores are of
the context rules and not of recognition.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Span

from nlp.entities import section_at
from nlp.evaluation import corpora
from nlp.evaluation.corpora import AssertedText, ContextSentence
from nlp.evaluation.figure import Figure, Result
from nlp.evaluation.recognition import figures_of
from nlp.evaluation.scores import Scores
from nlp.mention import FAMILY, HISTORICAL, NEGATED, OTHER_PERSON, SYMPTOM, UNCERTAIN
from nlp.model_entities import NONE
from nlp.pipeline import NlpConfig, build

_OTHERS = frozenset((FAMILY, OTHER_PERSON))
_BEFORE_CONTEXT = ("sections", "sentences")


def negex(folder: Path) -> Result:
    """Negation, time and person of the NegEx sentences, each read alone; its errors are not shown.

    Items of a list of past illnesses stand there without their header, which is why recall of
    `historical` is bounded.
    """
    scores, missing = score_sentences(build(NlpConfig(ner_model=NONE)), corpora.negex(folder))
    figures = [f for name, counts in scores.items() for f in figures_of("negex", name, "", counts)]
    return Result([*figures, Figure("negex", "concepts not located", "count", missing)])


def polarity(folder: Path) -> Result:
    """Negation and doubt of the findings of MACCROBAT, in whole case reports."""
    scores = score_texts(build(NlpConfig(ner_model=NONE)), corpora.maccrobat_polarity(folder))
    return Result(
        [f for name, counts in scores.items() for f in figures_of("polarity", name, "", counts)]
    )


def _count(found: bool, gold: bool) -> Scores:
    return Scores(int(found and gold), int(found and not gold), int(gold and not found))


def traits_of(
    nlp: Language,
    text: str,
    spans: Sequence[tuple[int, int]],
    categories: Sequence[str] | None = None,
) -> list[frozenset[str] | None]:
    """The traits that `text` gives each span (code points); None where it has no token of its own.

    `categories` of the spans, SYMPTOM where not given.
    """
    doc = nlp.make_doc(text)
    for name in _BEFORE_CONTEXT:
        doc = nlp.get_pipe(name)(doc)
    labels = categories or [SYMPTOM] * len(spans)
    found = [
        doc.char_span(begin, end, label=label, alignment_mode="expand")
        for (begin, end), label in zip(spans, labels, strict=True)
    ]
    taken = 0
    ents: list[Span] = []
    for span in sorted((span for span in found if span is not None), key=lambda span: span.start):
        if span.start >= taken:
            ents.append(span)
            taken = span.end
    doc.ents = ents
    for ent in doc.ents:
        ent._.section = section_at(doc._.sections, ent.start_char)
    doc = nlp.get_pipe("context")(doc)
    by_start = {ent.start: ent._.traits for ent in doc.ents}
    return [by_start.get(span.start) if span is not None else None for span in found]


def score_sentences(
    nlp: Language, rows: Iterable[ContextSentence]
) -> tuple[dict[str, list[Scores]], int]:
    """Scores of each sentence by trait, and how many concepts were not found in their sentence."""
    scores: dict[str, list[Scores]] = {"negated": [], "historical": [], "not the patient's": []}
    missing = 0
    for row in rows:
        begin = row.sentence.lower().find(row.concept.lower())
        traits = None
        if begin >= 0:
            (traits,) = traits_of(nlp, row.sentence, [(begin, begin + len(row.concept))])
        if traits is None:
            missing += 1
            continue
        scores["negated"].append(_count(NEGATED in traits, row.negated))
        scores["historical"].append(_count(HISTORICAL in traits, row.historical))
        scores["not the patient's"].append(_count(not _OTHERS.isdisjoint(traits), row.of_another))
    return scores, missing


def score_texts(nlp: Language, texts: Iterable[AssertedText]) -> dict[str, list[Scores]]:
    """Scores of each text: polarity as MACCROBAT annotates it."""
    scores: dict[str, list[Scores]] = {"negated": [], "uncertain": []}
    for text in texts:
        negated, uncertain = Scores(), Scores()
        spans = sorted(text.polarity)
        for span, traits in zip(spans, traits_of(nlp, text.text, spans), strict=True):
            if traits is None:
                continue
            gold = text.polarity[span]
            negated.add(_count(NEGATED in traits, gold == "NEG"))
            uncertain.add(_count(UNCERTAIN in traits, gold == "UNCERTAIN"))
        scores["negated"].append(negated)
        scores["uncertain"].append(uncertain)
    return scores
