"""Short forms of several meanings: `MS`, `RA`, `PE`, `CP`. Decided by line, section and note.

The meanings and what speaks for each are in `rules/senses.tsv`. A word on the same line weighs
more than the long form elsewhere in the note, and that more than the section. A meaning that is
no mention (`on RA`) wins by one word on its line, as a wrong code is worse than none. Without
evidence, or with as much for two meanings, nothing is meant.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from nlp.rules import rows

NO_MENTION = "-"
_NEAR, _NOTE, _SECTION = 4, 2, 1
_OTHER_NEAR = 8


@dataclass(frozen=True, slots=True)
class Sense:
    """One meaning of a short form: `term` is a term id, or `NO_MENTION`."""

    term: str
    near: re.Pattern[str] | None
    sections: frozenset[str]
    note: re.Pattern[str] | None
    default: bool

    def near_weight(self, line: str) -> int:
        """How much the line says for this meaning; 0 for nothing."""
        if self.near is None or not self.near.search(line):
            return 0
        return _OTHER_NEAR if self.term == NO_MENTION else _NEAR

    def far_weight(self, text: str, section: str | None) -> int:
        """How much note and section say for it: less than any word on the line."""
        found = _SECTION if section in self.sections else 0
        return found + (_NOTE if self.note is not None and self.note.search(text) else 0)


def _pattern(cell: str) -> re.Pattern[str] | None:
    return re.compile(cell, re.IGNORECASE) if cell else None


@cache
def senses() -> dict[str, tuple[Sense, ...]]:
    """Short form → its meanings, in the order of the table."""
    found: dict[str, list[Sense]] = {}
    for short, term, near, sections, note, default in rows("senses.tsv", 6):
        found.setdefault(short, []).append(
            Sense(
                term,
                _pattern(near),
                frozenset(filter(None, sections.split("|"))),
                _pattern(note),
                default == "y",
            )
        )
    return {short: tuple(meanings) for short, meanings in found.items()}


def sense_of(short: str, line: str, text: str, section: str | None, *, shouted: bool) -> str | None:
    """The term id that `short` means in this `line` of `text`; None for none that is certain.

    `line` has the short form cut out as ⟨⟩; `shouted`: it is all in capitals.
    """
    left = _heaviest(senses()[short], lambda sense: sense.near_weight(line))
    if len(left) > 1:
        where = None if shouted else section
        left = _heaviest(left, lambda sense: sense.far_weight(text, where))
    if len(left) > 1 and not shouted:
        left = [sense for sense in left if sense.default]
    terms = {sense.term for sense in left}
    if len(terms) != 1 or NO_MENTION in terms:
        return None
    chosen = left[0]
    said = chosen.default or chosen.near_weight(line) or chosen.far_weight(text, section)
    return chosen.term if said else None


def _heaviest(meanings: Sequence[Sense], weight: Callable[[Sense], int]) -> list[Sense]:
    weights = [weight(sense) for sense in meanings]
    best = max(weights)
    return [sense for sense, one in zip(meanings, weights, strict=True) if one == best]
