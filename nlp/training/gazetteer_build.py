"""The names that the recogniser is given as features: this product's own, and MEDLINE's compounds.

MEDLINE's are those the indexers named, with a registry number of one substance.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from nlp.models.gazetteer import CHEMICAL
from nlp.models.wordpiece import word_spans
from nlp.terminology import knowledge_base
from nlp.training.pubmed import Citation

_MIN_LETTERS = 4
_MAX_WORDS = 8
_MIN_USES = 1


def _words(name: str) -> list[str]:
    return [name[begin:end] for begin, end in word_spans(name)]


def names(citations: Iterable[Citation]) -> Iterator[tuple[str, Sequence[str]]]:
    """Every name with its kind."""
    ours: set[str] = set()
    for term in knowledge_base().terms.values():
        for alias in term.aliases:
            words = [word.lower() for word in _words(alias)]
            if 0 < len(words) <= _MAX_WORDS:
                ours.add(" ".join(words))
                yield term.category, words
        for alias in term.exact:
            words = ["=" + word for word in _words(alias)]
            if 0 < len(words) <= _MAX_WORDS:
                yield term.category, words
    uses = Counter(name.lower() for citation in citations for name in citation.substances)
    for name, count in uses.items():
        words = _words(name)
        if (
            count >= _MIN_USES
            and "," not in name
            and len(name) >= _MIN_LETTERS
            and len(words) <= _MAX_WORDS
            and " ".join(words) not in ours
        ):
            yield CHEMICAL, words
