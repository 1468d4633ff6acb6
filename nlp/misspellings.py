"""One-letter slips in long words, `metfromin`, `hypertention`: corrected where nothing else fits.

A slip is one letter more, less, other, or two changed places (Damerau 1964). The first letter has
to be right, and a word that is known is never taken for a slip of another: so `hydralazine` is not
`hydroxyzine`, nor `hypotension` `hypertension`.
"""

from collections.abc import Iterable

MIN_LETTERS = 6


class Misspellings:
    """Known words, by what is left of them when a letter is taken out."""

    def __init__(self, words: Iterable[str]) -> None:
        self._known = frozenset(word.lower() for word in words)
        self._shortened: dict[str, list[str]] = {}
        for word in self._known:
            if len(word) >= MIN_LETTERS - 1 and word.isalpha():
                for key in _shortened(word):
                    self._shortened.setdefault(key, []).append(word)

    def __contains__(self, word: str) -> bool:
        return word.lower() in self._known

    def near(self, word: str) -> tuple[str, ...]:
        """The known words that `word` is a slip of; () for a known or a short word."""
        word = word.lower()
        if word in self._known or len(word) < MIN_LETTERS or not word.isalpha():
            return ()
        found: dict[str, None] = {}
        for key in _shortened(word):
            for known in self._shortened.get(key, ()):
                if known[0] == word[0] and is_slip(word, known):
                    found[known] = None
        return tuple(found)


def _shortened(word: str) -> set[str]:
    return {word, *(word[:i] + word[i + 1 :] for i in range(len(word)))}


def is_slip(one: str, other: str) -> bool:
    """Whether two words differ by one letter more, less or other, or by two that changed places."""
    if one == other:
        return False
    begin = 0
    while begin < min(len(one), len(other)) and one[begin] == other[begin]:
        begin += 1
    a, b = one[begin:], other[begin:]
    if len(a) == len(b):
        return a[1:] == b[1:] or (len(a) > 1 and a[0] == b[1] and a[1] == b[0] and a[2:] == b[2:])
    longer, shorter = (a, b) if len(a) > len(b) else (b, a)
    return longer[1:] == shorter
