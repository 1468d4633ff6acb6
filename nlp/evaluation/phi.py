"""Finding protected health information: on made-up notes with known truth.

Recall is of characters' owners: a span of the truth counts as found when every letter and digit of
it is covered, by spans of whatever category; what matters is that it does not stay.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from nlp.evaluation.figure import Figure, Result
from nlp.evaluation.phi_notes import PhiNote, phi_notes
from nlp.evaluation.recognition import figures_of
from nlp.evaluation.scores import Scores
from nlp.phi import PhiSpan, find

# Seed 1 was looked at while the rules were written, seed 2 only scored.
# The third has lines of its own, written after the rules.
_SETS = {"development": (1, False), "held out": (2, False), "other lines": (3, True)}
_NOTES = 300
_ALL, _UNLISTED = "all", "NAME unlisted"
_SHOWN_ERRORS = 200


def _covered(text: str, begin: int, end: int, spans: list[PhiSpan]) -> bool:
    """Whether no letter or digit of `text[begin:end]` stays in sight."""
    for span in spans:
        if span.begin < end and begin < span.end:
            if span.begin > begin and any(c.isalnum() for c in text[begin : span.begin]):
                return False
            begin = span.end
            if begin >= end:
                return True
    return not any(c.isalnum() for c in text[begin:end])


def score_note(note: PhiNote, errors: dict[str, Counter[str]]) -> dict[str, Scores]:
    """Counts by category and for all; precision is over all alone."""
    spans = find(note.text)
    counts: dict[str, Scores] = {_ALL: Scores()}
    for begin, end, category, kind in note.gold:
        found = _covered(note.text, begin, end, spans)
        for name in (category, _ALL, *((_UNLISTED,) if kind else ())):
            scores = counts.setdefault(name, Scores())
            scores.true_positives += found
            scores.false_negatives += not found
        if not found:
            quoted = note.text[max(0, begin - 30) : end + 15]
            errors.setdefault(f"{category} missed", Counter())[repr(quoted)] += 1
    for span in spans:
        if not any(begin < span.end and span.begin < end for begin, end, _, _ in note.gold):
            counts[_ALL].false_positives += 1
            quoted = note.text[max(0, span.begin - 20) : span.end + 15]
            errors.setdefault("wrong", Counter())[repr(quoted) + span.category] += 1
    return counts


def phi(_folder: Path) -> Result:
    """Recall by category, and precision, on notes made up with two seeds."""
    figures: list[Figure] = []
    errors: dict[str, Counter[str]] = {}
    for half, (seed, fresh) in _SETS.items():
        per_document: dict[str, list[Scores]] = {}
        for note in phi_notes(_NOTES, seed, fresh=fresh):
            seen: dict[str, Counter[str]] = {} if half == "held out" else errors
            for name, scores in score_note(note, seen).items():
                per_document.setdefault(name, []).append(scores)
        for name, every in sorted(per_document.items()):
            for figure in figures_of("phi", f"{half}, {name}", "", every):
                if figure.measure == "recall" or name == _ALL:
                    figures.append(figure)
    return Result(figures, {kind: c.most_common(_SHOWN_ERRORS) for kind, c in errors.items()})
