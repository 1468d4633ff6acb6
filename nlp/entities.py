"""Entities: names of the dictionary, abbreviations the note defines, and a model's if there is one.

`doc.ents` gets spans with `label_` = category and `kb_id_` = concept id, never overlapping:
the longest wins, then the higher score.
"""

import re
from bisect import bisect_right
from collections.abc import Container

from spacy.language import Language
from spacy.tokens import Doc, Span

from nlp import ambiguity
from nlp.abbreviations import long_forms
from nlp.mention import MEDICATION
from nlp.model_entities import MODEL_SPANS
from nlp.sections import OTHER, Section
from nlp.terminology import Term, knowledge_base
from nlp.vocabulary import Vocabulary

_Candidate = tuple[int, int, str, str, float]


class Entities:
    """Sets `doc.ents`."""

    def __init__(self, nlp: Language) -> None:
        self._vocabulary = Vocabulary(nlp, knowledge_base())

    def __call__(self, doc: Doc) -> Doc:
        """Find, weigh, and keep what does not overlap."""
        headers = [(s.begin, s.body) for s in doc._.sections if s.title and s.category != OTHER]
        text = doc.text
        candidates: list[_Candidate] = []
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
        candidates = _without_drug_allergies(doc, candidates)
        for span in doc.spans.get(MODEL_SPANS, ()):
            named = self._named(doc, span, defined)
            concept = named.id if named is not None else ""
            candidates.append((span.start, span.end, span.label_, concept, span._.score))
        doc.ents = self._longest(doc, candidates, headers)
        return doc

    def _named(self, doc: Doc, span: Span, defined: Container[str]) -> Term | None:
        """The term that a model's span names there; None also where its meaning is uncertain."""
        terms, exact = self._vocabulary.readings(span)
        terms = [term for term in terms if term.category == span.label_]
        if not terms or span.text in defined:
            return None
        section = section_at(doc._.sections, span.start_char)
        return ambiguity.meant(
            doc.text, span.start_char, span.end_char, terms, exact=exact, section=section
        )

    @staticmethod
    def _longest(
        doc: Doc, candidates: list[_Candidate], headers: list[tuple[int, int]]
    ) -> list[Span]:
        candidates.sort(key=lambda c: (c[0] - c[1], -c[4], c[0]))
        taken = bytearray(len(doc))
        chosen: list[Span] = []
        for start, end, label, concept, score in candidates:
            if any(taken[start:end]):
                continue
            begin = doc[start].idx
            if _in_header(begin, headers):
                continue
            taken[start:end] = b"\x01" * (end - start)
            if label == MEDICATION:
                end = min(_with_salt(doc, end), _next_taken(taken, end))
                taken[start:end] = b"\x01" * (end - start)
            span = Span(doc, start, end, label=label, kb_id=concept)
            span._.score = score
            span._.section = section_at(doc._.sections, begin)
            chosen.append(span)
        return chosen


def section_at(sections: list[Section], offset: int) -> str | None:
    """The category of the section that `offset` stands in."""
    slot = bisect_right(sections, offset, key=lambda section: section.begin) - 1
    return sections[slot].category if slot >= 0 else None


_ALLERGY = frozenset(("allergy", "allergies", "hypersensitivity"))


def _without_drug_allergies(doc: Doc, candidates: list[_Candidate]) -> list[_Candidate]:
    """`penicillin allergy` is read as the drug and the word, so that the allergen is coded."""
    drugs = {(start, end) for start, end, label, _, _ in candidates if label == MEDICATION}
    return [
        (start, end, label, concept, score)
        for start, end, label, concept, score in candidates
        if label == MEDICATION
        or doc[end - 1].lower_ not in _ALLERGY
        or (start, end - 1) not in drugs
    ]


def _candidate(start: int, end: int, term: Term) -> _Candidate:
    return start, end, term.category, term.id, term.score


# Salts and release forms that are written after a drug's name and belong to it.
_SALTS = re.compile(
    r"hydrochloride|hcl|sulfate|sulphate|sodium|tartrate|succinate|maleate|besylate"
    r"|mesylate|phosphate|acetate|citrate|fumarate|bromide|hydrobromide|mononitrate"
    r"|dinitrate|propionate|furoate|acetonide|xr|er|sr|xl|cr|la|ec|dr|ir|odt"
)


def _next_taken(taken: bytearray, start: int) -> int:
    found = taken.find(1, start)
    return found if found >= 0 else len(taken)


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
