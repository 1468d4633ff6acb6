"""From tag scores to mentions: the best sequence of tags that is allowed, and how sure it is."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nlp.models.schemes import OUTSIDE, Scheme

Scores = NDArray[np.float32]
_NEVER = -1e9


@dataclass(frozen=True, slots=True)
class Found:
    """A mention: its first word, the word after its last, its type, its log probability."""

    first: int
    end: int
    kind: str
    confidence: float


def log_probabilities(scores: Scores) -> Scores:
    """Of every word (row) the logarithm of each tag's probability."""
    shifted = scores - scores.max(axis=1, keepdims=True)
    logs: Scores = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return logs


class Decoder:
    """Decodes the sentences of one scheme."""

    def __init__(self, scheme: Scheme) -> None:
        self._scheme = scheme
        self._tags = scheme.tags
        self._allowed = scheme.follows()
        self._penalty = np.where(self._allowed, 0.0, _NEVER).astype(np.float32)
        self._starts = np.array([tag[0] in "OBS" for tag in self._tags])
        self._ends = np.array([tag[0] in "OES" for tag in self._tags])

    def decode(self, scores: Scores, lengths: list[int]) -> Iterator[Found]:
        """The mentions of sentences that lie one after the other in `scores` (words, tags)."""
        if len(scores):
            yield from self.decode_logs(log_probabilities(scores), lengths)

    def decode_logs(self, logs: Scores, lengths: list[int]) -> Iterator[Found]:
        """The same from `log_probabilities`."""
        tags = logs.argmax(axis=1)
        begin = 0
        for length in lengths:
            end = begin + length
            if tags[begin:end].any():
                if not self._valid(tags[begin:end]):
                    tags[begin:end] = self._best(logs[begin:end])
                yield from self._mentions(tags, logs, begin, end)
            begin = end

    def _valid(self, tags: NDArray[np.int64]) -> bool:
        return bool(
            self._starts[tags[0]]
            and self._ends[tags[-1]]
            and self._allowed[tags[:-1], tags[1:]].all()
        )

    def _best(self, logs: Scores) -> NDArray[np.int64]:
        """Viterbi. Only reached when the best tag of each word taken alone is not allowed."""
        words = len(logs)
        back = np.zeros((words, logs.shape[1]), dtype=np.int64)
        total = np.where(self._starts, logs[0], _NEVER)
        for word in range(1, words):
            paths = total[:, None] + self._penalty
            back[word] = paths.argmax(axis=0)
            total = paths.max(axis=0) + logs[word]
        tags = np.zeros(words, dtype=np.int64)
        tags[-1] = int(np.where(self._ends, total, total + _NEVER).argmax())
        for word in range(words - 1, 0, -1):
            tags[word - 1] = back[word, tags[word]]
        return tags

    def _mentions(
        self, tags: NDArray[np.int64], logs: Scores, begin: int, end: int
    ) -> Iterator[Found]:
        first = begin
        for word in np.flatnonzero(tags[begin:end] != OUTSIDE) + begin:
            part, _, kind = self._tags[tags[word]].partition("-")
            if part in "BS":
                first = int(word)
            if part in "ES":
                span = range(first, int(word) + 1)
                sure = float(sum(logs[place, tags[place]] for place in span))
                yield Found(first, int(word) + 1, kind, sure)
