"""Sentence starts by rule, on the clean text: a line break always ends a sentence.

Hard wraps were joined by `layout` before. A full stop ends a sentence unless it belongs to an
abbreviation (`Dr. Smith`, `p.o. daily`) or to a list number.
"""

import re
from typing import Any

import numpy as np
from spacy.attrs import IDX, IS_SPACE, LENGTH, SENT_START
from spacy.language import Language
from spacy.tokens import Doc

from nlp.sections import Section

_ABBREVIATIONS = re.compile(
    r"dr|mr|mrs|ms|prof|st|vs|eg|ie|etc|approx|pt|pts|fig|al|dept|ext|hosp|inc|jr|sr"
    r"|e\.g|i\.e"
)
# A row of marks is read from its first one only, or `!!!!…` would take the square of its length.
_TERMINATOR = re.compile(r"(?<![.!?])[.!?]++[\"'”’)\]]*+(?=\s)|(?<=\w)[.!?](?=[A-Z][a-z])|;(?=\s)")
_BEFORE = re.compile(r"([A-Za-z][A-Za-z.]*)$")
_AFTER = re.compile(r"\s*[\"'“‘(\[]?([A-Za-z0-9#+\-•*<>?])")
_SMALL_START = re.compile(r"[a-z0-9]{3}[.!?]\s+[a-z]")
_CAPITAL_START = re.compile(r"[.!?\n]\s?[A-Z][a-z]")
_MIN_SMALL_STARTS = 3
_LINE_START = re.compile(r"\n[ ]?")
# `? DVT` is a doubt, `Fever? No.` one statement: neither mark ends a sentence.
_ANSWER = re.compile(r"[ ](?:yes|no|none|denies|denied|n/?a)\b", re.IGNORECASE)
_LIST_NUMBER = re.compile(r"(?:^|[\n,;:]|\s{2})[ ]?\d{1,2}$")


def _is_abbreviation(text: str, dot: int, after: str) -> bool:
    before = _BEFORE.search(text[max(0, dot - 12) : dot])
    if before is None:
        return False
    word = before.group(1).lower()
    if "." in word and len(word) <= 6:
        # "b.i.d. He went": a dosing shorthand may also end its sentence.
        return not after.isupper()
    if word == "no":
        return after.isdigit()  # `No. 5`, but `Chest pain? No. Dyspnea? Yes.`
    return _ABBREVIATIONS.fullmatch(word) is not None or (len(word) == 1 and word not in "io")


def _without_capitals(text: str) -> bool:
    """Whether the writer begins sentences in lower case."""
    small = len(_SMALL_START.findall(text))
    return small >= _MIN_SMALL_STARTS and small > 2 * len(_CAPITAL_START.findall(text))


def sentence_starts(text: str, sections: list[Section]) -> list[int]:
    """Code points at which sentences start, ascending, beginning with 0."""
    starts = {0}
    starts.update(match.end() for match in _LINE_START.finditer(text))
    lower = _without_capitals(text)
    for match in _TERMINATOR.finditer(text):
        after = _AFTER.match(text, match.end())
        if after is None:
            continue
        if match.group() == ";":
            starts.add(after.start(1))
            continue
        if after.group(1).islower() and not lower:
            continue
        if match.group() == "?" and (
            text[match.start() - 1 : match.start()] in ("", " ", "\n")
            or _ANSWER.match(text, match.end())
        ):
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
    """Set `is_sent_start` on every token.

    Written as one array: the setter of a token looks at the whole doc each time.
    """
    begins, lengths, spaces = doc.to_array([IDX, LENGTH, IS_SPACE]).astype("int64").T
    words = np.flatnonzero(spaces == 0)
    flags = np.full(len(doc), -1, dtype="int64")
    flags[0] = 1
    ends = begins[words] + lengths[words]
    slots = np.searchsorted(ends, sentence_starts(doc.text, doc._.sections), side="right")
    flags[words[slots[slots < len(words)]]] = 1
    values: Any = flags.astype("uint64").reshape(-1, 1)
    return doc.from_array([SENT_START], values)
