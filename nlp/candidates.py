"""Candidates: which concepts of a knowledge base a name may mean, ranked, each with a score.

Three steps, the first that finds something decides: the name itself, spelling variants and plurals
aside (score 1.0); the same words in another order (0.95); names that share most of their character
3-grams (their TF-IDF cosine). The interface is that of scispaCy's `CandidateGenerator`, without an
index that is built at install: 3-grams are looked up in sparse postings, under 1 ms a name.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from nlp.language import clinical_norm

EXACT = 1.0
SAME_WORDS = 0.95
_WORD = re.compile(r"[^\W_]+")
_POSSESSIVE = re.compile(r"['’]s\b")
_IDLE = frozenset(
    ("of", "the", "in", "and", "with", "a", "an", "to", "due", "by", "on", "nos", "unspecified")
)
# A 3-gram that is in one name of ten tells nothing and costs the most.
_MAX_SHARE = 0.1
_MAX_NAME_CHARS = 120


@dataclass(frozen=True, slots=True)
class Candidate:
    """A concept that a name may mean: by which of its names, and how alike (0 to 1)."""

    concept_id: str
    alias: str
    score: float


@lru_cache(maxsize=200_000)
def _norm(word: str) -> str:
    return clinical_norm(word)


def name_key(name: str) -> str:
    """What two spellings of a name share: case, plurals, British spelling, hyphens, possessives.

    >>> name_key("Alzheimer's Diseases"), name_key("alzheimer disease")
    ('alzheimer disease', 'alzheimer disease')
    """
    return " ".join(_norm(word) for word in _WORD.findall(_POSSESSIVE.sub("", name)))


def words_key(key: str) -> str:
    """The words of a `name_key` in alphabetical order, without those that say nothing."""
    return " ".join(sorted({word for word in key.split(" ") if word not in _IDLE}))


def grams(key: str) -> set[str]:
    """The character 3-grams of a key, with marks for where words begin and end."""
    text = f" {key} "
    return {text[i : i + 3] for i in range(len(text) - 2)}


class CandidateGenerator:
    """Finds the concepts that a name may mean among `(concept id, name)` pairs.

    Earlier pairs win where one name is given to several concepts. Not for use by several threads
    at once: answers are kept.
    """

    def __init__(self, names: Iterable[tuple[str, str]], *, fuzzy: bool = True) -> None:
        """`fuzzy`: also look for names that are merely alike; what that needs is made when it is
        first needed."""
        self._by_name: dict[str, list[tuple[str, str]]] = {}
        self._by_words: dict[str, list[tuple[str, str]]] = {}
        for concept_id, name in names:
            key = name_key(name)
            if not key or len(key) > _MAX_NAME_CHARS:
                continue
            known = self._by_name.setdefault(key, [])
            if all(concept_id != other for other, _ in known):
                known.append((concept_id, name))
        for key, concepts in self._by_name.items():
            if " " in key:
                self._by_words.setdefault(words_key(key), []).extend(concepts)
        self._fuzzy = fuzzy
        self._kept: dict[str, tuple[Candidate, ...]] = {}

    def __len__(self) -> int:
        """How many different names are known."""
        return len(self._by_name)

    def names(self) -> Iterable[str]:
        """The keys of all names (see `name_key`)."""
        return self._by_name.keys()

    def candidates(self, name: str, k: int = 5) -> tuple[Candidate, ...]:
        """The concepts that `name` may mean, best first, at most `k`; () for a name unlike any."""
        key = name_key(name)
        found = self._kept.get(key)
        if found is None:
            if len(self._kept) >= _KEPT_NAMES:
                self._kept.clear()
            found = self._kept[key] = tuple(self._search(key))
        return found[:k]

    def __call__(self, mention_texts: list[str], k: int) -> list[list[Candidate]]:
        """scispaCy's interface: the candidates of several names at once."""
        return [list(self.candidates(text, k)) for text in mention_texts]

    def exact(self, name: str) -> tuple[Candidate, ...]:
        """The concepts of that very name, else of the same words in another order; () for none."""
        key = name_key(name)
        if not key or len(key) > _MAX_NAME_CHARS:
            return ()
        by_name = self._by_name.get(key)
        if by_name is not None:
            return tuple(_ranked(by_name, EXACT))
        return tuple(_ranked(self._by_words.get(words_key(key), ()), SAME_WORDS))

    def _search(self, key: str) -> Iterator[Candidate]:
        if not key or len(key) > _MAX_NAME_CHARS:
            return
        exact = self.exact(key)
        if exact or not self._fuzzy:
            yield from exact
            return
        seen: set[str] = set()
        for alike, score in self._postings.nearest(key):
            for concept_id, alias in self._by_name[alike]:
                if concept_id not in seen:
                    seen.add(concept_id)
                    yield Candidate(concept_id, alias, score)

    @cached_property
    def _postings(self) -> "_Postings":
        return _Postings(self._by_name)


_KEPT_NAMES = 50_000


def _ranked(concepts: Iterable[tuple[str, str]], score: float) -> Iterator[Candidate]:
    seen: set[str] = set()
    for concept_id, alias in concepts:
        if concept_id not in seen:
            seen.add(concept_id)
            yield Candidate(concept_id, alias, score)


class _Postings:
    """TF-IDF over character 3-grams, as one sparse column a gram (Salton & Buckley 1988)."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = list(keys)
        rows: dict[str, list[int]] = {}
        for row, key in enumerate(self._keys):
            for gram in grams(key):
                rows.setdefault(gram, []).append(row)
        count = len(self._keys)
        square = np.zeros(count, dtype=np.float32)
        self._columns: dict[str, tuple[np.ndarray, np.float32]] = {}
        for gram, where in rows.items():
            column = np.array(where, dtype=np.int32)
            weight = np.float32(np.log((1 + count) / (1 + len(where))) + 1)
            square[column] += weight * weight
            self._columns[gram] = (column, weight)
        self._common = max(50, int(count * _MAX_SHARE))
        self._unknown = np.float32(np.log(1 + count) + 1)
        self._length = np.sqrt(np.maximum(square, 1e-9))

    def nearest(self, key: str, k: int = 10) -> list[tuple[str, float]]:
        """The `k` most alike keys with their cosine; grams of a tenth of all names only add to
        the length of the query, so that a score is never above the true cosine."""
        scores = np.zeros(len(self._keys), dtype=np.float32)
        square = 0.0
        for gram in grams(key):
            found = self._columns.get(gram)
            if found is None:
                square += float(self._unknown) ** 2
                continue
            column, weight = found
            square += float(weight) ** 2
            if len(column) <= self._common:
                scores[column] += weight * weight
        scores /= self._length * np.float32(square**0.5)
        k = min(k, len(scores))
        if not k:
            return []
        best = np.argpartition(scores, -k)[-k:]
        order = best[np.argsort(-scores[best], kind="stable")]
        return [(self._keys[row], round(float(scores[row]), 4)) for row in order if scores[row] > 0]
