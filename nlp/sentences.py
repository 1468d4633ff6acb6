"""Sentence starts by rule, on the clean text: a line break always ends a sentence.

Hard wraps were joined by `layout` before. A full stop ends a sentence unless it belongs to an
abbreviation (`Dr. Smith`, `p.o. daily`) or to a list number.
"""

import re

from spacy.language import Language
from spacy.tokens import Doc

from nlp.sections import Section

_ABBREVIATIONS = frozenset(
    "dr mr mrs ms prof st vs e.g i.e eg ie etc approx no pt pts fig al dept ext hosp inc jr sr "
    "q.d q.h q.i.d b.i.d t.i.d p.o p.r.n q.h.s h.s a.c p.c i.v i.m s.c s.q q.a.m q.p.m o.d "
    "a.m p.m c.c".split()
)
_TERMINATOR = re.compile(r"[.!?]+[\"'”’)\]]*(?=\s)|[.!?](?=[A-Z][a-z])|;(?=\s)")
_BEFORE = re.compile(r"([A-Za-z][A-Za-z.]*)$")
_AFTER = re.compile(r"\s*[\"'“‘(\[]?([A-Za-z0-9#+\-•*<>?])")
_LINE_START = re.compile(r"\n[ ]?")
_LIST_NUMBER = re.compile(r"(?:^|[\n,;:]|\s{2})[ ]?\d{1,2}$")


def _is_abbreviation(text: str, dot: int, after: str) -> bool:
    before = _BEFORE.search(text[max(0, dot - 12) : dot])
    if before is None:
        return False
    word = before.group(1).lower()
    if "." in word and len(word) <= 6:
        # "b.i.d. He went": a dosing shorthand may also end its sentence.
        return not after.isupper()
    return word in _ABBREVIATIONS or (len(word) == 1 and word not in "io")


def sentence_starts(text: str, sections: list[Section]) -> list[int]:
    """Code points at which sentences start, ascending, beginning with 0."""
    starts = {0}
    starts.update(match.end() for match in _LINE_START.finditer(text))
    for match in _TERMINATOR.finditer(text):
        after = _AFTER.match(text, match.end())
        if after is None:
            continue
        if match.group() == ";":
            starts.add(after.start(1))
            continue
        if after.group(1).islower():
            continue
        if text[match.start()] == ".":
            if _is_abbreviation(text, match.start(), after.group(1)):
                continue
            if _LIST_NUMBER.search(text[max(0, match.start() - 4) : match.start()]):
                continue  # "1. Diabetes": a list number, not a sentence.
        starts.add(after.start(1))
    for section in sections:
        starts.add(section.begin)
        starts.add(section.body)
    return sorted(start for start in starts if start < len(text))


@Language.component("sentences", requires=["doc._.sections"], assigns=["token.is_sent_start"])
def sentences(doc: Doc) -> Doc:
    """Set `is_sent_start` on every token."""
    starts = iter(sentence_starts(doc.text, doc._.sections))
    pending = next(starts, None)
    for token in doc:
        begins = token.i == 0
        while pending is not None and token.idx + len(token) > pending and not token.is_space:
            begins = True
            pending = next(starts, None)
        token.is_sent_start = begins
    return doc
