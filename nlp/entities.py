"""Entities: names of the dictionary, abbreviations the note defines, and a model's if there is one.

`doc.ents` gets spans with `label_` = category and `kb_id_` = concept id, never overlapping. Of two
names of the dictionary the longest wins, then the higher score; `joining` adds what the model
finds.
"""

import re
from bisect import bisect_right
from collections.abc import Container

from spacy.language import Language
from spacy.tokens import Doc, Span

from nlp import ambiguity
from nlp.abbreviations import long_forms
from nlp.joining import Candidate, joined, longest
from nlp.mention import MEDICATION
from nlp.model_entities import MODEL_SPANS
from nlp.sections import OTHER, Section
from nlp.senses import senses
from nlp.terminology import Term, knowledge_base
from nlp.vocabulary import Vocabulary


class Entities:
    """Sets `doc.ents`."""

    def __init__(self, nlp: Language) -> None:
        self._vocabulary = Vocabulary(nlp, knowledge_base())

    def __call__(self, doc: Doc) -> Doc:
        """Find, weigh, and keep what does not overlap."""
        headers = [(s.begin, s.body) for s in doc._.sections if s.title and s.category != OTHER]
        text = doc.text
        candidates: list[Candidate] = []
        defined = long_forms(doc)
        for start, end, terms, exact in self._vocabulary.find(doc):
            begin = doc[start].idx
            stop = doc[end - 1].idx + len(doc[end - 1])
            if text[begin:stop] in defined:
                continue
            section = section_at(doc._.sections, begin)
            term = ambiguity.meant(text, begin, stop, terms, exact=exact, section=section)
            if term is not None:
                candidates.append(_candidate(start, end, term))
        for short in doc._.abbreviations:
            if short.text in defined:
                long_term = self._vocabulary.term_of(defined[short.text])
                if long_term is not None:
                    candidates.append(_candidate(short.start, short.end, long_term))
        drugs = {(c.start, c.end) for c in candidates if c.label == MEDICATION}
        candidates = _without_drug_allergies(doc, candidates, drugs)
        named = longest([c for c in candidates if not _in_header(doc[c.start].idx, headers)])
        read = _without_drug_allergies(doc, self._of_model(doc, defined), drugs)
        found = longest([c for c in read if not _in_header(doc[c.start].idx, headers)])
        doc.ents = self._spans(doc, joined(named, found))
        return doc

    def _of_model(self, doc: Doc, defined: Container[str]) -> list[Candidate]:
        """The model's spans, with the concept that they name."""
        found = []
        text = doc.text  # spaCy writes it anew each time it is asked for.
        for whole in doc.spans.get(MODEL_SPANS, ()):
            span = self._trimmed(doc, whole)
            if span is None:
                continue
            if not ambiguity.is_meant(
                text, span.start_char, span.end_char, span.label_, exact=False
            ):
                continue
            named = self._named(doc, text, span, defined)
            concept = named.id if named is not None else ""
            found.append(Candidate(span.start, span.end, span.label_, concept, span._.score))
        return found

    def _trimmed(self, doc: Doc, span: Span) -> Span | None:
        """What a model's span names: `asthma` of `asthma symptoms`; None where that is nothing.

        `Tetanus UTD` is a vaccination. A short form of several meanings is the dictionary's to
        decide: where it has not, the model cannot know either.
        """
        last = span[-1].lower_
        if last == "utd" or span.text in senses():
            return None
        if last in _OF_AN_ILLNESS and len(span) > 1:
            rest = doc[span.start : span.end - 1]
            if self._vocabulary.readings(rest)[0]:
                named = Span(doc, span.start, span.end - 1, label=span.label_)
                named._.score = span._.score
                return named
        return span

    def _named(self, doc: Doc, text: str, span: Span, defined: Container[str]) -> Term | None:
        """The term that a model's span names there; None also where its meaning is uncertain."""
        terms, exact = self._vocabulary.readings(span)
        terms = [term for term in terms if term.category == span.label_]
        if not terms or span.text in defined:
            return None
        section = section_at(doc._.sections, span.start_char)
        return ambiguity.meant(
            text, span.start_char, span.end_char, terms, exact=exact, section=section
        )

    @staticmethod
    def _spans(doc: Doc, chosen: list[Candidate]) -> list[Span]:
        """Candidates as spans; a drug with the salt that is written after it."""
        spans: list[Span] = []
        for number, (start, end, label, concept, score) in enumerate(chosen):
            begin = doc[start].idx
            if label == MEDICATION:
                limit = chosen[number + 1].start if number + 1 < len(chosen) else len(doc)
                end = min(_with_salt(doc, end), limit)
            span = Span(doc, start, end, label=label, kb_id=concept)
            span._.score = score
            span._.section = section_at(doc._.sections, begin)
            spans.append(span)
        return spans


def section_at(sections: list[Section], offset: int) -> str | None:
    """The category of the section that `offset` stands in."""
    slot = bisect_right(sections, offset, key=lambda section: section.begin) - 1
    return sections[slot].category if slot >= 0 else None


_OF_AN_ILLNESS = frozenset(("symptoms", "symptom", "signs", "sign"))
_ALLERGY = frozenset(("allergy", "allergies", "hypersensitivity"))


def _without_drug_allergies(
    doc: Doc, candidates: list[Candidate], drugs: Container[tuple[int, int]]
) -> list[Candidate]:
    """`penicillin allergy` is read as the drug and the word, so that the allergen is coded."""
    return [
        candidate
        for candidate in candidates
        if candidate.label == MEDICATION
        or doc[candidate.end - 1].lower_ not in _ALLERGY
        or (candidate.start, candidate.end - 1) not in drugs
    ]


def _candidate(start: int, end: int, term: Term) -> Candidate:
    return Candidate(start, end, term.category, term.id, term.score)


# Salts and release forms that are written after a drug's name and belong to it.
_SALTS = re.compile(
    r"hydrochloride|hcl|sulfate|sulphate|sodium|tartrate|succinate|maleate|besylate"
    r"|mesylate|phosphate|acetate|citrate|fumarate|bromide|hydrobromide|mononitrate"
    r"|dinitrate|propionate|furoate|acetonide|xr|er|sr|xl|cr|la|ec|dr|ir|odt"
)


def _with_salt(doc: Doc, end: int) -> int:
    while end < len(doc) and _SALTS.fullmatch(doc[end].lower_):
        end += 1
    return end


def _in_header(begin: int, headers: list[tuple[int, int]]) -> bool:
    slot = bisect_right(headers, begin, key=lambda header: header[0]) - 1
    return slot >= 0 and begin < headers[slot][1]


@Language.factory("entities", requires=["doc._.sections"], assigns=["doc.ents"])
def create_entities(nlp: Language, name: str) -> Entities:
    """The factory that spaCy calls."""
    return Entities(nlp)


Span.set_extension("score", default=1.0, force=True)
Span.set_extension("section", default=None, force=True)
