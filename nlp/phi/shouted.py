"""Lines in capitals, rewritten as they would be written otherwise, letter for letter.

Case is most of what tells a name from a word. In a line without small letters the words that the
rules look for and those of medicine become small, the others keep a capital; no offset changes.
"""

import re
from functools import cache

from nlp.phi.words import is_ordinary

_LINE = re.compile(r"[^\n]+")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_TITLES = frozenset(("mr", "mrs", "ms", "dr", "drs", "prof", "st"))
_SMALL_WORDS = (
    "of the in is at by her his on was and to from with for an as who had has be or she he "
    "my their lives living born resides seen moved works worked employed named called wife "
    "husband mother father son daughter brother sister referred transferred admitted "
    "discharged discussed spoke accompanied reached old year years denies reports states "
    "agrees here since sent can may per "
)
_SMALL = frozenset(_SMALL_WORDS.split())
_MIN_LETTERS = 12
_STAYS = 3


@cache
def _written(word: str) -> str:
    lower = word.lower()
    if lower in _TITLES:
        return word.capitalize()
    if lower in _SMALL:
        return lower
    if len(word) <= _STAYS:
        return word  # MD, RN, OH: an abbreviation, or a short name that capitals suit as well.
    return word.capitalize() if is_ordinary(word) else word.title()


def unshouted(text: str) -> str:
    """`text` with its lines in capitals rewritten; the same length, letter for letter."""

    def line(match: re.Match[str]) -> str:
        written = match.group()
        letters = sum(c.isalpha() for c in written)
        if letters < _MIN_LETTERS or any(c.islower() for c in written):
            return written
        changed = _WORD.sub(lambda word: _written(word.group()), written)
        return changed if len(changed) == len(written) else written

    return _LINE.sub(line, text)
