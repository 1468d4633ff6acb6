"""Short forms that a text defines: `acute renal failure (ARF)`, over words.

Schwartz and Hearst, "A simple algorithm for identifying abbreviation definitions in biomedical
text", PSB 2003. scispaCy's detector, which the pipeline uses, wants a spaCy document; the
recogniser has words only.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_SHORTEST, _LONGEST = 2, 10
_ENDS = frozenset({")", ";", ","})


@dataclass(frozen=True, slots=True)
class Defined:
    """Numbers of words: those of the long form from `begin` to `end`, and that of the short one."""

    begin: int
    end: int
    short: int


def defined(words: Sequence[str]) -> Iterator[Defined]:
    """The short forms of one word that stand in parentheses behind what they stand for."""
    for place, word in enumerate(words):
        if word != "(" or place + 2 >= len(words) or words[place + 2] not in _ENDS:
            continue
        short = words[place + 1]
        if not _may_be_short(short):
            continue
        begin = max(0, place - min(len(short) + 5, 2 * len(short)))
        number = _matched(words[begin:place], short)
        if number is not None:
            yield Defined(begin + number, place, place + 1)


def _may_be_short(word: str) -> bool:
    return (
        _SHORTEST <= len(word) <= _LONGEST
        and word[0].isalnum()
        and any(c.isalpha() for c in word)
        and any(c.isupper() for c in word)
    )


def _matched(before: Sequence[str], short: str) -> int | None:
    """The first of the words that `short` stands for; None where its letters are not in them.

    Letters are met from the last to the first; the first one must begin a word.
    """
    text = " ".join(before).lower()
    at = len(text) - 1
    for number, letter in reversed(list(enumerate(short.lower()))):
        if not letter.isalnum():
            continue
        while at >= 0 and (
            text[at] != letter or (number == 0 and at > 0 and text[at - 1].isalnum())
        ):
            at -= 1
        if at < 0:
            return None
        at -= 1
    number = text[: at + 1].count(" ")
    return number if number < len(before) and before[number:] != [short] else None
