"""Precision, recall and F1 from counts, and how far they would move on other documents."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

Span = tuple[int, int]


@dataclass(slots=True)
class Scores:
    """Counts of true positives, false positives and false negatives."""

    true_positives: int = 0
    false_positives: int = 0
    false_negatives: int = 0

    @property
    def precision(self) -> float:
        """The part of what was found that is right; 0 when nothing was found."""
        found = self.true_positives + self.false_positives
        return self.true_positives / found if found else 0.0

    @property
    def recall(self) -> float:
        """The part of what is there that was found; 0 when nothing is there."""
        there = self.true_positives + self.false_negatives
        return self.true_positives / there if there else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0

    def add(self, other: "Scores") -> None:
        """Add the counts of `other`."""
        self.true_positives += other.true_positives
        self.false_positives += other.false_positives
        self.false_negatives += other.false_negatives

    def row(self, name: str) -> str:
        """One line of a report."""
        counts = f"tp {self.true_positives} fp {self.false_positives} fn {self.false_negatives}"
        return (
            f"{name:32} P {self.precision:.3f}  R {self.recall:.3f}  F1 {self.f1:.3f}  ({counts})"
        )


def exact(gold: Iterable[Span], found: Iterable[Span]) -> Scores:
    """Spans that agree to the character."""
    theirs, ours = set(gold), set(found)
    common = len(theirs & ours)
    return Scores(common, len(ours) - common, len(theirs) - common)


def overlapping(gold: Sequence[Span], found: Sequence[Span]) -> Scores:
    """Spans that share a character; a gold span counts once, a found one once."""
    theirs, ours = sorted(set(gold)), sorted(set(found))
    hit_gold = sum(any(b < e2 and b2 < e for b2, e2 in ours) for b, e in theirs)
    hit_found = sum(any(b < e2 and b2 < e for b2, e2 in theirs) for b, e in ours)
    return Scores(hit_found, len(ours) - hit_found, len(theirs) - hit_gold)


def f1_of(scores: Scores) -> float:
    """`scores.f1`, as a measure for `bootstrap_interval`."""
    return scores.f1


def bootstrap_interval(
    per_document: Sequence[Scores],
    measure: Callable[[Scores], float],
    *,
    seed: int = 0,
    resamples: int = 1000,
    level: float = 0.95,
) -> tuple[float, float]:
    """The percentile bootstrap interval of `measure` over documents (Efron 1979).

    `per_document` has the counts of each document (sentence, sig, note): what is drawn with
    replacement, since the mentions of one are not independent. An accuracy is
    `Scores.recall` over right (true positives) and wrong (false negatives). It tells of the choice
    of documents only, not of a model's seeds. (0, 0) without documents.
    """
    if not per_document:
        return 0.0, 0.0
    counts = np.array(
        [(s.true_positives, s.false_positives, s.false_negatives) for s in per_document]
    )
    draw = np.random.default_rng(seed)
    size = len(counts)
    values = [
        measure(Scores(*map(int, draw.multinomial(size, np.full(size, 1 / size)) @ counts)))
        for _ in range(resamples)
    ]
    low, high = np.quantile(values, ((1 - level) / 2, (1 + level) / 2))
    return float(low), float(high)
