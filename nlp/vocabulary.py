"""The dictionary as matchers: every name of every term, found in one pass over the tokens."""

import re
from collections.abc import Iterable, Iterator

from spacy.language import Language
from spacy.matcher import PhraseMatcher
from spacy.tokens import Doc, Span

from nlp.senses import NO_MENTION, senses
from nlp.terminology import ClinicalKnowledgeBase, Term

_LOOSE = "LOOSE"
_EXACT = "EXACT"
_ROMAN = {"i": "1", "ii": "2", "iii": "3", "iv": "4"}
_NUMBERED = re.compile(r"\b(type|stage|grade|class) (i{1,3}|iv|[1-4])\b", re.IGNORECASE)
_ARABIC = {number: roman.upper() for roman, number in _ROMAN.items()}
_PLAIN = re.compile(r"[A-Za-z]+(?: [A-Za-z]+)*")
_MAX_HYPHEN_WORDS = 4
_BATCH_DOCS = 2000


def spellings(alias: str) -> Iterator[str]:
    """`alias` and the other ways to write it: possessive, hyphen, Roman or Arabic number."""
    variants = [alias]
    if "'s " in alias:
        variants.append(alias.replace("'s ", " "))
    if "-" in alias:
        variants += [variant.replace("-", " ") for variant in list(variants)]
    elif 2 <= alias.count(" ") + 1 <= _MAX_HYPHEN_WORDS and alias.replace(" ", "").isalnum():
        first, rest = alias.split(" ", 1)
        variants += [f"{first}-{rest}", alias.replace(" ", "-")]
    numbered = _NUMBERED.search(alias)
    if numbered:
        number = numbered.group(2).lower()
        other = _ROMAN.get(number) or _ARABIC.get(number, number)
        begin, end = numbered.span(2)
        variants.append(alias[:begin] + other + alias[end:])
    yield from dict.fromkeys(variants)


def span_key(tokens: Iterable[str]) -> str:
    """The dictionary key of a sequence of norms or of texts."""
    return " ".join(tokens)


def _adds(index: dict[str, list[Term]], key: str, term: Term) -> bool:
    """Enter a reading of a name; one a category, the first comes first. True for a new name."""
    known = index.get(key)
    if known is None:
        index[key] = [term]
        return True
    if term.score == 1.0 and all(other.category != term.category for other in known):
        known.append(term)
    return False


def _doc(nlp: Language, alias: str) -> Doc:
    """The alias as a doc; plain words need no tokenizer."""
    if _PLAIN.fullmatch(alias):
        return Doc(nlp.vocab, words=alias.split(" "))
    return nlp.make_doc(alias)


class Vocabulary:
    """Finds the names of a knowledge base in a doc."""

    def __init__(self, nlp: Language, kb: ClinicalKnowledgeBase) -> None:
        self._loose = PhraseMatcher(nlp.vocab, attr="NORM")
        self._exact = PhraseMatcher(nlp.vocab, attr="ORTH")
        self.loose: dict[str, list[Term]] = {}
        self.exact: dict[str, list[Term]] = {}
        batch: list[Doc] = []
        for term in kb.terms.values():
            nlp.vocab.strings.add(term.id)
            for alias in term.aliases:
                # Only the curated names are worth every spelling: the others are many and rare.
                for spelling in spellings(alias) if term.score == 1.0 else (alias,):
                    doc = _doc(nlp, spelling)
                    key = span_key(token.norm_ for token in doc)
                    if _adds(self.loose, key, term):
                        batch.append(doc)
            for alias in term.exact:
                doc = nlp.make_doc(alias)
                key = span_key(token.text for token in doc)
                if _adds(self.exact, key, term):
                    self._exact.add(_EXACT, [doc])
            if len(batch) >= _BATCH_DOCS:
                # Docs are large beside the few numbers that the matcher keeps of each.
                self._loose.add(_LOOSE, batch)
                batch = []
        self._loose.add(_LOOSE, batch)
        for short, meanings in senses().items():
            terms = [kb.terms[sense.term] for sense in meanings if sense.term != NO_MENTION]
            key = span_key(token.text for token in nlp.make_doc(short))
            if key not in self.exact:
                self._exact.add(_EXACT, [nlp.make_doc(short)])
            self.exact[key] = terms

    def readings(self, span: Span) -> tuple[list[Term], bool]:
        """All terms that the words of `span` name, and whether by a case-sensitive alias."""
        exact = self.exact.get(span_key(token.text for token in span))
        if exact is not None:
            return exact, True
        return self.loose.get(span_key(token.norm_ for token in span), []), False

    def term_of(self, span: Span) -> Term | None:
        """The term that the words of `span` name first of all, None when they name none."""
        terms, _ = self.readings(span)
        return terms[0] if terms else None

    def find(self, doc: Doc) -> Iterator[tuple[int, int, list[Term], bool]]:
        """`(start, end, readings, exact)` for every name in `doc`, overlapping ones too."""
        tokens = [(token.norm_, token.text) for token in doc]
        for _, start, end in self._exact(doc):
            terms = self.exact.get(span_key(text for _, text in tokens[start:end]))
            if terms:
                yield start, end, terms, True
        for _, start, end in self._loose(doc):
            terms = self.loose.get(span_key(norm for norm, _ in tokens[start:end]))
            if terms:
                yield start, end, terms, False
