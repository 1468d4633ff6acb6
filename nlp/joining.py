"""What the dictionary and the model find, joined into mentions that do not overlap.

The dictionary was checked by people and carries codes, so it keeps what it finds; the model adds
what no dictionary has. Two things the model knows better. Where a name goes on: of `migraine
headaches` the dictionary knows the first word, and the whole keeps its code. And what a name is in
a longer one: in `hepatitis B surface antigen` no hepatitis is meant.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from nlp.mention import CONDITION, SYMPTOM

# Whether something is a disease or a sign of one is a matter of opinion: the dictionary's stands.
_ALIKE = {CONDITION: "PROBLEM", SYMPTOM: "PROBLEM"}
# From this score on the model may say that a name is part of something of another kind.
_SURE = 0.75


class Candidate(NamedTuple):
    """What may be a mention: its tokens `[start, end)`, category, concept id, score."""

    start: int
    end: int
    label: str
    concept: str
    score: float


def longest(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that do not overlap: the longest first, then the higher score; in order of place."""
    taken: set[int] = set()
    chosen: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda c: (c.start - c.end, -c.score, c.start)):
        words = range(candidate.start, candidate.end)
        if taken.isdisjoint(words):
            taken.update(words)
            chosen.append(candidate)
    return sorted(chosen)


def joined(dictionary: Sequence[Candidate], model: Sequence[Candidate]) -> list[Candidate]:
    """Both together, none overlapping, in order of place. Each list is free of overlaps itself."""
    kept = list(dictionary)
    ends = [candidate.end for candidate in dictionary]
    added: list[Candidate] = []
    dropped: set[int] = set()
    for found in model:
        slot = bisect_right(ends, found.start)
        met = []
        while slot < len(kept) and kept[slot].start < found.end:
            met.append(slot)
            slot += 1
        if not met:
            added.append(found)
        elif len(met) == 1:
            better = _wider(kept[met[0]], found)
            if better is not None:
                dropped.add(met[0])
                added.append(better)
    return sorted([*(c for n, c in enumerate(kept) if n not in dropped), *added])


def _wider(known: Candidate, found: Candidate) -> Candidate | None:
    """The model's candidate in place of the dictionary's within it; None: that one stays."""
    if (known.start, known.end) == (found.start, found.end):
        return None
    if not found.start <= known.start < known.end <= found.end:
        return None
    if _ALIKE.get(known.label, known.label) == _ALIKE.get(found.label, found.label):
        if found.concept:
            return found
        return found._replace(label=known.label, concept=known.concept)
    return found if found.score >= _SURE else None
