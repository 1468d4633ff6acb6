"""One name, one reading: the places of a text at which a name stands are decided together.

The encoder sees a window; a name that is clear in one sentence is often missed in another. Of every
name that was found anywhere, and of the short form that the text defines for it, the probability of
being a mention is averaged over all its places (a vote, as in Krishnan and Manning, "An effective
two-stage model for exploiting non-local dependencies in named entity recognition", ACL 2006): it is
a mention at all of them, or at none.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nlp.models.decoding import Found
from nlp.models.schemes import Scheme
from nlp.models.short_forms import defined

Name = tuple[str, ...]

# Names of more words hardly come twice. It bounds the work, too: a pass over the text a length.
_MOST_WORDS = 8
# A short word in capitals is not the word that it looks like.
_CAPITALS = 4


def together(
    scheme: Scheme,
    words: Sequence[str],
    sentences: Sequence[int],
    logs: NDArray[np.float32],
    found: Sequence[Found],
) -> list[Found]:
    """The mentions of a text when each name is read alike wherever it stands, in order.

    `sentences`: the number of each word's sentence; `logs`: log probabilities, words by tags;
    `found`: the mentions as decoded. Names that come once stay as they are, and so does everything
    in a scheme without `agreement`.
    """
    if scheme.agreement is None or not found:
        return list(found)
    return _Vote(scheme, scheme.agreement, words, sentences, logs, found).decided()


def _folded(word: str) -> str:
    return word if len(word) <= _CAPITALS and word.isupper() else word.lower()


class _Vote:
    def __init__(
        self,
        scheme: Scheme,
        least: float,
        words: Sequence[str],
        sentences: Sequence[int],
        logs: NDArray[np.float32],
        found: Sequence[Found],
    ) -> None:
        self._scheme = scheme
        self._least = least
        self._logs = logs
        self._mentions = {(one.first, one.end): one for one in found}
        self._taken = np.zeros(len(words), dtype=np.bool_)
        for one in found:
            self._taken[one.first : one.end] = True
        folded = [_folded(word) for word in words]
        self._kinds: dict[Name, set[str]] = defaultdict(set)
        for one in found:
            if one.end - one.first <= _MOST_WORDS:
                self._kinds[tuple(folded[one.first : one.end])].add(one.kind)
        self._twin: dict[Name, Name] = {}
        for pair in defined(words):
            if pair.end - pair.begin <= _MOST_WORDS:
                long, short = tuple(folded[pair.begin : pair.end]), (folded[pair.short],)
                if long in self._kinds or short in self._kinds:
                    self._twin[long], self._twin[short] = short, long
        self._places = self._all_places(folded, sentences)

    def _all_places(self, folded: list[str], sentences: Sequence[int]) -> dict[Name, list[int]]:
        """Where each name stands, within a sentence."""
        names = {*self._kinds, *self._twin}
        places: dict[Name, list[int]] = defaultdict(list)
        for length in sorted({len(name) for name in names}):
            for begin in range(len(folded) - length + 1):
                name = tuple(folded[begin : begin + length])
                if name in names and sentences[begin] == sentences[begin + length - 1]:
                    places[name].append(begin)
        return places

    def decided(self) -> list[Found]:
        """All mentions after the vote, longer names first."""
        done: set[Name] = set()
        for name in sorted(self._kinds, key=lambda name: (-len(name), name)):
            if name in done:
                continue
            twin = self._twin.get(name)
            forms = [name] if twin is None else [name, twin]
            done.update(forms)
            self._decide(forms)
        return sorted(self._mentions.values(), key=lambda one: one.first)

    def _decide(self, forms: list[Name]) -> None:
        spans = [
            (begin, begin + len(form))
            for form in forms
            for begin in self._places[form]
            if self._is_free(begin, begin + len(form))
        ]
        if len(spans) < 2:
            return
        kinds = sorted(set().union(*(self._kinds.get(form, ()) for form in forms)))
        sure, kind = max((self._mean(spans, kind), kind) for kind in kinds)
        for begin, end in spans:
            # The one before may have taken a part of it: `a a` stands twice in `a a a`.
            if sure >= self._least and self._is_free(begin, end):
                self._mentions[begin, end] = Found(begin, end, kind, float(np.log(sure)))
                self._taken[begin:end] = True
            elif self._mentions.pop((begin, end), None) is not None:
                self._taken[begin:end] = False

    def _is_free(self, begin: int, end: int) -> bool:
        """Whether the span is a mention, or nothing in it belongs to one."""
        return (begin, end) in self._mentions or not self._taken[begin:end].any()

    def _mean(self, spans: list[tuple[int, int]], kind: str) -> float:
        """The mean probability of being a mention of `kind`."""
        total = 0.0
        for begin, end in spans:
            tags = [self._scheme.tag(kind, end - begin, n) for n in range(end - begin)]
            total += float(np.exp(self._logs[range(begin, end), tags].sum()))
        return total / len(spans)
