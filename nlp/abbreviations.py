"""Abbreviations that the note itself defines: `congestive heart failure (CHF)`.

scispaCy's detector (Schwartz & Hearst 2003) with its parenthesis pattern bounded. As shipped the
pattern matches every `(` with every later `)`: quadratic in a long note. Short forms here are at
most eight tokens, which is also what the detector's own filter accepts.
"""

from scispacy.abbreviation import AbbreviationDetector
from spacy.language import Language
from spacy.tokens import Doc, Span

_NOT_PARENTHESIS = {"ORTH": {"NOT_IN": ["(", ")"]}, "IS_SPACE": False}
_MAX_SHORT_FORM = 10


class BoundedAbbreviationDetector(AbbreviationDetector):
    """`AbbreviationDetector` in linear time; sets `doc._.abbreviations` and `span._.long_form`."""

    def __init__(self, nlp: Language, name: str = "abbreviations") -> None:
        super().__init__(nlp, name)
        self.matcher.remove("parenthesis")
        self.matcher.add(
            "parenthesis", [[{"ORTH": "("}, {**_NOT_PARENTHESIS, "OP": "{1,8}"}, {"ORTH": ")"}]]
        )
        # The detector warns of a matcher without patterns in every note that defines nothing.
        self.global_matcher.add("nothing", [[{"ORTH": "\x00"}]])

    def __call__(self, doc: Doc) -> Doc:
        """Find the abbreviations of `doc`; a note without parentheses costs one search."""
        if "(" not in doc.text:
            return doc
        return super().__call__(doc)


@Language.factory("abbreviations", assigns=["doc._.abbreviations", "span._.long_form"])
def create_abbreviations(nlp: Language, name: str) -> BoundedAbbreviationDetector:
    """The factory that spaCy calls."""
    return BoundedAbbreviationDetector(nlp, name)


def long_forms(doc: Doc) -> dict[str, Span]:
    """Short form → the span that defines it. Only forms that look like one: `CHF`, `AFib`."""
    found: dict[str, Span] = {}
    for short in doc._.abbreviations:
        text = short.text
        if 2 <= len(text) <= _MAX_SHORT_FORM and sum(c.isupper() for c in text) >= 2:
            found.setdefault(text, short._.long_form)
    return found
